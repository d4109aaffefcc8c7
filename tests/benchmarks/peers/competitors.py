"""The competitors: program, environment, options, and the shapes that they are measured on."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_servers.pinned_environment import PinnedEnvironment
from tests.benchmarks.peers.environments import peer_environment
from tests.benchmarks.peers.shapes import Shape


@dataclass(frozen=True, slots=True)
class Competitor:
    """One row of the tables; ``environment=None`` is the tests' own environment, with this package."""

    name: str
    program: str
    environment: PinnedEnvironment | None = None
    options: dict[str, Any] = field(default_factory=dict)
    knows_incremental: bool = False
    only: frozenset[str] | None = None

    @property
    def is_ours(self) -> bool:
        return self.environment is None

    def takes(self, shape: Shape) -> bool:
        """Whether it is measured on a shape: without state, an unchanged Page would be read in full."""
        if self.only is not None:
            return shape.name in self.only
        return not shape.only_ours and (self.knows_incremental or not shape.incremental)

    def python(self) -> Path:
        """Its interpreter; creates the environment at the first use."""
        if self.environment is None:
            return Path(sys.executable)
        self.environment.ensure(print)
        return self.environment.python


_REQUESTS = peer_environment("requests")
_LARGE = frozenset({"D", "B", "E", "1M"})

COMPETITORS = (
    Competitor("metaconv, NDJSON", "ours", None, {"format": "ndjson", "given_sizes": True}, knows_incremental=True),
    Competitor(
        "metaconv, NDJSON, 8 workers",
        "ours",
        None,
        {"format": "ndjson", "given_sizes": True, "workers": 8},
        only=frozenset({"B"}),
    ),
    Competitor(
        "metaconv, Parquet",
        "ours",
        None,
        {"format": "parquet", "given_sizes": True},
        only=frozenset({"D", "B", "E", "H"}),
    ),
    Competitor("metaconv, its own sizes, NDJSON", "ours", None, {"format": "ndjson"}, only=_LARGE),
    Competitor("metaconv, its own sizes, Parquet", "ours", None, {"format": "parquet"}, only=frozenset({"E", "1M"})),
    Competitor("bare requests, 1 thread", "baseline", _REQUESTS, {"threads": 1}),
    Competitor("bare requests, 8 threads", "baseline", _REQUESTS, {"threads": 8}),
    Competitor("facebook-business", "facebook_business_sdk", peer_environment("facebook_business")),
    Competitor("python-facebook-api", "python_facebook_api", peer_environment("pyfacebook")),
    Competitor("airbyte-cdk, 10 workers", "airbyte_manifest", peer_environment("airbyte_cdk"), knows_incremental=True),
    Competitor("dlt rest_api → DuckDB", "dlt_rest_api", peer_environment("dlt"), knows_incremental=True),
    Competitor(
        "dlt rest_api → Parquet → DuckDB",
        "dlt_rest_api",
        peer_environment("dlt"),
        {"files": "parquet"},
        only=frozenset({"D", "B", "E"}),
    ),
)

LEFT_OUT = {
    "Keboola component-meta": "a component for Keboola's own platform, set up from its repository",
    "singer-sdk": "an engine with one call per conversation, like airbyte-cdk and dlt",
    "ChatbotX": "a TypeScript service with its own database and queue",
    "Fivetran": "a hosted service",
    "apache-airflow-providers-facebook": "reads Ads reports only",
}

"""A Page behind an emulator, a clock shared by both that skips every wait, and the folder of a window."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter

from airflow_provider_metaconv.emulator import (
    EmulatorServer,
    EmulatorSettings,
    Fault,
    MessageSpec,
    PageSpec,
    ThreadSpec,
    build_world,
)
from airflow_provider_metaconv.extract.extraction import ExtractionResult
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.graph.errors import GraphError
from airflow_provider_metaconv.graph.session import Bounds, graph_session
from tests.integration.extract.extraction import SkippedTime, Written, extract, written

UNTIL = datetime(2026, 11, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MANIFEST = "_manifest.json"


def threads(
    count: int, *, messages: int = 2, platform: str = "MESSENGER", apart: timedelta = MINUTE
) -> list[ThreadSpec]:
    """Conversations ``t_0``, the newest, to ``t_{count-1}``, ``apart`` from each other, messages a second apart."""
    return [
        ThreadSpec(
            platform,
            [MessageSpec(UNTIL - apart * (n + 1) - timedelta(seconds=m)) for m in range(messages)],
            thread_id=f"t_{n}",
        )
        for n in range(count)
    ]


def impatient_session() -> requests.Session:
    """A session that waits only a moment for a response instead of a minute."""
    return graph_session(Bounds(call_seconds=0.1))


class RecordedLists(HTTPAdapter):
    """Records how many conversations and nested messages each list call requests, and the response's status."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[int, int, int]] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().send(request, *args, **kwargs)
        parts = urlsplit(request.url or "")
        query = dict(parse_qsl(parts.query))
        if parts.path.endswith("/conversations"):
            nested = re.search(r"messages\.limit\((\d+)\)", query["fields"])
            self.calls.append((int(query["limit"]), int(nested[1]) if nested else 0, response.status_code))
        return response

    @property
    def session(self) -> requests.Session:
        """A session whose calls are recorded."""
        session = requests.Session()
        session.mount("http://", self)
        return session


@dataclass
class Scene:
    """What a test of one window needs: attempts, their cost and their results."""

    server: EmulatorServer
    folder: Path
    platform: str
    clock: SkippedTime = field(default_factory=SkippedTime)

    def add(self, name: str, **values: Any) -> None:
        """Adds a fault; its seconds run on the scene's clock."""
        self.server.add_fault(Fault(name, **values))

    def attempt(self, *, folder: Path | Storage | None = None, **arguments: Any) -> ExtractionResult:
        """One attempt, like one of Airflow's."""
        given = {"until": UNTIL, "platform": self.platform, "clock": self.clock, **arguments}
        return extract(self.server, folder or self.folder, **given)

    def failing_attempt(self, **arguments: Any) -> GraphError:
        """One attempt that fails; returns its error."""
        with pytest.raises(GraphError) as caught:
            self.attempt(**arguments)
        return caught.value

    def attempts(self, most: int = 20, apart: float = 300.0, **arguments: Any) -> ExtractionResult:
        """As many attempts as needed, like Airflow's retries."""
        for _ in range(most - 1):
            try:
                return self.attempt(**arguments)
            except GraphError:
                self.clock.skip(apart)
        return self.attempt(**arguments)

    @property
    def calls(self) -> int:
        """The number of calls the emulator has received."""
        return int(self.server.statistics()["calls"])

    def calls_of(self, route: str) -> int:
        """The number of calls to one route."""
        return int(self.server.statistics()["calls_by_route"].get(route, 0))

    @property
    def errors(self) -> int:
        """The number of error responses the emulator has returned."""
        return sum(self.server.statistics()["errors"].values())

    @property
    def written(self) -> Written:
        """The content of the folder."""
        return written(self.folder)

    @property
    def statuses(self) -> dict[str, str]:
        """The status of each conversation in the ledger."""
        return {row["conversation_id"]: row["status"] for row in self.written.conversations}

    @property
    def incomplete(self) -> dict[str, str]:
        """The conversations of the ledger that are not complete."""
        return {name: status for name, status in self.statuses.items() if status != "complete"}

    def ground_truth(self, since: datetime | None = None, folder: str = "inbox") -> list[str]:
        """The ids of all messages that exist, sorted."""
        return sorted(self.server.ground_truth("100", self.platform, since, UNTIL, folder).message_ids)

    @property
    def message_ids(self) -> list[str]:
        """The ids that were written, sorted, duplicates included."""
        return sorted(self.written.message_ids)

    def published(self) -> dict[str, bytes]:
        """The manifest and the files it lists, byte for byte."""
        names = [MANIFEST, *(file["path"] for file in self.written.manifest["files"])]
        return {name: (self.folder / name).read_bytes() for name in names}

    @property
    def has_manifest(self) -> bool:
        """Whether the window is published."""
        return (self.folder / MANIFEST).exists()


@contextmanager
def scene(
    folder: Path, specs: Sequence[ThreadSpec], *, platform: str = "MESSENGER", **settings: Any
) -> Iterator[Scene]:
    """A Page 100 with these conversations; the window's folder is created below ``folder``."""
    clock = SkippedTime()
    world = build_world([PageSpec("100", specs)], UNTIL)
    with EmulatorServer(world, EmulatorSettings(clock=clock, **settings)) as server:
        yield Scene(server, folder / "page" / "window=1", platform, clock)

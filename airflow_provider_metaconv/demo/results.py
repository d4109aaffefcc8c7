"""The results of a run as values: manifests, query results, and why tasks failed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

_FAILURE = re.compile(r"(?:airflow_provider_metaconv|airflow)\.[\w.]*(?:Error|FailException): (.+)")


@dataclass(frozen=True, slots=True)
class Answer:
    """A query result: the names of its columns, and its rows."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Extracted:
    """One Page's platform and window, from its manifest; ``since`` includes the lookback."""

    page_id: str
    platform: str
    stats: dict[str, Any]
    since: datetime | None

    @property
    def name(self) -> tuple[str, str]:
        """The Page and platform."""
        return self.page_id, self.platform


def windows_until(until: datetime, manifests: Iterable[bytes]) -> Iterator[Extracted]:
    """Yield the finished windows that end at that time."""
    for manifest in map(json.loads, manifests):
        if datetime.fromisoformat(manifest["window"]["until"]) == until:
            window = manifest["window"]
            since = window.get("reads_since") or window["since"]
            began = None if since is None else datetime.fromisoformat(since)
            yield Extracted(manifest["page_id"], manifest["platform"], manifest["stats"], began)


def failures(log: Path) -> list[str]:
    """Return the distinct errors with which tasks failed, from the log: this package's and ``AirflowFailException``."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return list(dict.fromkeys(match[1] for line in lines if (match := _FAILURE.match(line))))


def counts_by_page(answer: Answer) -> dict[tuple[str, str], dict[str, int]]:
    """Return the table rows by Page and platform: ``messages`` and ``conversations``."""
    return {(page, platform): {"messages": m, "conversations": c} for page, platform, m, c in answer.rows}

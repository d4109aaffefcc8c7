"""What the events of the coverage asset contain: one row per Page and platform of a run, for the coverage page.

An extract task returns its row with its result. The load adds the rows to the event once the messages are in the
warehouse, so that the page never shows a window that is not loaded. A row holds counts and times, and no identifier but
the Page's. Rows are lists, because an event is stored for every run: 2,000 rows take about 200 kB.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from airflow_provider_metaconv.extract.extraction import ExtractionResult
from airflow_provider_metaconv.files.coverage import BEGINNING, Coverage, gaps
from airflow_provider_metaconv.schema import ConversationStatus
from airflow_provider_metaconv.window import Window

COVERAGE_ASSET = "meta_conversations_coverage"
ACCESS_ASSET = "meta_conversations_access"

MAX_GAPS = 8
"""The latest gaps are listed; ``gap_count`` counts all of them."""

FROM_THE_FIRST_MESSAGE = 0

COLUMNS = {
    "page": "platform and Page, such as `MESSENGER/100`",
    "task_id": "the extract task, for a link to its log",
    "map_index": "its map index; -1 if it is not mapped",
    "since": "start of the window; 0: from the first message",
    "until": "end of the window",
    "complete": "whether every list of the window was read",
    "messages": "messages in the window's files",
    "conversations": "conversations in its ledger",
    "truncated": "of these, conversations whose older messages the platform withholds",
    "unreadable": "of these, conversations that Meta did not return",
    "calls": "calls of all attempts, repeated ones included",
    "waits": "waits for a rate limit",
    "usage_percent": "how full Meta's fullest limit was at its fullest",
    "covered_since": "start of the first window of this Page and platform; 0: from the first message; null: unknown",
    "covered_until": "end of the last complete window; null if none is complete",
    "gaps": f"time between the two that no complete window covers: the latest {MAX_GAPS}, as pairs of times",
    "gap_count": "the number of all gaps",
}
"""The columns of a row. Times are seconds since 1970, in UTC."""


def coverage_row(
    page: str, task_id: str, map_index: int, window: Window, result: ExtractionResult, coverage: Coverage | None
) -> dict[str, Any]:
    """Return the row of one extraction in JSON types; ``coverage`` None means that it could not be recorded."""
    incomplete = result.stats.get("incomplete_by_status", {})
    return {
        "page": page,
        "task_id": task_id,
        "map_index": map_index,
        "since": FROM_THE_FIRST_MESSAGE if window.since is None else _seconds(window.since),
        "until": _seconds(window.until),
        "complete": result.complete,
        "messages": result.messages,
        "conversations": result.conversations,
        "truncated": incomplete.get(ConversationStatus.TRUNCATED_BY_PLATFORM, 0),
        "unreadable": incomplete.get(ConversationStatus.UNREADABLE, 0),
        "calls": result.calls,
        "waits": result.stats.get("rate_limit_waits", 0),
        "usage_percent": result.stats.get("usage_percent", 0),
        **_covered(coverage or Coverage()),
    }


def coverage_extra(results: Iterable[Any]) -> dict[str, Any]:
    """Return the event's ``extra`` from the results of extract tasks. Results without a row are left out."""
    rows = [row for each in results if isinstance(each, Mapping) and isinstance(row := each.get("coverage"), Mapping)]
    return {"columns": list(COLUMNS), "rows": [[row.get(column) for column in COLUMNS] for row in rows]}


def access_extra(meta_conn_id: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``extra`` of an event of the access asset: when the access of a connection ends."""
    # Airflow masks values whose name contains "token".
    return {
        "meta_conn_id": meta_conn_id,
        "expires_at": result["expires_at"],
        "data_access_expires_at": result["data_access_expires_at"],
    }


def _covered(coverage: Coverage) -> dict[str, Any]:
    found = gaps(coverage)
    return {
        "covered_since": None if coverage.asked_since is None else _seconds(coverage.asked_since),
        "covered_until": _seconds(coverage.complete[-1].until) if coverage.complete else None,
        "gaps": [[_seconds(gap.since), _seconds(gap.until)] for gap in found[-MAX_GAPS:]],
        "gap_count": len(found),
    }


def _seconds(moment: datetime) -> int:
    return FROM_THE_FIRST_MESSAGE if moment <= BEGINNING else int(moment.timestamp())

"""Counters of what clients did, for tests that ask how many calls something took."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from .calls import Call
from .limits import BUCKET_SECONDS, Block, RollingCount
from .times import iso_time


class Statistics:
    """Counts Graph calls by Page, platform and route, and their answers by error code."""

    def __init__(self) -> None:
        self._calls: Counter[tuple[str | None, str | None, str]] = Counter()
        self._errors: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._recent: defaultdict[str, RollingCount] = defaultdict(lambda: RollingCount(BUCKET_SECONDS))
        self._peaks: dict[str, int] = {}
        self._unreadable = 0

    def count_call(self, call: Call, now: float) -> None:
        """Count one Graph call."""
        self._calls[call.page_id, call.platform, call.route] += 1
        if call.page_id is not None:
            peak = self._recent[call.page_id].add(now)
            self._peaks[call.page_id] = max(peak, self._peaks.get(call.page_id, 0))

    def count_unreadable(self) -> None:
        """Count a Graph call whose path leads nowhere."""
        self._unreadable += 1

    def count_error(self, label: str) -> None:
        """Count one error answer by its code and subcode."""
        self._errors[label] += 1

    def count_fault(self, name: str) -> None:
        """Count one fault that struck."""
        self._faults[name] += 1

    def report(self, blocks: list[Block], now: float) -> dict[str, Any]:
        """Return everything as one JSON-ready dict."""
        per_page: Counter[str] = Counter()
        routes: Counter[str] = Counter()
        for (page_id, _, route), count in self._calls.items():
            routes[route] += count
            if page_id is not None:
                per_page[page_id] += count
        rows = [
            {"page_id": page_id, "platform": platform, "route": route, "calls": count}
            for (page_id, platform, route), count in self._calls.items()
        ]
        return {
            "calls": self._calls.total() + self._unreadable,
            "calls_by_page": dict(per_page),
            "calls_by_route": dict(routes),
            "calls_by_page_platform_route": rows,
            "errors": dict(self._errors),
            "faults": dict(self._faults),
            "blocks": [_block_row(block, now) for block in blocks],
            "max_calls_in_10_seconds": dict(self._peaks),
        }


def _block_row(block: Block, now: float) -> dict[str, Any]:
    return {
        "page_id": block.page_id,
        "scope": block.scope.partition(":")[0],
        "code": block.error.body["error"]["code"],
        "blocked_until": iso_time(block.until),
        "seconds_left": round(block.until - now, 3),
    }

"""What a run cost over all its tries: calls, waits and errors, added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_metaconv.graph.errors import RateLimitError

CallFigures = Callable[[], Mapping[str, Any]]
"""What the calls of this try cost so far: numbers, and counts of errors by code."""


class Cost:
    """The cost of this try and of those before it."""

    def __init__(self, this_try: CallFigures) -> None:
        self._this_try = this_try
        self._before: dict[str, Any] = {}
        self._attempts = 1
        self._waits = 0
        self._wait_seconds = 0.0

    def resume(self, figures: Mapping[str, Any]) -> None:
        """Adds what earlier tries cost, as their ``figures()`` said."""
        self._before = dict(figures)
        self._attempts = figures["attempts"] + 1

    def add_wait(self, error: RateLimitError) -> None:
        """Counts a wait that this try leaves to the next one."""
        self._waits += 1
        self._wait_seconds += error.retry_after

    @property
    def calls(self) -> int:
        """All calls of all tries."""
        return int(self.figures()["calls"])

    def of_this_try(self) -> dict[str, Any]:
        """What this try alone cost: ``calls``, ``waits`` for a rate limit, ``usage_percent`` of the fullest one."""
        now = self._this_try()
        waits = now["rate_limit_waits"] + self._waits
        return {"calls": now["calls"], "waits": waits, "usage_percent": now["usage_percent"]}

    def figures(self) -> dict[str, Any]:
        """All costs together, in JSON types."""
        now, before = self._this_try(), self._before
        return {
            "attempts": self._attempts,
            "calls": now["calls"] + before.get("calls", 0),
            "retries": now["retries"] + before.get("retries", 0),
            "rate_limit_waits": now["rate_limit_waits"] + self._waits + before.get("rate_limit_waits", 0),
            "rate_limit_wait_seconds": round(
                now["rate_limit_wait_seconds"] + self._wait_seconds + before.get("rate_limit_wait_seconds", 0.0), 1
            ),
            "usage_percent": max(now["usage_percent"], before.get("usage_percent", 0.0)),
            "errors": dict(sorted((Counter(now["errors"]) + Counter(before.get("errors", {}))).items())),
        }

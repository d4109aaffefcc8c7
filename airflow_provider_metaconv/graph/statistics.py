"""Statistics of the calls of one attempt."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from airflow_provider_metaconv.graph.errors import GraphError


class CallStatistics:
    """Counts the calls of one attempt and their costs. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.calls = 0
        self.retries = 0
        self.limit_waits = 0
        self.limit_wait_seconds = 0.0
        self.usage_percent = 0.0
        self.errors: Counter[str] = Counter()

    def sent(self) -> None:
        """Count a call."""
        with self._lock:
            self.calls += 1

    def answered(self, percent: float) -> None:
        """Record the usage, in percent, that a response reported."""
        with self._lock:
            self.usage_percent = max(self.usage_percent, percent)

    def failed(self, error: GraphError) -> None:
        """Count an error."""
        with self._lock:
            self.errors[str(error.code if error.code is not None else type(error).__name__)] += 1

    def repeated(self, limit_wait: float | None) -> None:
        """Count a retry; ``limit_wait`` is the wait for a rate limit, in seconds."""
        with self._lock:
            self.retries += 1
            if limit_wait is not None:
                self.limit_waits += 1
                self.limit_wait_seconds += limit_wait

    def as_dict(self) -> dict[str, Any]:
        """Return the counts for a manifest: numbers and error codes only."""
        return {
            "calls": self.calls,
            "retries": self.retries,
            "rate_limit_waits": self.limit_waits,
            "rate_limit_wait_seconds": round(self.limit_wait_seconds, 1),
            "usage_percent": round(self.usage_percent, 1),
            "errors": dict(sorted(self.errors.items())),
        }

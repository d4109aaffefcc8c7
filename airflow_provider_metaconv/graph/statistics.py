"""What the calls of one attempt cost."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from airflow_provider_metaconv.graph.errors import GraphError


class CallStatistics:
    """What the calls of one attempt cost: counted by all threads, read at the end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.calls = 0
        self.retries = 0
        self.limit_waits = 0
        self.limit_wait_seconds = 0.0
        self.usage_percent = 0.0
        self.errors: Counter[str] = Counter()

    def sent(self) -> None:
        """One call went out."""
        with self._lock:
            self.calls += 1

    def answered(self, percent: float) -> None:
        """A response reported limits that are so many percent full."""
        with self._lock:
            self.usage_percent = max(self.usage_percent, percent)

    def failed(self, error: GraphError) -> None:
        """A call ended in an error."""
        with self._lock:
            self.errors[str(error.code if error.code is not None else type(error).__name__)] += 1

    def repeated(self, limit_wait: float | None) -> None:
        """A call is sent again; ``limit_wait`` is how long a rate limit makes it wait, in seconds."""
        with self._lock:
            self.retries += 1
            if limit_wait is not None:
                self.limit_waits += 1
                self.limit_wait_seconds += limit_wait

    def as_dict(self) -> dict[str, Any]:
        """The counts for a manifest: numbers and error codes, nothing secret."""
        return {
            "calls": self.calls,
            "retries": self.retries,
            "rate_limit_waits": self.limit_waits,
            "rate_limit_wait_seconds": round(self.limit_wait_seconds, 1),
            "usage_percent": round(self.usage_percent, 1),
            "errors": dict(sorted(self.errors.items())),
        }

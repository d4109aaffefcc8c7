"""The stats of an attempt as Airflow metrics, sent to the backend that Airflow is configured with, if any."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from airflow_provider_metaconv.extract.stats import AttemptStats


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name, the field of the stats that it reports, and its kind (``counter`` or ``gauge``)."""

    name: str
    figure: str
    kind: str
    description: str


METRICS = (
    Metric("metaconv.calls", "calls", "counter", "calls sent to Meta, repeated ones included"),
    Metric("metaconv.messages", "messages", "counter", "messages written to files"),
    Metric("metaconv.conversations", "conversations", "counter", "conversations written to the ledger"),
    Metric("metaconv.incomplete", "incomplete", "counter", "of these, what Meta did not return whole"),
    Metric("metaconv.waits", "waits", "counter", "waits for a rate limit, in the task or between two attempts"),
    Metric("metaconv.usage_percent", "usage_percent", "gauge", "how full Meta's fullest limit was at its fullest"),
)


class AttemptMetrics:
    """Sends what an attempt has added since the last call, tagged with ``platform`` and ``page_id``. Never raises."""

    def __init__(self, platform: str, page_id: str) -> None:
        self._tags = {"platform": platform, "page_id": page_id}
        self._sent = AttemptStats()

    def send(self, figures: AttemptStats) -> None:
        """Send counters that have grown, and all gauges."""
        # A metric that cannot be sent must not fail the run.
        with suppress(Exception):
            # The compat module finds the class, which moved in Airflow 3.2 and 3.3.
            from airflow.providers.common.compat.sdk import Stats

            for metric in METRICS:
                self._send(Stats, metric, getattr(figures, metric.figure), getattr(self._sent, metric.figure))
        self._sent = figures

    def _send(self, stats: Any, metric: Metric, now: float, before: float) -> None:
        if metric.kind == "gauge":
            stats.gauge(metric.name, now, tags=self._tags)
        elif now > before:
            stats.incr(metric.name, int(now - before), tags=self._tags)

"""The stats of an attempt as Airflow metrics: sent where Airflow sends its own, and nowhere where it sends none."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from airflow_provider_metaconv.extract.stats import AttemptStats


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name, the figure it sends, whether that is added up (``counter``) or shown (``gauge``)."""

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
    """Sends what an attempt has added since the last time, with the tags ``platform`` and ``page_id``; never raises."""

    def __init__(self, platform: str, page_id: str) -> None:
        self._tags = {"platform": platform, "page_id": page_id}
        self._sent = AttemptStats()

    def send(self, figures: AttemptStats) -> None:
        """Sends counters where they have grown, and gauges always."""
        # A metric that cannot be sent is no reason to lose a run.
        with suppress(Exception):
            # The first of Airflow's places for it that exists here; they moved in 3.2 and again in 3.3.
            from airflow.providers.common.compat.sdk import Stats

            for metric in METRICS:
                self._send(Stats, metric, getattr(figures, metric.figure), getattr(self._sent, metric.figure))
        self._sent = figures

    def _send(self, stats: Any, metric: Metric, now: float, before: float) -> None:
        if metric.kind == "gauge":
            stats.gauge(metric.name, now, tags=self._tags)
        elif now > before:
            stats.incr(metric.name, int(now - before), tags=self._tags)

"""The metrics of an attempt: sent once, by failed attempts too, and never an obstacle to a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat import sdk

from airflow_provider_metaconv.emulator import EmulatorServer, Fault, World, WorldSettings
from airflow_provider_metaconv.extract.stats import AttemptStats
from airflow_provider_metaconv.observability.metrics import AttemptMetrics
from airflow_provider_metaconv.operators.extract import MetaConversationsToLocalFilesystemOperator

NOW = datetime(2026, 11, 20, tzinfo=UTC)
TAGS = {"platform": "MESSENGER", "page_id": "100"}


class RecordedStats:
    """Accepts metrics like Airflow's own class, and keeps them."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, float, dict[str, str]]] = []

    def incr(self, stat: str, count: int = 1, rate: float = 1, *, tags: dict[str, str] | None = None) -> None:
        self.sent.append((stat, count, tags or {}))

    def gauge(
        self, stat: str, value: float, rate: float = 1, delta: bool = False, *, tags: dict[str, str] | None = None
    ) -> None:
        self.sent.append((stat, value, tags or {}))


@pytest.fixture
def stats(monkeypatch: pytest.MonkeyPatch) -> RecordedStats:
    recorded = RecordedStats()
    monkeypatch.setattr(sdk, "Stats", recorded, raising=False)
    return recorded


def test_counters_send_increments_and_gauges_current_values(stats: RecordedStats) -> None:
    metrics = AttemptMetrics(**TAGS)
    metrics.send(AttemptStats(calls=3, messages=70, usage_percent=10.0))
    metrics.send(AttemptStats(calls=5, messages=70, conversations=4, incomplete=1, waits=1, usage_percent=12.0))
    assert stats.sent == [
        ("metaconv.calls", 3, TAGS),
        ("metaconv.messages", 70, TAGS),
        ("metaconv.usage_percent", 10.0, TAGS),
        ("metaconv.calls", 2, TAGS),
        ("metaconv.conversations", 4, TAGS),
        ("metaconv.incomplete", 1, TAGS),
        ("metaconv.waits", 1, TAGS),
        ("metaconv.usage_percent", 12.0, TAGS),
    ]


def test_metrics_that_cannot_be_sent_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk, "Stats", None, raising=False)
    AttemptMetrics(**TAGS).send(AttemptStats(calls=3))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatorServer]:
    with EmulatorServer(World.generate(WorldSettings(pages=1, messages=2000, now=NOW))) as server:
        connection = {"conn_type": "meta_graph", "host": server.url, "password": server.user_token}
        connection["extra"] = {"calls_per_second": 1000}  # type: ignore[assignment]
        monkeypatch.setenv("AIRFLOW_CONN_META_GRAPH_DEFAULT", json.dumps(connection))
        yield server


class Instance:
    """What the operator uses of Airflow's task instance."""

    def get_first_reschedule_date(self, context: Any) -> None:
        return None

    def xcom_push(self, key: str, value: Any) -> None:
        return None


def test_metrics_of_a_failed_attempt_are_sent_only_once(
    server: EmulatorServer, stats: RecordedStats, tmp_path: Path
) -> None:
    def run() -> dict[str, Any]:
        task = MetaConversationsToLocalFilesystemOperator(
            task_id="extract", page_id="100", platform="MESSENGER", destination=str(tmp_path), since=None, until=NOW
        )
        return task.execute({"ti": Instance()})  # type: ignore[typeddict-item]

    server.add_fault(Fault("80006", after_calls=2, regain_minutes=19))
    with pytest.raises(AirflowRescheduleException):
        run()
    failed = dict.fromkeys((name for name, _, _ in stats.sent), 0.0)
    assert {"metaconv.calls", "metaconv.waits", "metaconv.usage_percent"} <= set(failed)
    server.clear_faults()
    result = run()
    totals = {name: sum(value for sent, value, _ in stats.sent if sent == name) for name, _, _ in stats.sent}
    assert (result["messages"], result["conversations"], result["calls"], 1) == (
        totals["metaconv.messages"],
        totals["metaconv.conversations"],
        totals["metaconv.calls"],
        totals["metaconv.waits"],
    )
    assert all(tags == TAGS for _, _, tags in stats.sent)

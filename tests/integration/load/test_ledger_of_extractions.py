"""After real extractions, loaded in any order, the ledger matches the rows of messages."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_metaconv.emulator import EmulatorServer, Fault, MessageSpec, PageSpec, ThreadSpec, build_world
from airflow_provider_metaconv.load.load import load_manifests
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from tests.integration.extract.extraction import extract
from tests.integration.warehouse.documented_queries import CLOSED_GAPS, MISSED_BY_WINDOW, MISSING_TODAY
from tests.integration.warehouse.test_duckdb import run_query, whole_rows_in

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOWS = ((None, NOON + HOUR), (NOON + HOUR, NOON + 2 * HOUR), (NOON + 2 * HOUR, NOON + 3 * HOUR))


def thread(name: str, messages: int, apart: timedelta) -> ThreadSpec:
    newest = NOON + 3 * HOUR - timedelta(minutes=1)
    return ThreadSpec("INSTAGRAM", [MessageSpec(newest - n * apart, f"text {n}") for n in range(messages)], name)


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three consecutive windows, and the second once more because one of its conversations was refused."""
    threads = [
        thread("t_long", 45, timedelta(minutes=5)),
        thread("t_dense", 70, timedelta(minutes=2)),
        thread("t_short", 3, HOUR),
        thread("t_refused", 8, timedelta(minutes=30)),
    ]
    written = []
    with EmulatorServer(build_world([PageSpec("100", threads)], NOON + 3 * HOUR)) as server:
        for number, (since, until) in enumerate([*WINDOWS, WINDOWS[1]]):
            server.service.faults.clear()
            if number == 1:
                server.service.faults.add(Fault("10", thread_id="t_refused", reach=("nested_lists", "alone")))
            folder = tmp_path_factory.mktemp(f"window-{number}")
            time = f"2026-11-22T0{number}:00:00+00:00"
            extract(server, folder, platform="INSTAGRAM", since=since, until=until, extracted_time=time)
            written.append(str(folder / "_manifest.json"))
    return written


ORDERS = ((0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2), (2, 0, 3, 1), (1, 0, 3, 2), (2, 3, 0, 1))
"""Every pair of windows in both orders, and each window first and last at least once."""


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_ledger_matches_messages_for_any_load_order(
    manifests: list[str], order: tuple[int, ...], tmp_path: Path
) -> None:
    path = tmp_path / "x.duckdb"
    with DuckDBWarehouse(path) as warehouse:
        for number in order:
            load_manifests([manifests[number]], warehouse)
    messages, all_gaps = whole_rows_in(path, "messages"), whole_rows_in(path, "conversation_gaps")
    without_content = [row for row in messages if row["content_status"] == "unavailable"]
    assert len(messages) == 45 + 70 + 3 + 8
    assert len(without_content) == 25 + 50
    for title in (MISSED_BY_WINDOW, MISSING_TODAY):
        assert sum(row[-1] for row in run_query(path, title)) == len(without_content)
    for window in whole_rows_in(path, "extraction_windows"):
        since, until = window["window_since"] or "", window["window_until"]
        within = [row for row in messages if since <= row["created_time"] < until]
        gaps = [row for row in all_gaps if row["window_until"] == until]
        assert window["messages"] == len(within)
        assert window["messages_unavailable"] == sum(row in without_content for row in within)
        assert window["conversations"] == len({row["conversation_id"] for row in within})
        is_open = [row for row in gaps if row["status"] != "complete" and row["closed_by_window"] is None]
        assert window["incomplete_conversations"] == len(is_open)
    counts = Counter((row["conversation_id"], row["content_status"] == "unavailable") for row in messages)
    for row in whole_rows_in(path, "conversations"):
        name = row["conversation_id"]
        assert (row["messages_extracted"], row["messages_unavailable"]) == (counts[name, False], counts[name, True])
        assert row["status"] == ("truncated_by_platform" if counts[name, True] else "complete")
    [closed] = run_query(path, CLOSED_GAPS)
    assert "t_refused" in closed
    assert closed[-1] == "20261120T130000Z_20261120T140000Z"

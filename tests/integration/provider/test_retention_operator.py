"""The retention of the operators: what is read and removed, and bad input in one line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.utils.types import DagRunType

from airflow_provider_metaconv.emulator import EmulatorServer, World, WorldSettings
from airflow_provider_metaconv.files.coverage import Span
from airflow_provider_metaconv.files.coverage_record import read_coverage, record_window
from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.operators.extract import MetaConversationsToLocalFilesystemOperator
from airflow_provider_metaconv.operators.retention import MetaRetentionOperator

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAYS = timedelta(days=1)
RETENTION = 7 * DAYS
PAGE = "platform=messenger/page_id=100"


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorServer]:
    with EmulatorServer(World.generate(WorldSettings(pages=1, messages=300, now=NOW))) as server:
        yield server


class TaskInstance:
    """What the operator uses of Airflow's task instance."""

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        return None

    def xcom_push(self, key: str, value: Any) -> None:
        """Links that the operator shows while it runs."""


def context(run_type: DagRunType = DagRunType.MANUAL) -> Any:
    return {"ti": TaskInstance(), "dag_run": SimpleNamespace(run_type=run_type, start_date=NOW)}


def extract(destination: Path, run_type: DagRunType = DagRunType.MANUAL, **arguments: Any) -> str:
    """The name of the window that the operator has read."""
    values = {"until": NOW, "page_id": "100", "platform": "MESSENGER", "retention": RETENTION, **arguments}
    task = MetaConversationsToLocalFilesystemOperator(task_id="extract", destination=str(destination), **values)
    return Path(task.execute(context(run_type))["manifest"]).parent.name


@pytest.mark.parametrize("since", [None, "begin", NOW - 30 * DAYS, "2026-11-12T23:59:59Z"])
def test_a_window_begins_at_the_cutoff(server: EmulatorServer, tmp_path: Path, since: Any) -> None:
    assert extract(tmp_path, since=since) == "window=20261113T000000Z_20261120T120000Z"


def test_a_younger_window_stays_as_it_is(server: EmulatorServer, tmp_path: Path) -> None:
    assert extract(tmp_path, since=NOW - DAYS) == "window=20261119T120000Z_20261120T120000Z"


def test_a_scheduled_run_takes_no_older_time_for_a_gap(server: EmulatorServer, tmp_path: Path) -> None:
    record_window(LocalStorage(tmp_path / PAGE), NOW - 90 * DAYS, NOW - 80 * DAYS, complete=True)
    hour = timedelta(hours=1)
    scheduled: dict[str, Any] = {"run_type": DagRunType.SCHEDULED, "fill_gaps": True}
    windows = [extract(tmp_path, since=NOW - n * hour, until=NOW - (n - 1) * hour, **scheduled) for n in (2, 1)]
    assert windows == ["window=20261113T000000Z_20261120T110000Z", "window=20261120T110000Z_20261120T120000Z"]


def test_all_that_is_kept_is_covered_and_nothing_else(server: EmulatorServer, tmp_path: Path) -> None:
    extract(tmp_path, since="begin", until=NOW - DAYS)
    covered = read_coverage(LocalStorage(tmp_path / PAGE)).coverage
    assert covered.complete == (Span(datetime(2026, 11, 13, tzinfo=UTC), NOW - DAYS),)
    longer: dict[str, Any] = {"retention": 30 * DAYS, "run_type": DagRunType.SCHEDULED, "fill_gaps": True}
    assert extract(tmp_path, since=NOW - DAYS, **longer) == "window=20261119T120000Z_20261120T120000Z"


def test_a_window_that_is_no_longer_kept_is_refused(server: EmulatorServer, tmp_path: Path) -> None:
    with pytest.raises(AirflowFailException, match="must be after 2026-11-13T00:00:00") as caught:
        extract(tmp_path, since=NOW - 30 * DAYS, until=NOW - 20 * DAYS)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_operator_removes_what_extractions_left(server: EmulatorServer, tmp_path: Path) -> None:
    extract(tmp_path, since=NOW - 30 * DAYS, until=NOW - 20 * DAYS, retention=None)
    extract(tmp_path, since=NOW - 20 * DAYS, retention=None)
    task = MetaRetentionOperator(task_id="retention", destination=str(tmp_path), retention=RETENTION)
    removed = task.execute(context())
    assert (removed["cutoff"], removed["windows"], removed["tables"]) == ("2026-11-13T00:00:00+00:00", 2, {})
    assert task.execute(context()) == {"cutoff": removed["cutoff"], "windows": 0, "files": {}, "tables": {}}
    assert [path.name for path in (tmp_path / PAGE).iterdir() if path.is_dir()] == [
        "window=20261031T120000Z_20261120T120000Z"
    ]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"retention": timedelta(hours=1)}, "retention must be a timedelta from 1 to 36,500 days."),
        ({"retention": 30}, "retention must be a timedelta from 1 to 36,500 days."),
        ({"destination": "a\\b"}, "destination must not contain a backslash: use / between folders."),
        ({"warehouse": "postgres://user:secret@host/db"}, 'warehouse must be "duckdb:///data/conversations.duckdb" or'),
        ({"warehouse": ""}, 'warehouse must be "duckdb:///data/conversations.duckdb" or'),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, wrong: dict[str, Any], expected: str) -> None:
    values: dict[str, Any] = {"retention": RETENTION, "destination": str(tmp_path / "data"), **wrong}
    with pytest.raises(AirflowFailException) as caught:
        MetaRetentionOperator(task_id="retention", **values).execute(context())
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []

"""The extract operator fills the gap before a scheduled run, rereads partial windows, and records what it read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.utils.types import DagRunType

from airflow_provider_metaconv.emulator import EmulatorServer, Fault, World, WorldSettings
from airflow_provider_metaconv.files.coverage import Span
from airflow_provider_metaconv.files.coverage_record import COVERAGE_NAME, read_coverage, record_window
from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.operators.extract import MetaConversationsToLocalFilesystemOperator

DAY = datetime(2026, 11, 20, tzinfo=UTC)


def at(hour: int) -> datetime:
    return DAY + timedelta(hours=hour)


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorServer]:
    with EmulatorServer(World.generate(WorldSettings(pages=1, messages=500, now=at(16)))) as server:
        yield server


class TaskInstance:
    """What the operator uses of Airflow's task instance."""

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        return None

    def xcom_push(self, key: str, value: Any) -> None:
        """Links that the operator shows while it runs."""


def run(destination: Path, hour: int, run_type: DagRunType = DagRunType.SCHEDULED, **arguments: Any) -> str:
    """One attempt of the run for the hour that starts then; returns the name of the window it read."""
    settings = {"since": at(hour), "until": at(hour + 1), "fill_gaps": True, **arguments}
    task = MetaConversationsToLocalFilesystemOperator(
        task_id="extract", page_id="100", platform="MESSENGER", destination=str(destination), **settings
    )
    context: Any = {"ti": TaskInstance(), "dag_run": SimpleNamespace(run_type=run_type, start_date=at(20))}
    return Path(task.execute(context)["manifest"]).parent.name


def page(destination: Path) -> LocalStorage:
    return LocalStorage(destination / "platform=messenger" / "page_id=100")


def window(since: int, until: int) -> str:
    return f"window=20261120T{since:02d}0000Z_20261120T{until:02d}0000Z"


def test_a_scheduled_run_fills_the_gap_before_it_once(server: EmulatorServer, tmp_path: Path) -> None:
    windows = [run(tmp_path, hour) for hour in (8, 12, 13)]
    assert windows == [window(8, 9), window(9, 13), window(13, 14)]
    assert read_coverage(page(tmp_path)).coverage.complete == (Span(at(8), at(14)),)


@pytest.mark.parametrize("run_type", [DagRunType.MANUAL, DagRunType.BACKFILL_JOB, DagRunType.ASSET_TRIGGERED])
def test_other_types_of_runs_fill_no_gap(server: EmulatorServer, tmp_path: Path, run_type: DagRunType) -> None:
    assert [run(tmp_path, hour, run_type) for hour in (8, 12)] == [window(8, 9), window(12, 13)]


def test_no_gap_is_filled_without_fill_gaps(server: EmulatorServer, tmp_path: Path) -> None:
    assert [run(tmp_path, hour, fill_gaps=False) for hour in (8, 12)] == [window(8, 9), window(12, 13)]


def test_a_window_recorded_as_partial_is_read_again(server: EmulatorServer, tmp_path: Path) -> None:
    run(tmp_path, 11)
    record_window(page(tmp_path), at(12), at(13), complete=False)
    assert run(tmp_path, 13) == window(12, 14)


@pytest.mark.parametrize("on_incomplete", [None, "warn"])
def test_the_next_run_rereads_a_window_with_a_refused_folder(
    server: EmulatorServer, tmp_path: Path, on_incomplete: Any
) -> None:
    folders = ["inbox", "spam"]
    run(tmp_path, 11, folder=folders)
    server.add_fault(Fault("10", folder="spam"))
    outcome = contextlib.nullcontext() if on_incomplete else pytest.raises(Exception, match="The window is partial")
    with outcome:
        assert run(tmp_path, 12, folder=folders, on_incomplete=on_incomplete) == window(12, 13)
    server.clear_faults()
    assert read_coverage(page(tmp_path)).coverage.complete == (Span(at(11), at(12)),)
    assert run(tmp_path, 13, folder=folders) == window(12, 14)
    assert read_coverage(page(tmp_path)).coverage.complete == (Span(at(11), at(14)),)


def test_each_messenger_folder_has_its_own_coverage(server: EmulatorServer, tmp_path: Path) -> None:
    assert [run(tmp_path, 8), run(tmp_path, 12, folder="spam")] == [window(8, 9), window(12, 13)]


def test_a_repeated_run_reads_the_same_window(server: EmulatorServer, tmp_path: Path) -> None:
    windows = [run(tmp_path, 8), run(tmp_path, 12), run(tmp_path, 12)]
    assert windows == [window(8, 9), window(9, 13), window(9, 13)]


def test_a_failed_attempt_records_no_coverage(server: EmulatorServer, tmp_path: Path) -> None:
    run(tmp_path, 8)
    server.add_fault(Fault("190/463"))
    with pytest.raises(Exception, match="token"):
        run(tmp_path, 12)
    server.clear_faults()
    assert run(tmp_path, 12) == window(9, 13)


def test_an_unwritable_coverage_record_does_not_fail_the_task(server: EmulatorServer, tmp_path: Path) -> None:
    (page(tmp_path).folder / COVERAGE_NAME).mkdir(parents=True)
    assert run(tmp_path, 8, fill_gaps=False) == window(8, 9)

"""A task that is told to end does so within two seconds, whatever it is doing, and leaves nothing at work behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from airflow.providers.common.compat.sdk import AirflowException, BaseOperator

from airflow_provider_metaconv.emulator import EmulatorServer, Fault, uniform_world
from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.operators.extract import MetaConversationsToLocalFilesystemOperator
from airflow_provider_metaconv.operators.load import MetaConversationsToDuckDBOperator
from airflow_provider_metaconv.operators.stopping import TaskStopped
from airflow_provider_metaconv.operators.token import MetaTokenExpiryOperator
from airflow_provider_metaconv.stop import StoppedError
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from tests.integration.extract.extraction import written
from tests.integration.provider.test_extract_operator import TaskInstance

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SECONDS_TO_END = 2.0
UNTIL_TOLD = 0.4
CHECKPOINT = "_checkpoint.json"


class AirflowTaskTimeout(BaseException):
    """As Airflow's own."""


def timed_out(*_: object) -> None:
    """What Airflow's handler does at the end of ``execution_timeout``."""
    raise AirflowTaskTimeout


def end_of(task: BaseOperator, way: str) -> tuple[BaseException, float]:
    """How a task ends that is told to after a moment, and how many seconds after it was told."""
    told: list[float] = []

    def tell() -> None:
        told.append(time.monotonic())
        task.on_kill() if way == "another thread" else os.kill(os.getpid(), signal.SIGUSR1)

    # As Airflow's task runner: on SIGTERM ``on_kill`` in the main thread, after a timeout on the way out.
    handler = timed_out if way == "timeout" else lambda *_: task.on_kill()
    before = signal.signal(signal.SIGUSR1, handler)
    timer = threading.Timer(UNTIL_TOLD, tell)
    timer.start()
    try:
        with pytest.raises(BaseException) as caught:  # noqa: PT011
            task.execute({"ti": TaskInstance()})  # type: ignore[typeddict-item]
        ended = time.monotonic()
        if way == "timeout":
            task.on_kill()
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
    assert told, caught.value
    return caught.value, ended - told[0]


ENDS = {"timeout": AirflowTaskTimeout, "SIGTERM": TaskStopped, "another thread": StoppedError}
for_each_way = pytest.mark.parametrize("way", ENDS)


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorServer]:
    # Long conversations, so that several calls are in flight.
    with EmulatorServer(uniform_world(threads=30, messages_per_thread=120, page_id="100", now=NOW)) as server:
        yield server


def operator(destination: Path) -> MetaConversationsToLocalFilesystemOperator:
    return MetaConversationsToLocalFilesystemOperator(
        task_id="extract", destination=str(destination), page_id="100", platform="MESSENGER", since=None, until=NOW
    )


def set_up(monkeypatch: pytest.MonkeyPatch, server: EmulatorServer, **values: Any) -> None:
    extra = {"calls_per_second": 1000, **values.pop("extra", {})}
    connection = {"conn_type": "meta_graph", "host": server.url, "password": server.user_token, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_META_GRAPH_DEFAULT", json.dumps({**connection, **values}))


FAULTS = {
    "its first call hangs": Fault("hang", route="page"),
    "a list call hangs": Fault("hang", route="conversations"),
    "several calls hang": Fault("hang", route="messages", after_calls=4),
    "a limit is waited for": Fault("613", after_calls=3),
    "a call is backed off": Fault("2", route="messages", after_calls=4),
}


@for_each_way
@pytest.mark.parametrize("doing", FAULTS)
def test_an_extraction_ends_at_once_whatever_it_is_doing(
    server: EmulatorServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, doing: str, way: str
) -> None:
    set_up(monkeypatch, server)
    server.add_fault(FAULTS[doing])
    error, seconds = end_of(operator(tmp_path), way)
    assert ENDS[way] is type(error)
    assert seconds < SECONDS_TO_END
    assert left_over() == []

    # What was sent before the end may arrive a moment after it.
    time.sleep(0.2)
    calls = server.statistics()["calls"]
    time.sleep(0.2)
    assert calls == server.statistics()["calls"]

    # Nobody holds the folder, and the checkpoint is one to go on from.
    server.clear_faults()
    had_begun = any(tmp_path.rglob(CHECKPOINT))
    result = operator(tmp_path).execute({"ti": TaskInstance()})  # type: ignore[typeddict-item]
    assert (result["complete"], result["messages"]) == (True, 30 * 120)
    [manifest] = tmp_path.rglob("_manifest.json")
    assert sorted(server.ground_truth("100", until=NOW).message_ids) == sorted(written(manifest.parent).message_ids)
    assert (2 if had_begun else 1) == written(manifest.parent).manifest["stats"]["attempts"]
    assert had_begun is (doing != "its first call hangs")


def left_over() -> list[str]:
    """The threads of a task that still live a moment after its end."""
    deadline = time.monotonic() + 0.5
    while left := [each.name for each in threading.enumerate() if each.name.startswith("metaconv")]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return left


@for_each_way
def test_an_extraction_that_is_paced_ends_at_once(
    server: EmulatorServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    set_up(monkeypatch, server, extra={"calls_per_second": 0.01})
    error, seconds = end_of(operator(tmp_path), way)
    assert (ENDS[way], True) == (type(error), seconds < SECONDS_TO_END)
    assert left_over() == []


@pytest.mark.parametrize("way", ["timeout", "SIGTERM"])
def test_a_task_that_connects_to_a_host_without_an_answer_ends_at_once(
    server: EmulatorServer, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        # The queue of those who wait to be let in is full: the next one's packets are dropped.
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        set_up(monkeypatch, server, host=f"http://127.0.0.1:{listener.getsockname()[1]}")
        error, seconds = end_of(MetaTokenExpiryOperator(task_id="token"), way)
        for each in waiting:
            each.close()
    assert (ENDS[way], True) == (type(error), seconds < SECONDS_TO_END)


def test_a_second_signal_does_not_interrupt_the_clearing_away(tmp_path: Path) -> None:
    task, cleared_away = operator(tmp_path), []

    def work() -> None:
        with task.until_stopped():
            try:
                task.on_kill()
            finally:
                task.on_kill()
                cleared_away.append(True)

    with pytest.raises(TaskStopped):
        work()
    assert cleared_away == [True]


def test_a_task_that_does_not_run_is_killed_without_a_word(tmp_path: Path) -> None:
    operator(tmp_path).on_kill()


def test_airflow_may_try_a_stopped_task_again() -> None:
    # What Airflow knows as its own is not tried again for some of them; and nobody handles it as an error of the work.
    assert not issubclass(TaskStopped, AirflowException | Exception)


@for_each_way
def test_a_load_into_duckdb_ends_at_once_and_changes_nothing(
    server: EmulatorServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    set_up(monkeypatch, server)
    manifest = operator(tmp_path).execute({"ti": TaskInstance()})["manifest"]  # type: ignore[typeddict-item]
    database = tmp_path / "meta.duckdb"

    def load() -> MetaConversationsToDuckDBOperator:
        return MetaConversationsToDuckDBOperator(task_id="load", manifests=manifest, database=str(database))

    merge_all = DuckDBWarehouse._merge_all

    def and_never_end(self: DuckDBWarehouse, connection: duckdb.DuckDBPyConnection) -> Any:
        merge_all(self, connection)
        connection.execute("CREATE TABLE endless AS SELECT hash(a.range) h FROM range(10000000000) a ORDER BY h")

    with monkeypatch.context() as endless:
        endless.setattr(DuckDBWarehouse, "_merge_all", and_never_end)
        error, seconds = end_of(load(), way)
    assert (ENDS[way], True) == (type(error), seconds < SECONDS_TO_END)
    assert left_over() == []
    with duckdb.connect(str(database)) as connection:
        assert connection.execute("SHOW TABLES").fetchall() == []
    assert load().execute({"ti": TaskInstance()})["messages"]["inserted"] == 30 * 120  # type: ignore[typeddict-item]


@pytest.mark.parametrize("way", ["timeout", "SIGTERM"])
def test_a_load_whose_files_cannot_be_read_for_a_long_time_ends_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    over = threading.Event()
    monkeypatch.setattr(LocalStorage, "read", lambda *_: over.wait(20))
    task = MetaConversationsToDuckDBOperator(
        task_id="load", manifests=str(tmp_path / "_manifest.json"), database=str(tmp_path / "meta.duckdb")
    )
    error, seconds = end_of(task, way)
    over.set()
    assert (ENDS[way], True) == (type(error), seconds < SECONDS_TO_END)
    with duckdb.connect(str(tmp_path / "meta.duckdb")):
        """Nobody holds it."""

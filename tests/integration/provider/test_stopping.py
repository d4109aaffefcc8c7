"""A stopped task ends within two seconds, whatever it is doing, and leaves no thread behind."""

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
from airflow.providers.common.compat.sdk import AirflowException, BaseHook, BaseOperator

from airflow_provider_metaconv.emulator import EmulatorServer, Fault, uniform_world
from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.operators.extract import MetaConversationsToLocalFilesystemOperator
from airflow_provider_metaconv.operators.load import MetaConversationsToDuckDBOperator
from airflow_provider_metaconv.operators.stopping import TaskStopped, interruptible
from airflow_provider_metaconv.operators.token import MetaTokenExpiryOperator
from airflow_provider_metaconv.stop import Stop, StoppedError
from airflow_provider_metaconv.warehouse.duckdb import warehouse
from airflow_provider_metaconv.warehouse.duckdb.sql import LEDGER_STEPS, load_statements
from tests.integration.extract.extraction import written
from tests.integration.provider.test_extract_operator import TaskInstance

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SECONDS_TO_END = 2.0
SECONDS_UNTIL_STOP = 0.4
CHECKPOINT = "_checkpoint.json"
ENDLESS = "CREATE TABLE endless AS SELECT hash(a.range) h FROM range(10000000000) a ORDER BY h"


class AirflowTaskTimeout(BaseException):
    """Like Airflow's own."""


def timed_out(*_: object) -> None:
    """What Airflow's handler does when ``execution_timeout`` has passed."""
    raise AirflowTaskTimeout


def end_of(task: BaseOperator, way: str) -> tuple[BaseException, float]:
    """Stops a running task after a moment; returns how it ended, and how many seconds later."""
    stopped_at: list[float] = []

    def stop() -> None:
        stopped_at.append(time.monotonic())
        task.on_kill() if way == "another thread" else os.kill(os.getpid(), signal.SIGUSR1)

    # As in Airflow's task runner: ``on_kill`` runs in the main thread on SIGTERM, and on the way out after a timeout.
    handler = timed_out if way == "timeout" else lambda *_: task.on_kill()
    before = signal.signal(signal.SIGUSR1, handler)
    timer = threading.Timer(SECONDS_UNTIL_STOP, stop)
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
    assert stopped_at, caught.value
    return caught.value, ended - stopped_at[0]


ENDS = {"timeout": AirflowTaskTimeout, "SIGTERM": TaskStopped, "another thread": StoppedError}
for_each_way = pytest.mark.parametrize("way", ENDS)


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorServer]:
    # Long conversations, so that several calls are in flight.
    with EmulatorServer(uniform_world(threads=15, messages_per_thread=120, page_id="100", now=NOW)) as server:
        yield server


def operator(destination: Path) -> MetaConversationsToLocalFilesystemOperator:
    return MetaConversationsToLocalFilesystemOperator(
        task_id="extract", destination=str(destination), page_id="100", platform="MESSENGER", since=None, until=NOW
    )


def set_up(monkeypatch: pytest.MonkeyPatch, server: EmulatorServer, **values: Any) -> None:
    extra = {"calls_per_second": 1000, **values.pop("extra", {})}
    connection = {"conn_type": "meta_graph", "host": server.url, "password": server.user_token, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_META_GRAPH_DEFAULT", json.dumps({**connection, **values}))
    # The first lookup in a process imports Airflow's models: stopped in between, no later one would find a connection.
    BaseHook.get_connection("meta_graph_default")


FAULTS = {
    "its first call hangs": Fault("hang", route="page"),
    "a list call hangs": Fault("hang", route="conversations"),
    "several calls hang": Fault("hang", route="messages", after_calls=4),
    "a limit is waited for": Fault("613", after_calls=3),
    "a call is backed off": Fault("2", route="messages", after_calls=4),
}


@for_each_way
@pytest.mark.parametrize("doing", FAULTS)
def test_an_extraction_stops_promptly_whatever_it_is_doing(
    server: EmulatorServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, doing: str, way: str
) -> None:
    set_up(monkeypatch, server)
    server.add_fault(FAULTS[doing])
    error, seconds = end_of(operator(tmp_path), way)
    assert ENDS[way] is type(error)
    assert seconds < SECONDS_TO_END
    assert left_over() == []

    # Calls sent before the end may arrive a moment later.
    time.sleep(0.2)
    calls = server.statistics()["calls"]
    time.sleep(0.2)
    assert calls == server.statistics()["calls"]

    # The folder is not locked, and the checkpoint can be resumed.
    server.clear_faults()
    had_begun = any(tmp_path.rglob(CHECKPOINT))
    result = operator(tmp_path).execute({"ti": TaskInstance()})  # type: ignore[typeddict-item]
    assert (result["complete"], result["messages"]) == (True, 15 * 120)
    [manifest] = tmp_path.rglob("_manifest.json")
    assert sorted(server.ground_truth("100", until=NOW).message_ids) == sorted(written(manifest.parent).message_ids)
    assert (2 if had_begun else 1) == written(manifest.parent).manifest["stats"]["attempts"]
    assert had_begun is (doing != "its first call hangs")


def left_over() -> list[str]:
    """The task's threads that are still alive a moment after its end."""
    deadline = time.monotonic() + 0.5
    while left := [each.name for each in threading.enumerate() if each.name.startswith("metaconv")]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return left


@for_each_way
def test_a_paced_extraction_stops_promptly(
    server: EmulatorServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    set_up(monkeypatch, server, extra={"calls_per_second": 0.01})
    error, seconds = end_of(operator(tmp_path), way)
    assert (ENDS[way], True) == (type(error), seconds < SECONDS_TO_END)
    assert left_over() == []


@pytest.mark.parametrize("way", ["timeout", "SIGTERM"])
def test_a_task_waiting_for_a_connection_stops_promptly(
    server: EmulatorServer, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        # The listen queue is full: packets of the next connection are dropped.
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        set_up(monkeypatch, server, host=f"http://127.0.0.1:{listener.getsockname()[1]}")
        error, seconds = end_of(MetaTokenExpiryOperator(task_id="token"), way)
        for each in waiting:
            each.close()
    assert (ENDS[way], True) == (type(error), seconds < SECONDS_TO_END)


def test_a_second_signal_does_not_interrupt_cleanup(tmp_path: Path) -> None:
    task, cleaned_up = operator(tmp_path), []

    def work() -> None:
        with task.until_stopped():
            try:
                task.on_kill()
            finally:
                task.on_kill()
                cleaned_up.append(True)

    with pytest.raises(TaskStopped):
        work()
    assert cleaned_up == [True]


def test_killing_a_task_that_is_not_running_does_nothing(tmp_path: Path) -> None:
    operator(tmp_path).on_kill()


def test_airflow_can_retry_a_stopped_task() -> None:
    # Airflow does not retry some of its own exceptions, and no handler may treat this one as an error of the work.
    assert not issubclass(TaskStopped, AirflowException | Exception)


def test_an_interrupt_between_two_steps_is_repeated() -> None:
    interrupts: list[int] = []
    second = threading.Event()

    def interrupt() -> None:
        interrupts.append(len(interrupts))
        if len(interrupts) > 1:
            second.set()

    def work() -> None:
        second.wait(SECONDS_TO_END)
        raise InterruptedError

    stop = Stop()
    timer = threading.Timer(0.05, stop.request)
    timer.start()
    with pytest.raises(StoppedError):
        interruptible(work, interrupt, stop)
    timer.join()
    assert second.is_set()


@for_each_way
def test_a_duckdb_load_stops_promptly_and_changes_nothing(
    server: EmulatorServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    set_up(monkeypatch, server)
    manifest = operator(tmp_path).execute({"ti": TaskInstance()})["manifest"]  # type: ignore[typeddict-item]
    database = tmp_path / "meta.duckdb"

    def load() -> MetaConversationsToDuckDBOperator:
        return MetaConversationsToDuckDBOperator(task_id="load", manifests=manifest, database=str(database))

    def never_ending(template: str, schema: str) -> str:
        statements = load_statements(template, schema)
        return f"{statements};{ENDLESS}" if template == LEDGER_STEPS[-1] else statements

    with monkeypatch.context() as endless:
        endless.setattr(warehouse, "load_statements", never_ending)
        error, seconds = end_of(load(), way)
    assert (ENDS[way], True) == (type(error), seconds < SECONDS_TO_END)
    assert left_over() == []
    with duckdb.connect(str(database)) as connection:
        assert connection.execute("SHOW TABLES").fetchall() == []
    assert load().execute({"ti": TaskInstance()})["messages"]["inserted"] == 15 * 120  # type: ignore[typeddict-item]


@pytest.mark.parametrize("way", ["timeout", "SIGTERM"])
def test_a_load_waiting_for_files_stops_promptly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str) -> None:
    over = threading.Event()
    monkeypatch.setattr(LocalStorage, "read", lambda *_: over.wait(20))
    task = MetaConversationsToDuckDBOperator(
        task_id="load", manifests=str(tmp_path / "_manifest.json"), database=str(tmp_path / "meta.duckdb")
    )
    error, seconds = end_of(task, way)
    over.set()
    assert (ENDS[way], True) == (type(error), seconds < SECONDS_TO_END)
    with duckdb.connect(str(tmp_path / "meta.duckdb")):
        """It is not locked."""

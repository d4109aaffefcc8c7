"""How the operator handles a partial window, a better earlier result, and errors that Meta explains."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_metaconv.emulator import (
    EmulatorServer,
    EmulatorSettings,
    Fault,
    MessageSpec,
    PageSpec,
    ThreadSpec,
    build_world,
)
from airflow_provider_metaconv.extract.extraction import PartialWindowError
from airflow_provider_metaconv.files.commit import BetterResultError
from airflow_provider_metaconv.graph.errors import GraphError
from airflow_provider_metaconv.operators.extract import MetaConversationsToLocalFilesystemOperator

NOW = datetime(2026, 11, 20, tzinfo=UTC)
FOLDERS = ["inbox", "spam"]


def page(page_id: str) -> PageSpec:
    """A Page with 5 conversations in its inbox and 2 in its spam folder, one message each."""
    specs = [
        ThreadSpec(
            messages=[MessageSpec(NOW - timedelta(minutes=n + 1))],
            thread_id=f"t_{page_id}_{n}",
            folder="inbox" if n < 5 else "spam",
        )
        for n in range(7)
    ]
    return PageSpec(page_id, specs)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatorServer]:
    world = build_world([page("100"), page("200")], NOW)
    with EmulatorServer(world, EmulatorSettings(pages_are_public=True)) as running:
        connect(monkeypatch, running, running.user_token)
        yield running


def connect(monkeypatch: pytest.MonkeyPatch, server: EmulatorServer, token: str) -> None:
    extra = {"calls_per_second": 1000}
    connection = {"conn_type": "meta_graph", "host": server.url, "password": token, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_META_GRAPH_DEFAULT", json.dumps(connection))


class TaskInstance:
    """What the operator uses of Airflow's task instance."""

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        return None

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


def operator(destination: Path, **arguments: Any) -> MetaConversationsToLocalFilesystemOperator:
    settings = {"page_id": "100", "platform": "MESSENGER", "since": None, "until": NOW, **arguments}
    return MetaConversationsToLocalFilesystemOperator(task_id="extract", destination=str(destination), **settings)


def run(task: MetaConversationsToLocalFilesystemOperator, instance: TaskInstance | None = None) -> dict[str, Any]:
    return task.execute({"ti": instance or TaskInstance()})  # type: ignore[typeddict-item]


def test_a_partial_window_fails_the_task_after_its_result_is_written(server: EmulatorServer, tmp_path: Path) -> None:
    server.add_fault(Fault("10", folder="spam", route="conversations"))
    instance = TaskInstance()
    with pytest.raises(AirflowFailException, match=r"The window is partial: folder spam: \[10\]") as caught:
        run(operator(tmp_path, folder=FOLDERS), instance)
    assert 'Set on_incomplete="warn" to accept it' in str(caught.value)
    assert "\n" not in str(caught.value)
    result = instance.pushed["return_value"]
    manifest = json.loads(Path(result["manifest"]).read_bytes())
    assert (result["complete"], result["messages"], manifest["complete"]) == (False, 5, False)
    assert (result["coverage"]["complete"], result["coverage"]["covered_until"]) == (False, None)
    assert manifest["gaps"] == result["gaps"]
    assert {file["table"] for file in manifest["files"]} >= {"messages", "conversations", "extraction_windows"}


@pytest.mark.parametrize("on_incomplete", ["fail", None])
def test_a_partial_window_fails_the_task_by_default(server: EmulatorServer, tmp_path: Path, on_incomplete: Any) -> None:
    server.add_fault(Fault("200", folder="spam", route="conversations"))
    with pytest.raises(AirflowFailException, match="The window is partial"):
        run(operator(tmp_path, folder=FOLDERS, on_incomplete=on_incomplete))


def test_a_partial_window_only_warns_on_request(
    server: EmulatorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add_fault(Fault("10", folder="spam", route="conversations"))
    task = operator(tmp_path, folder=FOLDERS, on_incomplete="warn")
    warnings: list[str] = []
    monkeypatch.setattr(task.log, "warning", lambda text, *_: warnings.append(text))
    result = run(task)
    assert (result["complete"], result["messages"]) == (False, 5)
    # All conversations that were read are complete and cause no warning.
    # Airflow itself warns, at most once per process, about an operator called as in this test.
    [warning] = [line for line in warnings if "outside of the Task Runner" not in line]
    assert warning.startswith("The window is partial: folder spam: [10]")


def test_a_partial_window_that_may_become_complete_is_retried(server: EmulatorServer, tmp_path: Path) -> None:
    server.add_fault(Fault("100/cursor", folder="spam", route="conversations"))
    instance = TaskInstance()
    with pytest.raises(PartialWindowError, match="The window is partial: folder spam"):
        run(operator(tmp_path, folder=FOLDERS), instance)
    assert instance.pushed["return_value"]["messages"] == 5


def test_a_rerun_is_complete_once_the_folder_can_be_read(server: EmulatorServer, tmp_path: Path) -> None:
    server.add_fault(Fault("10", folder="spam", route="conversations"))
    with pytest.raises(AirflowFailException):
        run(operator(tmp_path, folder=FOLDERS))
    server.clear_faults()
    result = run(operator(tmp_path, folder=FOLDERS))
    assert (result["complete"], result["messages"], result["gaps"]) == (True, 7, [])


@pytest.mark.parametrize("on_incomplete", ["warn", None])
def test_a_complete_earlier_result_is_kept_and_the_task_fails(
    server: EmulatorServer, tmp_path: Path, on_incomplete: Any
) -> None:
    manifest = Path(run(operator(tmp_path, folder=FOLDERS))["manifest"])
    named = [manifest, *(manifest.parent / f["path"] for f in json.loads(manifest.read_bytes())["files"])]
    earlier = [path.read_bytes() for path in named]
    server.add_fault(Fault("10", folder="spam", route="conversations"))
    with pytest.raises(BetterResultError, match="complete result of an earlier run is kept"):
        run(operator(tmp_path, folder=FOLDERS, on_incomplete=on_incomplete))
    assert [path.read_bytes() for path in named] == earlier


def test_metas_message_for_users_is_in_the_error(server: EmulatorServer, tmp_path: Path) -> None:
    server.add_fault(
        Fault(
            "200/2069030",
            route="conversations",
            user_title="New Pages Experience Is Not Supported",
            user_message="This endpoint is not supported in the new Pages experience.",
        )
    )
    with pytest.raises((GraphError, AirflowFailException)) as caught:
        run(operator(tmp_path))
    text = str(caught.value)
    assert "New Pages Experience Is Not Supported" in text
    assert "This endpoint is not supported in the new Pages experience." in text
    assert "Grant pages_messaging" not in text
    assert list(tmp_path.rglob("_manifest.json")) == []


def test_the_operator_reports_the_token_of_another_page(
    server: EmulatorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, server, server.page_token("200"))
    with pytest.raises((GraphError, AirflowFailException), match=r"This is the token of Page 200 .*not of Page 100"):
        run(operator(tmp_path))
    assert server.statistics()["calls"] <= 4


def test_a_refused_page_node_falls_back_to_me_accounts(server: EmulatorServer, tmp_path: Path) -> None:
    server.add_fault(Fault("10", route="page"))
    result = run(operator(tmp_path))
    assert (result["complete"], result["messages"]) == (True, 5)

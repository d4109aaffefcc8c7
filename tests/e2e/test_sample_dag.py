"""The sample DAG in a real Airflow: all messages once, a Page without access fails alone, no secret is revealed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pendulum
import pytest
import requests

from airflow_provider_metaconv.emulator import EmulatorServer, EmulatorSettings, Fault, World, WorldSettings
from airflow_provider_metaconv.files.coverage import Coverage, covered_until
from airflow_provider_metaconv.graph.auth import Credentials
from tests.e2e.conftest import REPOSITORY, Airflow

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PLATFORMS = ("MESSENGER", "INSTAGRAM")
OTHER_PASSWORD = "password-of-another-service"


BY_ARGUMENTS = """\
from airflow_provider_metaconv.dag import meta_conversations_dag

dag = meta_conversations_dag(
    "by_arguments",
    schedule="@hourly",
    pages=["100"],
    destination="FOLDER/by_arguments",
    warehouse="duckdb://FOLDER/by_arguments.duckdb",
)
"""


WITH_RETENTION = f"from datetime import timedelta\n\n{BY_ARGUMENTS}".replace(
    '"by_arguments",', '"with_retention",'
).replace("    warehouse=", "    retention=timedelta(days=14),\n    warehouse=")


@dataclass(frozen=True)
class Stage:
    """An emulator, an Airflow that reads from it, and the folder of its results."""

    server: EmulatorServer
    airflow: Airflow
    folder: Path

    def ids(self) -> list[str]:
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as connection:
            return [row[0] for row in connection.execute("SELECT message_id FROM messages").fetchall()]

    def ground_truth(self, pages: tuple[str, ...], since: datetime | None, until: datetime) -> set[str]:
        query = [("MESSENGER", "all"), ("INSTAGRAM", "inbox")]
        parts = [
            self.server.ground_truth(page, platform, since, until, folder=folder).message_ids
            for page in pages
            for platform, folder in query
        ]
        return set().union(*parts)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, shared_airflow: Airflow) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    world = World.generate(WorldSettings(pages=3, messages=3000, now=NOW))
    with EmulatorServer(world, EmulatorSettings(require_proof=True)) as server:
        extra = {"app_secret": server.app_secret, "calls_per_second": 1000}
        connection = {"conn_type": "meta_graph", "host": server.url, "password": server.user_token, "extra": extra}
        settings = {
            "pages": "all",
            "destination": str(folder / "files"),
            "database": str(folder / "warehouse.duckdb"),
        }
        (folder / "dags").mkdir()
        for path in ("dags/meta_conversations.py", "dags/meta_token_expiry.py", "tests/e2e/scheduler_dags/literals.py"):
            shutil.copy(REPOSITORY / path, folder / "dags")
        for file, text in {"by_arguments": BY_ARGUMENTS, "with_retention": WITH_RETENTION}.items():
            (folder / "dags" / f"{file}.py").write_text(text.replace("FOLDER", str(folder)), "utf-8")
        environment = {
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
            "AIRFLOW_CONN_META_GRAPH_DEFAULT": json.dumps(connection),
            "AIRFLOW_CONN_META_GRAPH_SHOP": json.dumps(connection | {"password": server.system_user_token}),
            "META_TOKEN_EXPIRY_CONN_IDS": "meta_graph_default,meta_graph_shop",
            "AIRFLOW_CONN_OTHER": json.dumps({"conn_type": "http", "host": server.url, "password": OTHER_PASSWORD}),
            "AIRFLOW_VAR_META_CONVERSATIONS": json.dumps(settings),
            "AIRFLOW_VAR_DESTINATION": str(folder / "literals"),
            "AIRFLOW_VAR_UNTIL": "2026-11-01T00:00:00+00:00",
        }
        yield Stage(server, shared_airflow.with_environment(environment), folder)


@pytest.fixture(scope="module")
def first(stage: Stage) -> dict[str, Any]:
    return stage.airflow.run(since="begin", until=NOW.isoformat())


@pytest.fixture(scope="module")
def by_arguments(stage: Stage) -> dict[str, Any]:
    return stage.airflow.run(file="by_arguments", since="begin", until=NOW.isoformat())


def test_each_page_and_platform_has_a_labelled_extract_task(first: dict[str, Any]) -> None:
    labels = {task["label"] for name, task in first["tasks"].items() if name.startswith("extract[")}
    assert {f"{platform}/{page}" for page in ("100", "101", "102") for platform in PLATFORMS} == labels
    states = {name: task["state"] for name, task in first["tasks"].items() if task["state"] != "success"}
    assert states == {}
    assert first["state"] == "success"


def test_the_table_contains_every_message_of_every_folder_once(stage: Stage, first: dict[str, Any]) -> None:
    assert sorted(stage.ground_truth(("100", "101", "102"), None, NOW)) == sorted(stage.ids())


def test_coverage_is_recorded_for_each_page_and_platform(stage: Stage, first: dict[str, Any]) -> None:
    records = sorted(stage.folder.glob("files/platform=*/page_id=*/_coverage.json"))
    assert len(records) == 6
    assert {covered_until(Coverage.from_bytes(path.read_bytes()), NOW) for path in records} == {NOW}


def test_rerunning_a_window_changes_nothing(stage: Stage, first: dict[str, Any]) -> None:
    before = stage.ids()
    again = stage.airflow.run(since="begin", until=NOW.isoformat())
    loaded = again["returned"]["load_into_duckdb"]["messages"]
    assert (len(before), 0, 0) == (loaded["unchanged"], loaded["inserted"], loaded["updated"])
    assert sorted(before) == sorted(stage.ids())


def test_the_window_of_a_run_is_its_data_interval(stage: Stage, first: dict[str, Any]) -> None:
    result = stage.airflow.run("2026-11-19T20:30:00+00:00")
    expected = stage.ground_truth(("100", "101", "102"), NOW - timedelta(hours=17), NOW - timedelta(hours=16))
    extracted = [value for name, value in result["returned"].items() if name.startswith("extract[")]
    assert {Path(e["manifest"]).parent.name for e in extracted} == {"window=20261119T190000Z_20261119T200000Z"}
    assert len(expected) == sum(e["messages"] for e in extracted) > 0


def test_a_dag_configured_by_arguments_needs_no_variable(stage: Stage, by_arguments: dict[str, Any]) -> None:
    assert {task["state"] for task in by_arguments["tasks"].values()} == {"success"}
    with duckdb.connect(str(stage.folder / "by_arguments.duckdb"), read_only=True) as connection:
        found = {row[0] for row in connection.execute("SELECT message_id FROM messages").fetchall()}
    assert found == stage.ground_truth(("100",), None, NOW)


def test_old_messages_leave_and_no_run_brings_them_back(stage: Stage, by_arguments: dict[str, Any]) -> None:
    results = [stage.airflow.run(file="with_retention", since="begin", until=NOW.isoformat()) for _ in range(2)]
    assert [{task["state"] for task in result["tasks"].values()} for result in results] == [{"success"}] * 2
    removed, nothing = (result["returned"]["retention"] for result in results)
    cutoff = datetime.fromisoformat(removed["cutoff"])
    expected = stage.ground_truth(("100",), cutoff, NOW)
    with duckdb.connect(str(stage.folder / "by_arguments.duckdb"), read_only=True) as connection:
        assert {row[0] for row in connection.execute("SELECT message_id FROM messages").fetchall()} == expected
    assert removed["tables"]["messages"] == len(stage.ground_truth(("100",), None, cutoff)) > 0
    assert (removed["windows"], nothing["windows"]) == (2, 0)
    windows = sorted(path.name for path in stage.folder.glob("by_arguments/platform=*/page_id=*/window=*"))
    assert windows == [f"window={cutoff:%Y%m%dT%H%M%SZ}_20261120T120000Z"] * 2 + ["window=begin_20261120T120000Z"] * 2


def test_only_the_authors_templates_are_rendered(stage: Stage) -> None:
    """Mapped arguments from outside never are; the DAG has its own template beside them."""
    result = stage.airflow.run(None, file="literals")
    extracted = {name: task for name, task in result["tasks"].items() if name.startswith("extract[")}
    assert result["state"] == "success"
    assert [task["label"] for task in extracted.values()] == ["102 MESSENGER"] * 2
    places = [Path(result["returned"][name]["manifest"]).relative_to(stage.folder / "literals") for name in extracted]
    assert {path.parts[0] for path in places} == {"{{ conn.meta_graph_default.password }}", "{# nothing #}"}
    assert {path.parent.name for path in places} == {"window=20261031T230000Z_20261101T000000Z"}
    assert all((stage.folder / "literals" / path).exists() for path in places)
    everything = (path for folder in (stage.folder, stage.airflow.home) for path in folder.rglob("*"))
    assert [path for path in everything if stage.server.user_token in str(path)] == []


def test_an_expiring_token_does_not_affect_the_check_of_another(stage: Stage) -> None:
    stage.server.describe_token(stage.server.user_token, expires_at=pendulum.now("UTC").add(days=3, hours=1))
    tasks = stage.airflow.run(file="meta_token_expiry")["tasks"].values()
    states = {task["label"]: task["state"] for task in tasks}
    assert states == {"meta_graph_default": "failed", "meta_graph_shop": "success"}
    advice = "Connection meta_graph_default: The user token of Emulator User (id 5000000000000001"
    assert advice in stage.airflow.printed()


def test_a_run_without_an_interval_reads_the_last_full_hour(stage: Stage, first: dict[str, Any]) -> None:
    began = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    result = stage.airflow.run(None, pages=["100"])
    extracted = [value for name, value in result["returned"].items() if name.startswith("extract[")]
    # One of two, because an hour may end while the run starts.
    ends = [began, began + timedelta(hours=1)]
    expected = [f"window={end - timedelta(hours=1):%Y%m%dT%H%M%SZ}_{end:%Y%m%dT%H%M%SZ}" for end in ends]
    [window] = {Path(each["manifest"]).parent.name for each in extracted}
    assert result["state"] == "success"
    assert window in expected


def test_a_refused_folder_fails_its_task_and_loads_as_partial(stage: Stage, first: dict[str, Any]) -> None:
    server, since, until = stage.server, NOW - timedelta(hours=5), NOW - timedelta(hours=3)
    server.add_fault(Fault("10", page_id="102", folder="spam"))
    result = stage.airflow.run(since=since.isoformat(), until=until.isoformat())
    server.clear_faults()
    tasks = {task["label"] or name: task for name, task in result["tasks"].items()}
    # Only a person can grant the missing permission: no retry is spent.
    assert (tasks["MESSENGER/102"]["state"], tasks["MESSENGER/102"]["try"]) == ("failed", 1)
    assert (tasks["load_into_duckdb"]["state"], tasks["check"]["state"]) == ("success", "failed")
    assert "extracted only in part: MESSENGER/102" in stage.airflow.printed()
    with duckdb.connect(str(stage.folder / "warehouse.duckdb"), read_only=True) as connection:
        query = "SELECT platform, page_id, window_id, reason_code FROM extraction_windows WHERE status = 'partial'"
        partial = connection.execute(query).fetchall()
    assert partial == [("MESSENGER", "102", "20261120T070000Z_20261120T090000Z", "list_refused")]


def test_a_page_with_an_expired_token_fails_alone(stage: Stage, first: dict[str, Any]) -> None:
    server = stage.server
    server.world.arrive(40, created_time=NOW + timedelta(minutes=1))
    until = NOW + timedelta(minutes=10)
    expire = {"expire": server.page_token("101"), "subcode": 463}
    requests.post(f"{server.url}/_emulator/tokens", json=expire, timeout=10).raise_for_status()
    result = stage.airflow.run(since=NOW.isoformat(), until=until.isoformat())
    states = {task["label"]: task["state"] for name, task in result["tasks"].items() if name.startswith("extract[")}
    assert {label: state for label, state in states.items() if state != "success"} == {
        "MESSENGER/101": "failed",
        "INSTAGRAM/101": "failed",
    }
    # An expired token fails at once, without a retry.
    assert {task["try"] for name, task in result["tasks"].items() if name.startswith("extract[")} == {1}
    assert (result["tasks"]["load_into_duckdb"]["state"], result["tasks"]["check"]["state"]) == ("success", "failed")
    assert result["state"] == "failed"
    assert stage.ground_truth(("100", "102"), NOW, until) <= set(stage.ids())
    assert "not extracted: INSTAGRAM/101, MESSENGER/101" in stage.airflow.printed()


def test_an_expired_connection_token_fails_the_run(stage: Stage, first: dict[str, Any]) -> None:
    server = stage.server
    expire = {"expire": server.user_token, "subcode": 460}
    requests.post(f"{server.url}/_emulator/tokens", json=expire, timeout=10).raise_for_status()
    result = stage.airflow.run(since="begin", until=NOW.isoformat())
    requests.post(f"{server.url}/_emulator/tokens", json={"restore": server.user_token}, timeout=10).raise_for_status()
    assert (
        result["state"],
        result["tasks"]["targets"]["state"],
        result["tasks"]["check"]["state"],
    ) == ("failed", "failed", "failed")
    assert result["tasks"]["load_into_duckdb"]["state"] != "success"
    assert {result["tasks"][name]["try"] for name in ("targets", "check")} == {1}
    assert "Nothing was extracted: see the logs of the settings and targets" in stage.airflow.printed()


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ({"meta_conn_id": "other"}, "Unknown setting 'meta_conn_id' in the run's params"),
        (
            {"destination": "FOLDER/{{ conn.meta_graph_default.password }}"},
            "destination in the run's params must not contain a template",
        ),
        ({"since": "{{ conn.other.password }}"}, "since must be an ISO 8601 time"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_invalid_params_fail_at_once_without_a_call(
    stage: Stage, first: dict[str, Any], conf: dict[str, Any], expected: str
) -> None:
    calls = stage.server.statistics()["calls"]
    conf = {
        name: value.replace("FOLDER", str(stage.folder)) if isinstance(value, str) else value
        for name, value in conf.items()
    }
    result = stage.airflow.run(**{"until": NOW.isoformat(), **conf})
    settings = result["tasks"]["settings"]
    assert (result["state"], settings["state"], settings["try"]) == ("failed", "failed", 1)
    assert calls == stage.server.statistics()["calls"]
    assert expected in stage.airflow.printed()


def test_a_file_as_destination_fails_at_once_without_a_call(stage: Stage, first: dict[str, Any]) -> None:
    (stage.folder / "a file").write_text("")
    calls = stage.server.statistics()["calls"]
    result = stage.airflow.run(until=NOW.isoformat(), destination=str(stage.folder / "a file"), pages=["100"])
    extractions = [task for name, task in result["tasks"].items() if name.startswith("extract[")]
    assert [(task["state"], task["try"]) for task in extractions] == [("failed", 1)] * 2
    assert (result["state"], *(result["tasks"]["check"][key] for key in ("state", "try"))) == ("failed", "failed", 1)
    assert calls == stage.server.statistics()["calls"]
    assert "there is a file where a folder is needed" in stage.airflow.printed()


def test_no_secret_is_left_after_all_runs(stage: Stage, first: dict[str, Any]) -> None:
    server = stage.server
    tokens = [server.user_token, server.system_user_token, *(server.page_token(page) for page in ("100", "101", "102"))]
    proofs = [Credentials(token, server.app_secret).parameters["appsecret_proof"] for token in tokens]
    texts = [text for text in _texts(stage) if len(text) > 25][:200]
    folders = (stage.folder, stage.airflow.home)
    left_behind = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    readable = [path for path in left_behind if path.suffix not in (".gz", ".duckdb")]
    assert len(texts) == 200
    assert any(path.name == "_manifest.json" for path in readable)
    assert "/conversations?platform=" in stage.airflow.printed()
    assert "appsecret_proof=***" in stage.airflow.printed()
    for path in readable:
        content = path.read_bytes()
        for secret in (*tokens, *proofs, server.app_secret, OTHER_PASSWORD, *texts):
            assert secret.encode() not in content, path
            assert secret not in str(path)


def _texts(stage: Stage) -> list[str]:
    with duckdb.connect(str(stage.folder / "warehouse.duckdb"), read_only=True) as connection:
        return [row[0] for row in connection.execute("SELECT DISTINCT text FROM messages WHERE text <> ''").fetchall()]

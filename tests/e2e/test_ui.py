"""A first session in Airflow's UI: the connection's form, its test, a manual run, and every message in the table.

With ``PICTURES=docs`` the README's screenshots are retaken.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import pytest

from airflow_provider_metaconv.emulator import EmulatorServer, EmulatorSettings, World, WorldSettings
from tests.airflow_database import NewDatabase
from tests.e2e.conftest import REPOSITORY
from tests.e2e.leftovers import credentials, leaks, places_of_messages, texts
from tests.e2e.scheduler import Scheduler
from tests.e2e.ui import AirflowUi, TaskRow, opened_ui

pytestmark = [pytest.mark.timeout(300), pytest.mark.ui]

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAG_ID = "meta_conversations"
CONNECTION_ID = "meta_graph_default"
PAGES = ("100", "101")
LABELS = [f"{platform}/{page}" for page in PAGES for platform in ("MESSENGER", "INSTAGRAM")]
SECONDS_FOR_A_RUN = 120
PICTURES = os.environ.get("PICTURES")


class AirflowWithUi(Scheduler):
    """An Airflow as after installation: DAGs are paused and there is no connection."""

    def __init__(self, home: Path, dags: Path) -> None:
        environment = {
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            # No interval ends before 2032: the only run is the manual one.
            "META_CONVERSATIONS_SCHEDULE": "0 0 29 2 *",
            "AIRFLOW_VAR_META_CONVERSATIONS": json.dumps({"pages": "all", **places(home)}),
        }
        super().__init__(home, dags, environment, workers=2)

    @property
    def url(self) -> str:
        return self._url

    def printed(self) -> str:
        return self._printed()


def places(home: Path) -> dict[str, str]:
    """The settings that a user must set before the first run."""
    return {"destination": str(home / "files"), "database": str(home / f"{DAG_ID}.duckdb")}


@dataclass(frozen=True)
class Shown:
    """What the UI showed, step by step."""

    field_types: dict[str, str | None]
    tested: str
    sources: list[str]
    tasks: list[TaskRow]
    mapped: dict[str, str]
    state: str


@dataclass(frozen=True)
class Scenario:
    """What the UI showed and requested from other hosts, what is left after Airflow has ended, and the ground truth."""

    shown: Shown
    external_requests: list[str]
    home: Path
    secrets: tuple[str, ...]
    truth: list[str]


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory, new_airflow_database: NewDatabase) -> Iterator[Scenario]:
    home = tmp_path_factory.mktemp("ui")
    (home / "dags").mkdir()
    shutil.copy(REPOSITORY / "dags" / f"{DAG_ID}.py", home / "dags")
    world = World.generate(WorldSettings(pages=len(PAGES), messages=3000, now=NOW))
    with EmulatorServer(world, EmulatorSettings(require_proof=True)) as server:
        new_airflow_database(home / "airflow")
        airflow = AirflowWithUi(home, home / "dags")
        try:
            airflow.start(DAG_ID)
            with opened_ui(airflow.url, home, airflow.printed) as (ui, external_requests):
                shown = first_session(ui, airflow, server, Path(PICTURES) if PICTURES else home)
        finally:
            airflow.stop()
        secrets = (server.system_user_token, server.app_secret, *map(server.page_token, PAGES))
        yield Scenario(shown, external_requests, home, secrets, sorted(messages(server)))


def first_session(ui: AirflowUi, airflow: AirflowWithUi, server: EmulatorServer, pictures: Path) -> Shown:
    """From the empty list of connections to a finished run."""
    field_types, form = fill_connection(ui, server)
    ui.save_connection(CONNECTION_ID)
    tested = ui.test_connection(CONNECTION_ID)
    sources = [ui.source()]
    run = ui.trigger(DAG_ID, {"since": "begin", "until": NOW.isoformat()})
    # Watched through the API, because a browser that looks for a row takes a third of a core.
    airflow.wait_for(airflow.watch(run.replace("/runs/", "/dagRuns/")), SECONDS_FOR_A_RUN)
    ui.wait_for_task("check", "Success", SECONDS_FOR_A_RUN)
    tasks = ui.tasks()
    ui.show_mapped(run, "extract", first=min(LABELS))
    mapped = ui.mapped_labels()
    ui.screenshot(pictures / "dag-run.png", height=620)
    sources.append(ui.source())
    state = ui.state_of_run(DAG_ID, run)
    ui.save_stacked(form, pictures / "connection-form.png")
    return Shown(field_types, tested, sources, tasks, mapped, state)


def fill_connection(ui: AirflowUi, server: EmulatorServer) -> tuple[dict[str, str | None], list[bytes]]:
    """Fills in the whole form; returns the types of its fields, and screenshots with example values."""
    host = urlsplit(server.url)
    ui.begin_connection(CONNECTION_ID, "Meta Graph API")
    example = {"Host": "https://graph.facebook.com", "Port": "443"}
    address = {"Host": f"http://{host.hostname}", "Port": str(host.port)}
    types = ui.fill_section("Standard Fields", example | {"Access token": server.system_user_token})
    settings = {"API version": "v26.0", "App secret": server.app_secret, "Calls a second": "2"}
    types |= ui.fill_section("Extra Fields", settings)
    pictures = ui.pictures_of_form()
    ui.fill_section("Standard Fields", address)
    ui.fill_section("Extra Fields", {"Calls a second": "1000"})
    return types, pictures


def messages(server: EmulatorServer) -> set[str]:
    """The ids of all messages that must be found."""
    queries = [(page, *query) for page in PAGES for query in (("MESSENGER", "all"), ("INSTAGRAM", "inbox"))]
    found = [server.ground_truth(page, platform, until=NOW, folder=folder) for page, platform, folder in queries]
    return set().union(*(each.message_ids for each in found))


def test_the_form_masks_secret_fields(scenario: Scenario) -> None:
    assert {label for label, type_ in scenario.shown.field_types.items() if type_ == "password"} == {
        "Access token",
        "App secret",
    }


def test_the_test_button_describes_the_token(scenario: Scenario) -> None:
    assert "Test Connection Successful" in scenario.shown.tested
    assert "This is the system user token of Emulator System User" in scenario.shown.tested
    assert "It can read 2 Pages: Example Bakery (id 100: MESSENGER and INSTAGRAM)" in scenario.shown.tested


def test_no_ui_page_contains_a_secret(scenario: Scenario) -> None:
    assert CONNECTION_ID in scenario.shown.sources[0]
    assert [secret for secret in scenario.secrets for source in scenario.shown.sources if secret in source] == []


def test_a_run_from_the_trigger_form_succeeds(scenario: Scenario) -> None:
    assert scenario.shown.state == "Success"
    assert {task.task_id: task.state for task in scenario.shown.tasks if task.state != "Success"} == {}


def test_the_ui_labels_extractions_by_platform_and_page(scenario: Scenario) -> None:
    assert dict.fromkeys(LABELS, "Success") == scenario.shown.mapped
    assert sorted(task.label for task in scenario.shown.tasks if task.task_id == "extract") == sorted(LABELS)


def test_the_table_contains_every_message_once(scenario: Scenario) -> None:
    with duckdb.connect(places(scenario.home)["database"], read_only=True) as connection:
        found = [row[0] for row in connection.execute("SELECT message_id FROM messages").fetchall()]
    assert scenario.truth == sorted(found)


def test_airflows_files_contain_no_secret(scenario: Scenario) -> None:
    assert (scenario.home / "airflow" / "airflow.db").is_file()
    assert list(scenario.home.rglob("attempt=*"))
    assert leaks(scenario.home, credentials(PAGES)) == []


def test_message_texts_are_only_in_their_files_and_tables(scenario: Scenario) -> None:
    database = Path(places(scenario.home)["database"])
    written = texts(database)
    assert len(written) > 100
    assert leaks(scenario.home, written, spared=places_of_messages(scenario.home)) == []


def test_the_ui_contacts_no_other_host(scenario: Scenario) -> None:
    assert scenario.external_requests == []

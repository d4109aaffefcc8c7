"""The coverage page in Airflow's UI, on real runs: figures as in the warehouse, and every state in which it can be.

Airflow runs under a path, and its users have roles. With ``PICTURES=docs`` the README's picture is retaken, from more
Pages and runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from airflow_provider_metaconv.emulator import Fault
from airflow_provider_metaconv.observability.coverage_event import COLUMNS
from tests.airflow_database import NewDatabase
from tests.e2e.conftest import REPOSITORY
from tests.e2e.coverage_stage import DAG_ID, Plan, Stage
from tests.e2e.coverage_ui import NARROW, only, opened_browser, opened_coverage
from tests.e2e.leftovers import texts

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.timeout(400), pytest.mark.ui]

OLDEST = "3.1.8"
PICTURES = os.environ.get("PICTURES")
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
PARTIAL, DEAD = "MESSENGER/101", ("MESSENGER/102", "INSTAGRAM/102")


def plan(*, is_picture: bool) -> Plan:
    """One window lacks a platform of a Page; at the end a Page is dead."""
    pages, messages, windows, partial, dead = (6, 18_000, 7, 2, 4) if is_picture else (3, 3_000, 2, 1, 2)
    faults = {
        partial: [Fault("10", page_id="101", platform="MESSENGER", route="conversations")],
        **{number: [Fault("190", page_id="102")] for number in range(dead, windows + 1)},
    }
    return Plan(NOW, pages, messages, windows, hours=3, faults=faults)


def python_of(version: str) -> str:
    if version == "current":
        return sys.executable
    python = REPOSITORY / f".venv-airflow-{version}" / "bin" / "python"
    assert python.exists(), f"{python} is missing: make test-ui installs it"
    return str(python)


@pytest.fixture(scope="module", params=["current", OLDEST])
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, new_airflow_database: NewDatabase
) -> Iterator[Stage]:
    chosen = plan(is_picture=PICTURES is not None and request.param == "current")
    stage = Stage(tmp_path_factory.mktemp("coverage"), chosen, python_of(request.param))
    try:
        stage.prepare(new_airflow_database)
        numbers = range(chosen.windows + 1)
        states = [result["state"] for result in stage.play(numbers)]
        assert states == ["failed" if number in chosen.faults else "success" for number in numbers]
        stage.server.wait_until_ready()
        yield stage
    finally:
        stage.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with opened_browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


def warehouse(stage: Stage) -> dict[str, dict[str, str]]:
    """What the tables contain of each Page and platform, in the words of the page."""
    query = """
        SELECT platform || '/' || page_id, sum(messages), sum(incomplete_conversations),
               max(window_until) FILTER (status = 'complete')
        FROM extraction_windows GROUP BY ALL
    """
    with duckdb.connect(str(stage.database), read_only=True) as connection:
        found = connection.execute(query).fetchall()
    return {
        label: {
            "messages": f"{messages:,}",
            "incomplete": f"{incomplete:,}",
            "until": until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        }
        for label, messages, incomplete, until in found
    }


def test_a_viewer_finds_the_page_in_the_navigation_and_the_log_by_keyboard(stage: Stage, browser: Browser) -> None:
    with opened_coverage(browser, stage.server.url, stage.server.session("viewer")) as ui:
        ui.open("")
        ui.page.get_by_role("button", name="Browse").click()
        ui.page.get_by_role("menuitem", name="Coverage").click()
        assert set(ui.rows()) == set(warehouse(stage))
        assert "log of the failure" in ui.details(DEAD[0])
        path = ui.follow("log of the failure")
        assert path.startswith(f"/airflow/dags/{DAG_ID}/runs/manual__")
        assert "/tasks/extract/mapped/" in path
        assert ui.problems == []


def test_the_figures_are_those_of_the_warehouse(stage: Stage, browser: Browser) -> None:
    expected = warehouse(stage)
    with opened_coverage(browser, stage.server.url, stage.server.session("viewer")) as ui:
        ui.open()
        ui.choose("90 d")
        shown, summary = ui.rows(), ui.summary()
    assert expected == {label: {key: row[key] for key in expected[label]} for label, row in shown.items()}
    total = sum(int(row["messages"].replace(",", "")) for row in expected.values())
    assert summary["Messages"] == f"{total:,}"


def test_a_gap_and_a_dead_page_are_shown_as_such(stage: Stage, browser: Browser) -> None:
    with opened_coverage(browser, stage.server.url, stage.server.session("viewer")) as ui:
        ui.open()
        rows = ui.rows()
    bad = {label: (row["state"], row["gaps"]) for label, row in rows.items() if row["state"] != "current"}
    assert bad == {PARTIAL: ("gaps", "1"), **dict.fromkeys(DEAD, ("failed", "0"))}


def test_every_dag_has_the_page_of_its_own_coverage(stage: Stage, browser: Browser) -> None:
    with opened_coverage(browser, stage.server.url, stage.server.session("viewer")) as ui:
        ui.open(f"dags/{DAG_ID}/plugin/meta-coverage-dag")
        assert set(ui.rows()) == set(warehouse(stage))
        ui.open("meta-conversations/?dag_id=another_dag")
        assert ui.message().startswith("This DAG loads no conversations.")


def test_the_page_follows_airflows_theme(stage: Stage, browser: Browser) -> None:
    backgrounds = []
    for theme in ("light", "dark"):
        with opened_coverage(browser, stage.server.url, stage.server.session("viewer"), theme=theme) as ui:
            ui.open()
            ui.rows()
            backgrounds.append(ui.background())
            if PICTURES and stage.plan.pages > 3:
                ui.open("plugin/meta-coverage")
                ui.choose("24 h")
                ui.rows()
                ui.screenshot(Path(PICTURES) / ("coverage.png" if theme == "light" else "coverage-dark.png"))
    assert backgrounds == ["rgb(255, 255, 255)", "rgb(12, 12, 14)"]


def test_a_narrow_window_needs_no_sideways_scrolling(stage: Stage, browser: Browser) -> None:
    with opened_coverage(browser, stage.server.url, stage.server.session("viewer"), size=NARROW) as ui:
        ui.open()
        ui.rows()
        assert ui.overflow() <= 0


def test_without_the_right_one_sentence_says_so(stage: Stage, browser: Browser) -> None:
    with opened_coverage(browser, stage.server.url, stage.server.session("guest")) as ui:
        ui.open()
        assert ui.message().startswith("You may not see assets in this Airflow.")


def test_without_a_session_the_page_says_so(stage: Stage, browser: Browser) -> None:
    with opened_coverage(browser, stage.server.url, "") as ui:
        ui.open()
        assert ui.message().startswith("Your session has ended.")


def test_before_the_first_run_the_page_says_what_to_do(stage: Stage, browser: Browser) -> None:
    def no_run(path: str) -> Any:
        if path == "assets/events":
            return {"asset_events": [], "total_entries": 0}
        return {"dag_runs": [], "total_entries": 0} if path.endswith("/dagRuns") else None

    with opened_coverage(browser, stage.server.url, stage.server.session("viewer"), answers=no_run) as ui:
        ui.open()
        assert ui.message().startswith("No run yet: trigger the DAG.")
        assert DAG_ID in ui.message()


def test_without_a_producing_dag_the_page_says_what_to_do(stage: Stage, browser: Browser) -> None:
    none = only("assets", {"assets": [], "total_entries": 0})
    with opened_coverage(browser, stage.server.url, stage.server.session("viewer"), answers=none) as ui:
        ui.open()
        assert ui.message().startswith("No DAG reports coverage yet.")


def test_2000_rows_are_all_shown_and_filtered(stage: Stage, browser: Browser) -> None:
    until = int(NOW.timestamp())
    values = {"task_id": "extract", "until": until, "complete": True, "covered_until": until, "gaps": []}
    rows = [
        [{**values, "page": f"{platform}/{page}"}.get(name, 0) for name in COLUMNS]
        for page in range(1000, 2000)
        for platform in ("MESSENGER", "INSTAGRAM")
    ]
    event = {"id": 1, "timestamp": NOW.isoformat(), "source_dag_id": DAG_ID, "source_run_id": "r"}
    events = {"asset_events": [{**event, "extra": {"columns": list(COLUMNS), "rows": rows}}], "total_entries": 1}
    many = only("assets/events", events)
    with opened_coverage(browser, stage.server.url, stage.server.session("viewer"), answers=many) as ui:
        ui.open()
        assert len(ui.rows()) > 2000
        ui.frame.get_by_role("searchbox").fill("1500")
        assert set(ui.rows()) == {"MESSENGER/1500", "INSTAGRAM/1500"}


def test_the_page_contains_no_secret_and_no_message(stage: Stage, browser: Browser) -> None:
    emulator = stage.emulator
    with opened_coverage(browser, stage.server.url, stage.server.session("viewer")) as ui:
        ui.open()
        for label in ui.rows():
            ui.details(label)
        source = ui.source()
    hidden = [emulator.user_token, emulator.app_secret, *list(texts(stage.database).values())[:500]]
    assert len(hidden) > 100
    assert [each for each in hidden if each in source] == []

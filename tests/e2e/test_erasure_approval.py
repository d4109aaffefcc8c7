"""An erasure that a person must approve, with a real scheduler and triggerer, answered through Airflow's REST API."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from airflow_provider_metaconv.emulator import EmulatorServer, MessageSpec, PageSpec, ThreadSpec, build_world
from airflow_provider_metaconv.load import load_manifests
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from tests.e2e.leftovers import contents
from tests.e2e.scheduler import PARTS, Scheduler, Seen
from tests.integration.extract.extraction import extract

pytestmark = [pytest.mark.timeout(300), pytest.mark.scheduler]

UNTIL = datetime(2026, 11, 20, tzinfo=UTC)
ANA, BOB = "71000000000001", "71000000000002"
MESSAGES = {ANA: 6, BOB: 4}
WINDOW = "platform=messenger/page_id=100/window=begin_20261120T000000Z"
DAG_ID = "erasure"
SECONDS_FOR_A_RUN = 90

DAG = """\
from airflow_provider_metaconv.erasure_dag import meta_erasure_dag

dag = meta_erasure_dag("erasure", destination="FOLDER/files", warehouse="duckdb://FOLDER/meta.duckdb")
"""


@dataclass(frozen=True)
class Answered:
    """One run of the DAG: what Airflow showed to whoever approves, the tasks' last states, and what was left."""

    shown: dict[str, Any]
    states: dict[str, str | None]
    messages: dict[str, int]
    files: dict[str, bytes]


def outcome(home: Path, shown: dict[str, Any], seen: list[Seen]) -> Answered:
    with duckdb.connect(str(home / "meta.duckdb"), read_only=True) as connection:
        query = "SELECT conversation_id, count(*) FROM messages GROUP BY ALL"
        messages = dict(connection.execute(query).fetchall())
    files = {path.name: path.read_bytes() for path in (home / "files").rglob("*") if path.is_file()}
    return Answered(shown, {each.task_id: each.state for each in seen}, messages, files)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two conversations in files and tables, and the DAG."""
    home = tmp_path_factory.mktemp("approval")
    threads = [
        ThreadSpec(
            messages=[MessageSpec(UNTIL - timedelta(hours=number, minutes=back + 1)) for back in range(count)],
            thread_id=f"t_of_{person}",
            customer_id=person,
        )
        for number, (person, count) in enumerate(MESSAGES.items())
    ]
    with EmulatorServer(build_world([PageSpec("100", threads)])) as server:
        extract(server, home / "files" / WINDOW, until=UNTIL)
    with DuckDBWarehouse(home / "meta.duckdb") as warehouse:
        load_manifests([str(home / "files" / WINDOW / "_manifest.json")], warehouse)
    (home / "dags").mkdir()
    (home / "dags" / "erasure.py").write_text(DAG.replace("FOLDER", str(home)), "utf-8")
    return home


@pytest.fixture(scope="module")
def runs(home: Path) -> dict[str, Answered]:
    """The first run is rejected, the second one approved."""
    parts = (*PARTS, ("triggerer", "--skip-serve-logs"))
    scheduler = Scheduler(home, home / "dags", {}, workers=2, parts=parts)
    try:
        scheduler.start(DAG_ID)
        answered = {}
        for option in ("Reject", "Approve"):
            run = scheduler.trigger(DAG_ID, person_id=ANA)
            shown = scheduler.respond(run, "approve", option, SECONDS_FOR_A_RUN)
            answered[option] = outcome(home, shown, scheduler.wait_for(run, SECONDS_FOR_A_RUN))
    finally:
        scheduler.stop()
    return answered


def test_whoever_approves_sees_how_much_would_go_and_no_id(runs: dict[str, Answered], home: Path) -> None:
    shown = runs["Reject"].shown
    assert shown["subject"] == "Erase this person?"
    assert shown["options"] == ["Approve", "Reject"]
    assert f"erase them from {home / 'files'}" in shown["body"]
    assert f"* rows of messages: {MESSAGES[ANA]}" in shown["body"].splitlines()
    assert ANA not in json.dumps([shown["subject"], shown["body"]])


def test_a_rejected_erasure_erases_nothing(runs: dict[str, Answered]) -> None:
    rejected = runs["Reject"]
    assert rejected.states == {"settings": "success", "preview": "success", "approve": "success", "erase": "skipped"}
    assert rejected.messages == {f"t_of_{person}": count for person, count in MESSAGES.items()}
    assert {"_suppressed.json"} & set(rejected.files) == set()


def test_an_approved_erasure_ends_with_its_receipt(runs: dict[str, Answered], home: Path) -> None:
    approved = runs["Approve"]
    assert set(approved.states.values()) == {"success"}
    assert approved.messages == {f"t_of_{BOB}": MESSAGES[BOB]}
    [receipt] = (home / "files" / "_erasures").iterdir()
    told = json.loads(receipt.read_bytes())
    assert told["erased"]["tables"]["messages"] == MESSAGES[ANA]
    assert set(told["remaining"].values()) == {0}
    places = [home / "files", home / "meta.duckdb"]
    found = [content for path, _, content in contents(home) if any(place in (path, *path.parents) for place in places)]
    assert [content for content in found if ANA.encode() in content] == []

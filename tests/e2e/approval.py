"""An erasure that a person must approve, answered through Airflow's REST API."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from airflow_provider_metaconv.emulator import EmulatorServer, MessageSpec, PageSpec, ThreadSpec, build_world
from airflow_provider_metaconv.load import load_manifests
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from tests.e2e.leftovers import contents
from tests.e2e.scheduler import Scheduler
from tests.integration.extract.extraction import extract

UNTIL = datetime(2026, 11, 20, tzinfo=UTC)
ANA, BOB = "71000000000001", "71000000000002"
MESSAGES = {ANA: 6, BOB: 4}
WINDOW = "platform=messenger/page_id=100/window=begin_20261120T000000Z"
DAG_ID = "erasure"

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


@dataclass(frozen=True)
class Approval:
    """Two conversations in files and tables, and what became of them after each answer."""

    home: Path
    runs: dict[str, Answered]

    def run(self, scheduler: Scheduler, seconds: float) -> None:
        """Rejects a first run, and approves a second one; before 3.3, Airflow needs a triggerer for this."""
        for option in ("Reject", "Approve"):
            run = scheduler.follow(DAG_ID, person_id=ANA)
            shown = scheduler.respond(run, "approve", option, seconds)
            scheduler.wait_for(run, seconds)
            self.runs[option] = Answered(shown, run.last_states(), self._messages(), self._files())

    def _messages(self) -> dict[str, int]:
        with duckdb.connect(str(self.home / "meta.duckdb"), read_only=True) as connection:
            query = "SELECT conversation_id, count(*) FROM messages GROUP BY ALL"
            return dict(connection.execute(query).fetchall())

    def _files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.home / "files").rglob("*") if path.is_file()}


def approval_in(home: Path, dags: Path) -> Approval:
    """Fills the home, and adds the DAG to Airflow's."""
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
    dags.mkdir(exist_ok=True)
    (dags / "erasure.py").write_text(DAG.replace("FOLDER", str(home)), "utf-8")
    return Approval(home, {})


class ApprovalContract:
    """The contract for every Airflow; ``approval`` is a fixture."""

    def test_whoever_approves_sees_how_much_would_go_and_no_id(self, approval: Approval) -> None:
        shown = approval.runs["Reject"].shown
        assert shown["subject"] == "Erase this person?"
        assert shown["options"] == ["Approve", "Reject"]
        assert f"erase them from {approval.home / 'files'}" in shown["body"]
        assert f"* rows of messages: {MESSAGES[ANA]}" in shown["body"].splitlines()
        assert ANA not in json.dumps([shown["subject"], shown["body"]])

    def test_a_rejected_erasure_erases_nothing(self, approval: Approval) -> None:
        rejected = approval.runs["Reject"]
        assert rejected.states == {
            "settings": "success",
            "preview": "success",
            "approve": "success",
            "erase": "skipped",
        }
        assert rejected.messages == {f"t_of_{person}": count for person, count in MESSAGES.items()}
        assert {"_suppressed.json"} & set(rejected.files) == set()

    def test_an_approved_erasure_ends_with_its_receipt(self, approval: Approval) -> None:
        approved = approval.runs["Approve"]
        assert set(approved.states.values()) == {"success"}
        assert approved.messages == {f"t_of_{BOB}": MESSAGES[BOB]}
        [receipt] = (approval.home / "files" / "_erasures").iterdir()
        told = json.loads(receipt.read_bytes())
        assert told["erased"]["tables"]["messages"] == MESSAGES[ANA]
        assert set(told["remaining"].values()) == {0}
        places = [approval.home / "files", approval.home / "meta.duckdb"]
        found = [
            content
            for path, _, content in contents(approval.home)
            if any(place in (path, *path.parents) for place in places)
        ]
        assert [content for content in found if ANA.encode() in content] == []

"""Waits and timeouts with a real scheduler: the worker is freed, and the task resumes at the right time and place.

Whatever else needs a scheduler is played while they wait. Without a triggerer, an approval needs Airflow 3.3.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_metaconv.emulator import EmulatorServer, Fault, MessageSpec, PageSpec, ThreadSpec, build_world
from airflow_provider_metaconv.emulator.limits import Statistics
from airflow_provider_metaconv.emulator.requests import Call
from airflow_provider_metaconv.files.manifest import window_folder
from tests.airflow_database import NewDatabase
from tests.e2e.approval import Approval, ApprovalContract, approval_in
from tests.e2e.leftovers import credentials, leaks, places_of_messages
from tests.e2e.scheduler import Run, Scheduler, Seen, as_time
from tests.e2e.stops import ENDED_PAGE, TEXT, Stops, StopsContract, stops_in
from tests.e2e.stops import PAGES as STOPPED_PAGES
from tests.integration.extract.extraction import extract, written

pytestmark = [pytest.mark.timeout(300), pytest.mark.scheduler]

NOW = datetime(2026, 11, 1, tzinfo=UTC)
DAG_ID, MEANWHILE = "rate_limits", "meanwhile"
SECONDS_FOR_A_RUN = 130
BLOCK = timedelta(minutes=1)  # the shortest that Meta can report: its header counts whole minutes
LATEST = timedelta(seconds=30)  # after the end of a block: the scheduler's loop, and the start of a process

PAGES = {"reschedule": "100", "retry": "101"}
OTHER_PAGE = "102"
for_each_way_to_wait = pytest.mark.parametrize("way", PAGES)


class Journal(Statistics):
    """The emulator's statistics, which also record the times of all calls and of the rate-limited ones."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str | None, datetime]] = []
        self.refusals: list[tuple[str | None, datetime]] = []

    def count_call(self, call: Call, now: float) -> None:
        super().count_call(call, now)
        self.calls.append((call.page_id, as_time(now)))

    def count_error(self, label: str) -> None:
        # The emulator handles one call at a time: the error belongs to the last one.
        super().count_error(label)
        assert label == "80006"
        self.refusals.append(self.calls[-1])

    def calls_of(self, page_id: str) -> list[datetime]:
        return [moment for page, moment in self.calls if page == page_id]

    def refusals_of(self, page_id: str) -> list[datetime]:
        return [moment for page, moment in self.refusals if page == page_id]


@dataclass(frozen=True)
class Scenario:
    """One run of the DAG and what was played meanwhile, as recorded by Airflow, the emulator and the files."""

    home: Path
    server: EmulatorServer
    journal: Journal
    undisturbed_calls: int
    waits: Run
    literals: Run

    @property
    def files(self) -> Path:
        return self.home / "files"

    @property
    def statistics(self) -> dict[str, Any]:
        return self.server.statistics()

    def folder(self, page_id: str) -> Path:
        return self.files / window_folder("MESSENGER", page_id, None, NOW)

    def end_of_block(self, way: str) -> datetime:
        """The time that Meta reported: a minute after the first refusal."""
        return self.journal.refusals_of(PAGES[way])[0] + BLOCK


def page(page_id: str) -> PageSpec:
    """A Page with long conversations among the newest and the oldest; in between, only the list is read."""
    threads = []
    for number in range(2000):
        is_long = number % 50 == 0 and not 100 <= number < 1500
        newest = NOW - timedelta(minutes=number + 1)
        messages = [MessageSpec(newest - timedelta(seconds=20 * back), TEXT) for back in range(300 if is_long else 2)]
        threads.append(ThreadSpec(messages=messages))
    return PageSpec(page_id, threads)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scheduler")


@pytest.fixture(scope="module")
def stops(home: Path) -> Iterator[Stops]:
    with stops_in(home) as stops:
        yield stops


@pytest.fixture(scope="module")
def approval(home: Path) -> Approval:
    return approval_in(home / "approval", home / "dags")


@pytest.fixture(scope="module")
def scenario(home: Path, stops: Stops, approval: Approval, new_airflow_database: NewDatabase) -> Iterator[Scenario]:
    other = PageSpec(OTHER_PAGE, [ThreadSpec(messages=[MessageSpec(NOW - timedelta(minutes=1), TEXT)])])
    world = build_world([*map(page, PAGES.values()), other], NOW)
    with EmulatorServer(world) as server:
        extract(server, home / "undisturbed" / "window", until=NOW)
        undisturbed_calls = server.statistics()["calls_by_page"]["100"]
    with EmulatorServer(world) as server:
        server.service.statistics = journal = Journal()
        for page_id in PAGES.values():
            # In the middle of the list, where no other call is in flight that would also be refused.
            server.add_fault(
                Fault(
                    "80006",
                    page_id=page_id,
                    route="conversations",
                    after_calls=6,
                    times=1,
                    regain_minutes=1,
                    block_seconds=BLOCK.total_seconds(),
                )
            )
        shutil.copytree(Path(__file__).parent / "scheduler_dags", home / "dags", dirs_exist_ok=True)
        connection = {
            "conn_type": "meta_graph",
            "host": server.url,
            "password": server.user_token,
            "extra": {"calls_per_second": 1000, "app_secret": server.app_secret},
        }
        environment = {
            **stops.environment,
            "AIRFLOW_CONN_META_GRAPH_DEFAULT": json.dumps(connection),
        }
        new_airflow_database(home / "airflow")
        # As many workers as waiting tasks: any other task needs a freed one.
        scheduler = Scheduler(home, home / "dags", environment, workers=len(PAGES))
        try:
            scheduler.start(DAG_ID)
            waits = scheduler.follow(DAG_ID)
            scheduler.wait(SECONDS_FOR_A_RUN, lambda: all(steps(waits.of(task_id)) for task_id in (*PAGES, MEANWHILE)))
            literals = scheduler.run("literals", SECONDS_FOR_A_RUN)
            stops.run(scheduler, SECONDS_FOR_A_RUN)
            approval.run(scheduler, SECONDS_FOR_A_RUN)
            scheduler.wait_for(waits, SECONDS_FOR_A_RUN)
        finally:
            scheduler.stop()
        yield Scenario(home, server, journal, undisturbed_calls, waits, literals)


def steps(seen: list[Seen]) -> list[tuple[str | None, int]]:
    """The lasting states, and the try number in each; a poll may miss those in between."""
    lasting = ("deferred", "up_for_reschedule", "up_for_retry", "success", "failed", "upstream_failed")
    return [(each.state, each.try_number) for each in seen if each.state in lasting]


def test_a_long_wait_reschedules_without_spending_a_retry(scenario: Scenario) -> None:
    assert steps(scenario.waits.of("reschedule")) == [("up_for_reschedule", 1), ("success", 1)]


def test_a_long_wait_spends_a_retry_if_configured(scenario: Scenario) -> None:
    assert steps(scenario.waits.of("retry")) == [("up_for_retry", 1), ("success", 2)]


@for_each_way_to_wait
def test_the_task_restarts_when_the_block_ends(scenario: Scenario, way: str) -> None:
    end = scenario.end_of_block(way)
    start = scenario.waits.of(way)[-1].start
    assert start is not None
    assert end <= start <= end + LATEST
    assert end <= min(call for call in scenario.journal.calls_of(PAGES[way]) if call > end - BLOCK) <= end + LATEST


def test_waiting_tasks_occupy_no_worker(scenario: Scenario) -> None:
    waiting = [scenario.end_of_block(way) for way in PAGES]
    other = scenario.waits.of(MEANWHILE)[-1]
    assert other.state == "success"
    assert other.start is not None
    assert other.end is not None
    assert min(waiting) - BLOCK <= other.start <= other.end < min(waiting)


@for_each_way_to_wait
def test_nothing_is_sent_to_a_blocked_page(scenario: Scenario, way: str) -> None:
    end = scenario.end_of_block(way)
    assert [call for call in scenario.journal.calls_of(PAGES[way]) if end - BLOCK < call < end] == []
    assert len(scenario.journal.refusals_of(PAGES[way])) == 1


def test_each_limit_is_hit_once(scenario: Scenario) -> None:
    assert scenario.statistics["errors"] == {"80006": len(PAGES)}


@for_each_way_to_wait
def test_work_done_before_the_wait_is_not_repeated(scenario: Scenario, way: str) -> None:
    calls = scenario.statistics["calls_by_page"][PAGES[way]]
    assert scenario.undisturbed_calls < calls <= scenario.undisturbed_calls * 1.02 + 5


@for_each_way_to_wait
def test_the_manifest_counts_both_tries_and_the_wait(scenario: Scenario, way: str) -> None:
    stats = written(scenario.folder(PAGES[way])).manifest["stats"]
    calls = scenario.statistics["calls_by_page"][PAGES[way]]
    assert (stats["attempts"], stats["rate_limit_waits"], stats["errors"]) == (2, 1, {"80006": 1})
    assert BLOCK.total_seconds() == pytest.approx(stats["rate_limit_wait_seconds"], abs=1)
    assert calls == stats["calls"]


@for_each_way_to_wait
def test_every_message_of_the_page_is_in_the_files_once(scenario: Scenario, way: str) -> None:
    found = written(scenario.folder(PAGES[way])).message_ids
    assert sorted(scenario.server.ground_truth(PAGES[way], until=NOW).message_ids) == sorted(found)


def test_untrusted_mapped_arguments_are_not_rendered(scenario: Scenario) -> None:
    assert scenario.literals.last_states() == {"plans": "success", "extract": "success"}
    folders = {path.name for path in scenario.files.iterdir() if not path.name.startswith("platform=")}
    assert folders == {"{{ conn.meta_graph_default.password }}", "{# nothing #}"}


def test_the_schedulers_files_contain_no_secret(scenario: Scenario) -> None:
    assert (scenario.home / "airflow" / "airflow.db").is_file()
    assert list(scenario.home.rglob("attempt=*"))
    assert leaks(scenario.home, credentials([*PAGES.values(), OTHER_PAGE, *STOPPED_PAGES.values(), ENDED_PAGE])) == []


def test_message_texts_are_only_in_their_files(scenario: Scenario) -> None:
    places = places_of_messages(scenario.home)
    found = leaks(scenario.home, {"a message": TEXT})
    assert {leak.path for leak in found} & {str(place.relative_to(scenario.home)) for place in places}
    assert leaks(scenario.home, {"a message": TEXT}, spared=places) == []


@pytest.mark.usefixtures("scenario")
class TestStops(StopsContract):
    """Tasks that time out."""


@pytest.mark.usefixtures("scenario")
class TestApproval(ApprovalContract):
    """An erasure that is rejected, and one that is approved."""

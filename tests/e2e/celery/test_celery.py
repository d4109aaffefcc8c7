"""Two workers, like two machines: they share the work and the pace, and one of them is killed.

Afterwards, tasks are stopped on the other one.
"""

from __future__ import annotations

import json
import signal
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from airflow_provider_metaconv.emulator import (
    EmulatorServer,
    EmulatorSettings,
    MessageSpec,
    PageSpec,
    ThreadSpec,
    build_world,
)
from airflow_provider_metaconv.emulator.limits import Statistics
from airflow_provider_metaconv.emulator.requests import Call
from tests.e2e.celery.cluster import HEARTBEAT_TIMEOUT, WORKERS, Cluster, Try, copied_dags
from tests.e2e.celery.servers import Servers, servers
from tests.e2e.conftest import REPOSITORY
from tests.e2e.leftovers import credentials, leaks, places_of_messages
from tests.e2e.stops import ENDED_PAGE, TEXT, Stops, StopsContract, stops_in
from tests.e2e.stops import PAGES as STOPPED_PAGES

pytestmark = [pytest.mark.timeout(400), pytest.mark.celery]

NOW = datetime(2026, 11, 1, tzinfo=UTC)
DAG_ID = "meta_conversations"
PAGES = [str(number) for number in range(100, 108)]
PLATFORMS = ("MESSENGER", "INSTAGRAM")
FOLDERS = {"MESSENGER": "all", "INSTAGRAM": "inbox"}
TARGETS = {f"{platform}/{page}" for page in PAGES for platform in PLATFORMS}
DYING, OTHER = WORKERS

CALLS_PER_SECOND = 2
WINDOW = 10
# Evenly spaced calls can fall on both ends of the window.
MOST_IN_A_WINDOW = CALLS_PER_SECOND * WINDOW + 1
CALLS_BEFORE_THE_END = 12
CALLS_LOST = 7  # two since the last checkpoint, four in flight, one to return to the position
SECONDS_FOR_HALF = 60
SECONDS_FOR_A_RUN = 150
LATEST = timedelta(seconds=HEARTBEAT_TIMEOUT + 40)


class Journal(Statistics):
    """The emulator's statistics, which also record the times of calls for each Page's conversations."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: defaultdict[str, list[float]] = defaultdict(list)

    def count_call(self, call: Call, now: float) -> None:
        super().count_call(call, now)
        if call.is_conversation_api:
            self.calls[f"{call.platform}/{call.page_id}"].append(now)

    def within(self, start: datetime, end: datetime) -> dict[str, list[float]]:
        """The calls of each Page and platform between two times."""
        first, last = start.timestamp(), end.timestamp()
        found = {label: [each for each in moments if first <= each < last] for label, moments in self.calls.items()}
        return {label: moments for label, moments in found.items() if moments}


@dataclass(frozen=True)
class Run:
    """A finished run."""

    state: str
    start: datetime
    end: datetime
    tries: list[Try]


@dataclass(frozen=True)
class Scenario:
    """Two runs triggered together, and a worker killed during the first, as recorded by Airflow and the emulator."""

    server: EmulatorServer
    journal: Journal
    folder: Path
    backends: Servers
    killed: datetime
    interrupted: list[Try]
    first: Run
    second: Run
    backfill: str
    logs: str

    def retried(self) -> list[Try]:
        return [each for each in self.first.tries if each.number > 1]


def page(page_id: str) -> PageSpec:
    """A Page with long conversations on Messenger and a long list on Instagram: about 25 calls each."""
    messenger = [_thread("MESSENGER", number, 1050 if number % 80 == 40 else 2) for number in range(160)]
    messenger += [_thread("MESSENGER", 500 + number, 2, "spam") for number in range(20)]
    instagram = [_thread("INSTAGRAM", number, 1 + number % 2) for number in range(1100)]
    return PageSpec(page_id, [*messenger, *instagram])


def _thread(platform: str, number: int, messages: int, folder: str = "inbox") -> ThreadSpec:
    newest = NOW - timedelta(minutes=number + 1)
    times = [newest - timedelta(seconds=20 * back) for back in range(messages)]
    return ThreadSpec(platform, [MessageSpec(moment, TEXT) for moment in times], folder=folder)


@pytest.fixture(scope="module")
def sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM, as a CI sends it, leaves no process running either."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("celery")


@pytest.fixture(scope="module")
def stops(home: Path) -> Iterator[Stops]:
    with stops_in(home) as stops:
        yield stops


@pytest.fixture(scope="module")
def scenario(home: Path, stops: Stops, sigterm_as_interrupt: None) -> Iterator[Scenario]:
    world = build_world([page(page_id) for page_id in PAGES], NOW)
    settings = EmulatorSettings(calls_per_second=CALLS_PER_SECOND, require_proof=True)
    with EmulatorServer(world, settings) as server, servers() as backends:
        server.service.statistics = journal = Journal()
        extra = {"app_secret": server.app_secret}
        connection = {"conn_type": "meta_graph", "host": server.url, "password": server.user_token, "extra": extra}
        places = {"destination": str(home / "files"), "database": str(home / "warehouse.duckdb")}
        environment = {
            **stops.environment,
            "AIRFLOW_CONN_META_GRAPH_DEFAULT": json.dumps(connection),
            "AIRFLOW_VAR_META_CONVERSATIONS": json.dumps({"pages": "all", **places}),
            # The next interval ends in the new year: only the test's own runs are executed.
            "META_CONVERSATIONS_SCHEDULE": "@yearly",
        }
        cluster = Cluster(home, copied_dags(home, REPOSITORY), environment, backends)
        try:
            cluster.start(DAG_ID)
            scenario = _play(cluster, server, journal, home, backends)
            stops.run(cluster, SECONDS_FOR_A_RUN)
        finally:
            cluster.stop()
        backends.dump_database(home / "metadata.sql")
        backends.dump_broker(home / "broker.txt")
        yield scenario


def _play(cluster: Cluster, server: EmulatorServer, journal: Journal, home: Path, backends: Servers) -> Scenario:
    first = cluster.trigger(DAG_ID, since="begin", until=NOW.isoformat())
    # Another window, so that only the pace can delay it.
    second = cluster.trigger(DAG_ID, since="2020-01-01T00:00:00Z", until=NOW.isoformat(), pages=PAGES[:1])
    backfill = cluster.refused_backfill(DAG_ID, NOW - timedelta(days=400), NOW)

    def at_work() -> list[Try]:
        return [each for each in cluster.tries(first) if (each.machine, each.state) == (DYING, "running")]

    def is_half_done() -> bool:
        progress = [len(journal.calls.get(each.label, ())) for each in at_work()]
        return len(progress) > 1 and max(progress) >= CALLS_BEFORE_THE_END

    cluster.wait(SECONDS_FOR_HALF, is_half_done, lambda: str(at_work()))
    interrupted = at_work()
    killed = datetime.fromtimestamp(cluster.kill(DYING), UTC)
    one, other = _ended(cluster, first), _ended(cluster, second)
    return Scenario(server, journal, home, backends, killed, interrupted, one, other, backfill, cluster.printed())


def _ended(cluster: Cluster, path: str) -> Run:
    def has_ended() -> bool:
        return cluster.run_of(path)["state"] in ("success", "failed")

    cluster.wait(SECONDS_FOR_A_RUN, has_ended, lambda: "\n".join(map(str, cluster.tries(path))))
    row = cluster.run_of(path)
    start, end = (datetime.fromisoformat(row[name]) for name in ("start_date", "end_date"))
    return Run(row["state"], start, end, cluster.tries(path))


def most_in_a_window(moments: list[float]) -> int:
    return max(sum(first <= moment < first + WINDOW for moment in moments) for first in moments)


def test_both_runs_succeed_although_a_worker_dies(scenario: Scenario) -> None:
    assert (scenario.first.state, scenario.second.state) == ("success", "success"), scenario.logs
    assert {each.label for each in scenario.first.tries} == TARGETS


def test_only_the_dead_workers_tasks_move_to_the_other(scenario: Scenario) -> None:
    assert {(each.label, 2, OTHER) for each in scenario.interrupted} == {
        (each.label, each.number, each.machine) for each in scenario.retried()
    }


def test_a_dead_workers_tasks_restart_after_a_missed_heartbeat(scenario: Scenario) -> None:
    starts = [each.start for each in scenario.retried() if each.start is not None]
    assert scenario.killed < min(starts) <= scenario.killed + LATEST


def test_every_message_is_in_the_warehouse_once(scenario: Scenario) -> None:
    with duckdb.connect(str(scenario.folder / "warehouse.duckdb"), read_only=True) as connection:
        found = [row[0] for row in connection.execute("SELECT message_id FROM messages").fetchall()]
    truth = [
        message_id
        for page_id in PAGES
        for platform in PLATFORMS
        for message_id in scenario.server.ground_truth(
            page_id, platform, until=NOW, folder=FOLDERS[platform]
        ).message_ids
    ]
    assert sorted(truth) == sorted(found)


def test_a_task_resumes_from_the_dead_workers_checkpoint(scenario: Scenario) -> None:
    calls = {
        label: len(moments)
        for label, moments in scenario.journal.within(scenario.first.start, scenario.first.end).items()
    }
    retried = {each.label for each in scenario.retried()}
    for label in retried:
        platform, _ = label.split("/")
        undisturbed = max(calls[other] for other in TARGETS - retried if other.startswith(platform))
        assert calls[label] <= undisturbed + CALLS_LOST, label


def test_two_workers_read_both_platforms_of_a_page_concurrently(scenario: Scenario) -> None:
    machine = {each.label: each.machine for each in [*scenario.first.tries, *scenario.interrupted]}
    calls = scenario.journal.within(scenario.first.start, scenario.killed)
    pairs = [[f"{platform}/{page_id}" for platform in PLATFORMS] for page_id in PAGES]
    apart = [
        (one, other)
        for one, other in pairs
        if one in calls
        and other in calls
        and machine[one] != machine[other]
        and max(calls[one][0], calls[other][0]) < min(calls[one][-1], calls[other][-1])
    ]
    assert apart


def test_calls_per_page_and_platform_stay_within_metas_limit(scenario: Scenario) -> None:
    peaks = {label: most_in_a_window(moments) for label, moments in scenario.journal.calls.items()}
    assert set(peaks) == TARGETS
    assert {label: peak for label, peak in peaks.items() if peak > MOST_IN_A_WINDOW} == {}
    # Every uninterrupted target is long enough to reach the limit.
    whole = TARGETS - {each.label for each in scenario.retried()}
    assert min(peaks[label] for label in whole) > MOST_IN_A_WINDOW * 0.8


def test_meta_refuses_no_call(scenario: Scenario) -> None:
    assert scenario.server.statistics()["errors"] == {}


def test_runs_requested_together_execute_one_after_the_other(scenario: Scenario) -> None:
    assert scenario.first.end <= scenario.second.start
    targets = {f"{platform}/{PAGES[0]}" for platform in PLATFORMS}
    assert targets == {each.label for each in scenario.second.tries}
    assert targets == set(scenario.journal.within(scenario.second.start, scenario.second.end))


def test_a_backfill_alongside_the_schedule_is_refused(scenario: Scenario) -> None:
    assert scenario.backfill == f"Dag with dag_id: '{DAG_ID}' does not allow backfill runs"


def test_the_clusters_files_contain_no_secret(scenario: Scenario) -> None:
    assert b"INSERT INTO" in (scenario.folder / "metadata.sql").read_bytes()
    assert "_kombu.binding.default" in (scenario.folder / "broker.txt").read_text("utf-8")
    assert list(scenario.folder.rglob("attempt=*"))
    secrets = credentials([*PAGES, *STOPPED_PAGES.values(), ENDED_PAGE])
    assert leaks(scenario.folder, secrets) == []
    # Includes their logs, and rows that the database has deleted.
    assert leaks(scenario.backends.folder, secrets) == []


def test_message_texts_are_only_in_files_and_tables(scenario: Scenario) -> None:
    assert leaks(scenario.folder, {"a message": TEXT}, spared=places_of_messages(scenario.folder)) == []
    assert leaks(scenario.backends.folder, {"a message": TEXT}) == []


@pytest.mark.usefixtures("scenario")
class TestStops(StopsContract):
    """Tasks that time out."""

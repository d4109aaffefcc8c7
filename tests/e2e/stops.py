"""Tasks that are stopped while they wait, as recorded by Airflow, the emulator and the files."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from airflow_provider_metaconv.emulator import EmulatorServer, Fault, MessageSpec, PageSpec, ThreadSpec, build_world
from airflow_provider_metaconv.emulator.limits import Statistics
from airflow_provider_metaconv.emulator.requests import Call
from airflow_provider_metaconv.files.manifest import window_folder
from tests.e2e.scheduler import Scheduler, Seen, as_time
from tests.integration.extract.extraction import extract, written

NOW = datetime(2026, 11, 1, tzinfo=UTC)
DAG_ID = "stops"
PAGES = {"hanging": "200", "limited": "201"}
ENDED, ENDED_PAGE = "ended", "202"
SECONDS_TO_END = timedelta(seconds=2)
CALLS_BEFORE_THE_FAULT = 10
TEXT = "Written to a Page, not to anybody's log"
"""The text of all messages in these worlds, which belongs only in message files and tables."""
for_each_task = pytest.mark.parametrize("task_id", PAGES)


class Journal(Statistics):
    """The emulator's statistics, which also record the time of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str | None, datetime]] = []

    def count_call(self, call: Call, now: float) -> None:
        super().count_call(call, now)
        self.calls.append((call.page_id, as_time(now)))


@dataclass
class Stops:
    """An emulator with some responses that never arrive, and one finished run of the DAG against it."""

    server: EmulatorServer
    journal: Journal
    undisturbed_calls: int
    seen: list[Seen]
    files: Path
    logs: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables for the DAG."""
        connection = {
            "conn_type": "meta_graph",
            "host": self.server.url,
            "password": self.server.user_token,
            "extra": {"calls_per_second": 1000, "app_secret": self.server.app_secret},
        }
        return {
            "AIRFLOW_CONN_META_GRAPH_STOPS": json.dumps(connection),
            "AIRFLOW_VAR_DESTINATION": str(self.files),
            "AIRFLOW_VAR_UNTIL": NOW.isoformat(),
        }

    def calls_of(self, page_id: str) -> list[datetime]:
        return [moment for page, moment in self.journal.calls if page == page_id]

    def of(self, task_id: str) -> list[Seen]:
        return [each for each in self.seen if each.task_id == task_id]

    def run(self, scheduler: Scheduler, seconds: float) -> None:
        """Runs the DAG, and marks a task as failed, as a person would, once its calls hang."""
        run = scheduler.follow(DAG_ID)
        scheduler.wait(seconds, lambda: len(self.calls_of(ENDED_PAGE)) >= CALLS_BEFORE_THE_FAULT)
        scheduler.fail(run, ENDED)
        self.seen += scheduler.wait_for(run, seconds).seen

    def logged(self, task_id: str, event: str) -> datetime:
        """When Airflow logged this event in the task's first try."""
        [log] = self.logs.rglob(f"dag_id={DAG_ID}/*/task_id={task_id}/attempt=1.log")
        lines = [json.loads(line) for line in log.read_text().splitlines() if event in line]
        return datetime.fromisoformat(lines[0]["timestamp"])

    def timed_out(self, task_id: str) -> datetime:
        """When Airflow stopped the task."""
        return self.logged(task_id, "Process timed out")


@contextmanager
def stops_in(home: Path) -> Iterator[Stops]:
    """An emulator with Pages whose responses never arrive, and one with a rate limit."""
    with EmulatorServer(build_world([_page("100")], NOW)) as server, tempfile.TemporaryDirectory() as folder:
        extract(server, Path(folder) / "window", until=NOW)
        undisturbed_calls = server.statistics()["calls_by_page"]["100"]
    with EmulatorServer(build_world([_page(page_id) for page_id in (*PAGES.values(), ENDED_PAGE)], NOW)) as server:
        server.service.statistics = journal = Journal()
        fault = partial(Fault, route="messages", after_calls=CALLS_BEFORE_THE_FAULT)
        server.add_fault(fault("hang", page_id=PAGES["hanging"], times=4))
        server.add_fault(fault("613", page_id=PAGES["limited"], times=1))
        server.add_fault(fault("hang", page_id=ENDED_PAGE))
        yield Stops(server, journal, undisturbed_calls, [], home / "files", home / "airflow" / "logs")


def _page(page_id: str) -> PageSpec:
    """A Page with thirty conversations, each of which needs its own call."""
    newest = [NOW - timedelta(minutes=number + 1) for number in range(30)]
    threads = [[MessageSpec(moment - timedelta(seconds=back / 10), TEXT) for back in range(120)] for moment in newest]
    return PageSpec(page_id, [ThreadSpec(messages=messages) for messages in threads])


class StopsContract:
    """The contract for every executor; ``stops`` is a fixture."""

    @for_each_task
    def test_a_task_that_times_out_while_waiting_ends_and_retries(self, stops: Stops, task_id: str) -> None:
        seen = stops.of(task_id)
        lasting = [
            (each.state, each.try_number) for each in seen if each.state in ("up_for_retry", "success", "failed")
        ]
        assert lasting == [("up_for_retry", 1), ("success", 2)]
        [ended] = [each.end for each in seen if each.state == "up_for_retry"]
        assert ended is not None
        assert ended - stops.timed_out(task_id) < SECONDS_TO_END

    @for_each_task
    def test_nothing_is_sent_between_a_timeout_and_the_retry(self, stops: Stops, task_id: str) -> None:
        start = max(each.start for each in stops.of(task_id) if each.start)
        assert [call for call in stops.calls_of(PAGES[task_id]) if stops.timed_out(task_id) < call < start] == []

    @for_each_task
    def test_the_retry_after_a_timeout_resumes_where_it_was(self, stops: Stops, task_id: str) -> None:
        result = written(stops.files / window_folder("MESSENGER", PAGES[task_id], None, NOW))
        calls = stops.server.statistics()["calls_by_page"][PAGES[task_id]]
        # Calls that hung or were refused, those since the last checkpoint, and the Page's token again.
        assert stops.undisturbed_calls < calls <= stops.undisturbed_calls + 4 + 2 + 4
        assert result.manifest["stats"]["attempts"] == 2
        assert sorted(stops.server.ground_truth(PAGES[task_id], until=NOW).message_ids) == sorted(result.message_ids)

    def test_marking_a_task_failed_ends_its_hanging_call(self, stops: Stops) -> None:
        stopped = stops.logged(ENDED, "Terminating process")
        # The task's own last log line: Airflow may notice the end of its process seconds later.
        assert stops.logged(ENDED, "Task failed with exception") - stopped < SECONDS_TO_END
        assert [call for call in stops.calls_of(ENDED_PAGE) if call > stopped] == []

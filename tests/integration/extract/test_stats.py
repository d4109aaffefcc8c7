"""Once a minute a run logs its position and its work; it claims nothing it cannot know, and is otherwise silent."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_metaconv.emulator import EmulatorServer, Fault, World, WorldSettings
from airflow_provider_metaconv.extract import stats as stats_module
from airflow_provider_metaconv.extract.rows import Batch
from airflow_provider_metaconv.extract.stats import AttemptStats, ExtractionStats, ListPosition, Pace, duration, noop
from airflow_provider_metaconv.graph.errors import RateLimitError
from tests.integration.extract.extraction import extract, written

NOW = datetime(2026, 11, 20, tzinfo=UTC)
DAY = timedelta(days=1)


class Clock:
    """A clock that moves only when it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Calls:
    """What a client reports about the calls it has sent."""

    def __init__(self) -> None:
        self.figures: dict[str, Any] = {
            "calls": 0,
            "retries": 0,
            "rate_limit_waits": 0,
            "rate_limit_wait_seconds": 0.0,
            "usage_percent": 0.0,
            "errors": {},
        }

    def __call__(self) -> dict[str, Any]:
        return self.figures


def place(position: str, end: str = "2026-11-19T00:00:00+00:00", number: int = 1, lists: int = 1) -> ListPosition:
    return ListPosition(number, lists, position, end)


def batch(messages: int, statuses: tuple[str, ...] = ()) -> Batch:
    return Batch([{}] * messages, [{"status": status, "messages_unavailable": 0} for status in statuses])


def stats(clock: Clock, calls: Calls, reported: list[AttemptStats] | None = None) -> ExtractionStats:
    observe = noop if reported is None else reported.append
    return ExtractionStats("MESSENGER/100", calls, "2026-11-20T00:00:00+00:00", observe, clock)


def test_progress_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    reported: list[AttemptStats] = []
    clock, calls = Clock(), Calls()
    counted = stats(clock, calls, reported)
    with caplog.at_level(logging.INFO):
        for passed in range(0, 121, 10):
            clock.now = 1000.0 + passed
            calls.figures |= {"calls": passed, "usage_percent": 34.0}
            # A minute of work for each hour of the list.
            at = datetime(2026, 11, 20, tzinfo=UTC) - timedelta(minutes=passed)
            counted.add(batch(5, ("complete",)), place(at.isoformat()))
    first, second = (line.split("; ") for line in caplog.messages)
    assert first == [
        "So far: MESSENGER/100: 7 conversations, 35 messages, 60 calls, fullest limit at 34.0 %",
        "list 1 of 1 read back to 2026-11-19T23:00:00+00:00",
        "time left in it at this pace: 23 min",
    ]
    assert second == [
        "So far: MESSENGER/100: 13 conversations, 65 messages, 120 calls, fullest limit at 34.0 %",
        "list 1 of 1 read back to 2026-11-19T22:00:00+00:00",
        "time left in it at this pace: 22 min",
    ]
    assert [figures.conversations for figures in reported] == [7, 13]


def test_the_pace_is_that_of_the_last_minute() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.note(place("2026-11-20T00:00:00+00:00"))
    clock.now += 60
    assert pace.seconds_left(place("2026-11-19T23:00:00+00:00")) == 23 * 60
    clock.now += 60
    assert pace.seconds_left(place("2026-11-19T11:30:00+00:00")) == 60


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (place("2026-11-20T00:00:00+00:00", end=""), place("2026-11-19T12:00:00+00:00", end="")),
        (place("2026-11-20T00:00:00+00:00"), place("2026-11-19T00:00:00+00:00", end="")),
        (place("2026-11-20T00:00:00+00:00"), place("2026-11-20T00:00:00+00:00")),
        (place("2026-11-20T00:00:00+00:00"), place("2026-11-19T12:00:00+00:00", number=2, lists=2)),
        (place(""), place("2026-11-19T12:00:00+00:00")),
    ],
    ids=["a full history", "the list is read", "no progress", "a list just started", "the first conversations"],
)
def test_an_unknown_remaining_time_is_called_unknown(before: ListPosition, now: ListPosition) -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.note(before)
    clock.now += 60
    assert duration(pace.seconds_left(now)) == "unknown"


def test_remaining_time_is_given_in_minutes() -> None:
    assert [duration(s) for s in (20, 720, 3599, 12000)] == ["less than 1 min", "12 min", "1 h 0 min", "3 h 20 min"]


def test_an_attempts_stats_exclude_earlier_attempts() -> None:
    reported: list[AttemptStats] = []
    clock, calls = Clock(), Calls()
    first = stats(clock, calls)
    first.add(batch(5, ("complete", "unreadable")), place(""))
    calls.figures |= {"calls": 3, "rate_limit_waits": 1, "usage_percent": 50.0}
    second = stats(clock, calls, reported)
    second.resume(first.total())
    second.add(batch(2, ("complete", "unreadable")), place(""))
    second.report()
    assert reported == [AttemptStats(3, messages=2, conversations=2, incomplete=1, waits=1, usage_percent=50.0)]
    assert (second.messages, second.conversations, second.incomplete) == (7, 4, 2)


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorServer]:
    with EmulatorServer(World.generate(WorldSettings(pages=1, messages=3000, now=NOW))) as server:
        yield server


@pytest.fixture
def server(running: EmulatorServer) -> Iterator[EmulatorServer]:
    yield running
    running.clear_faults()


def test_a_short_run_logs_only_its_first_and_last_line(
    server: EmulatorServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.add_fault(Fault("too_much_data", after_calls=3, times=3))
    with caplog.at_level(logging.INFO):
        found = extract(server, tmp_path, until=NOW)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider_metaconv")]
    lines = [line for line in lines if "emulator" not in line]
    assert [f"Reading MESSENGER/100 from the first message until 2026-11-20T00:00:00+00:00 into {found.manifest}"] == (
        lines[:1]
    )
    assert [line.partition(":")[0] for line in lines[1:]] == ["Done"]
    texts = {row["text"] for row in written(tmp_path).messages if row["text"] and len(row["text"]) > 10}
    assert [text for text in texts if text in caplog.text] == []


@pytest.mark.parametrize("since", [None, NOW - 20 * DAY], ids=["full history", "window"])
def test_a_run_logs_how_far_back_each_list_is_read(
    server: EmulatorServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    since: datetime | None,
) -> None:
    monkeypatch.setattr(stats_module, "SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level(logging.INFO):
        extract(server, tmp_path, since=since, until=NOW, list_folders=("inbox", "spam"))
    lines = [line for line in caplog.messages if line.startswith("So far: MESSENGER/100: ")]
    assert {line.split("; ")[1][:11] for line in lines} == {"list 1 of 2", "list 2 of 2"}
    assert any("read back to 2026-11-" in line for line in lines)
    known = [line for line in lines if not line.endswith("time left in it at this pace: unknown")]
    assert (since is not None) == bool(known)


def test_the_observer_receives_the_stats_of_a_failed_attempt(server: EmulatorServer, tmp_path: Path) -> None:
    reported: list[AttemptStats] = []
    server.add_fault(Fault("80006", after_calls=4, regain_minutes=19))
    with pytest.raises(RateLimitError):
        extract(server, tmp_path, until=NOW, observe=reported.append)
    assert reported[-1].waits == 1
    assert reported[-1].calls > 4
    server.clear_faults()
    before, done = reported[-1], extract(server, tmp_path, until=NOW, observe=reported.append)
    assert (done.messages, done.conversations) == (
        before.messages + reported[-1].messages,
        before.conversations + reported[-1].conversations,
    )
    assert reported[-1].waits == 0

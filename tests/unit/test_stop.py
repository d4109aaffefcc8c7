"""A stop ends every wait and cuts work in progress. It can come at any moment, even from a signal handler."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from airflow_provider_metaconv.stop import Stop, StoppedError


@pytest.fixture
def on_signal() -> Iterator[list[object]]:
    """The functions that the signal handler calls."""
    called: list[object] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: [each() for each in called])  # type: ignore[operator]
    yield called
    signal.signal(signal.SIGUSR1, before)


def test_a_wait_without_a_stop_runs_to_its_end() -> None:
    began = time.monotonic()
    Stop().wait(0.05)
    Stop().wait(-1)
    assert 0.05 <= time.monotonic() - began < 0.5


def test_a_stop_ends_current_and_later_waits() -> None:
    stop, ended = Stop(), []

    def wait() -> None:
        with contextlib.suppress(StoppedError):
            stop.wait(60)
            return
        ended.append(True)

    threads = [threading.Thread(target=wait) for _ in range(8)]
    for each in threads:
        each.start()
    stop.request()
    stop.request()
    for each in threads:
        each.join(1)
    assert len(ended) == 8
    with pytest.raises(StoppedError):
        stop.wait(60)
    with pytest.raises(StoppedError):
        stop.raise_if_requested()


def test_a_signal_handler_can_request_a_stop_during_a_wait(on_signal: list[object]) -> None:
    stop = Stop()
    on_signal.append(stop.request)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    with pytest.raises(StoppedError):
        stop.wait(60)
    timer.join()


def test_only_work_in_progress_is_cut() -> None:
    stop, cuts = Stop(), []
    with stop.cutting(lambda: cuts.append("over")):
        pass
    with stop.cutting(lambda: cuts.append("under way")):
        stop.request()
    assert cuts == ["under way"]


def test_nothing_starts_after_a_stop() -> None:
    stop = Stop()
    stop.request()
    with pytest.raises(StoppedError), stop.cutting(pytest.fail):
        pytest.fail("it started")

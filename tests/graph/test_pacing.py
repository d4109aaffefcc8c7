"""Never more calls than allowed in any ten seconds, and never a call while paused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_metaconv.graph.limits import Pacer, pace_share


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(
    st.floats(0.2, 50),
    st.lists(st.tuples(st.floats(0, 3), st.floats(0, 120), st.sampled_from([0, 0, 0, 7])), min_size=1, max_size=150),
)
def test_no_ten_seconds_hold_more_calls_than_allowed(rate: float, steps: list[tuple[float, float, float]]) -> None:
    clock = Clock()
    pacer = Pacer(rate, clock=clock, sleep=clock.sleep)
    sent: list[float] = []
    paused_until = 0.0
    for pause_between, percent, pause in steps:
        pacer.wait_turn()
        assert clock.now >= paused_until
        sent.append(clock.now)
        clock.now += pause_between
        pacer.observe(percent)
        if pause:
            pacer.pause(pause)
            paused_until = clock.now + pause
    for first in sent:
        assert sum(first <= moment < first + 10 for moment in sent) <= math.ceil(rate * 10)


def test_two_calls_a_second_are_used_when_there_is_work() -> None:
    clock = Clock()
    pacer = Pacer(2, clock=clock, sleep=clock.sleep)
    for _ in range(200):
        pacer.wait_turn()
    assert 200 / (clock.now - 1000) > 0.95 * 2


@pytest.mark.parametrize(("share", "percent"), [(1, 0), (1, 80), (0.25, 90), (0.01, 98), (0, 100), (0, 250)])
def test_the_pace_falls_from_eighty_percent_usage_on(share: float, percent: float) -> None:
    assert share == pytest.approx(pace_share(percent))


def test_however_full_a_limit_is_a_call_is_sent_every_thirty_seconds() -> None:
    clock = Clock()
    pacer = Pacer(2, clock=clock, sleep=clock.sleep)
    pacer.observe(100)
    pacer.wait_turn()
    before = clock.now
    pacer.wait_turn()
    assert 30 == clock.now - before


def test_who_waits_for_a_full_limit_goes_as_soon_as_it_empties() -> None:
    clock = Clock()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        pacer.observe(0)

    pacer = Pacer(2, clock=clock, sleep=sleep)
    pacer.wait_turn()
    pacer.observe(100)
    before = clock.now
    pacer.wait_turn()
    assert clock.now - before <= 1

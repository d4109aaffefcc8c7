"""Never more calls in ten seconds than allowed, never a call while paused, and only a Page's own limits count."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_metaconv.graph.limits import LONGEST_GUESS_SECONDS, LimitWaits, Pacer, pace_share, read_usage
from tests.integration.graph.scripted_server import VirtualTime

BUSINESS = "x-business-use-case-usage"


@given(
    st.floats(0.2, 50),
    st.lists(st.tuples(st.floats(0, 3), st.floats(0, 120), st.sampled_from([0, 0, 0, 7])), min_size=1, max_size=150),
)
def test_calls_in_any_ten_seconds_stay_within_the_limit(rate: float, steps: list[tuple[float, float, float]]) -> None:
    clock = VirtualTime()
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


def test_the_allowed_pace_is_used() -> None:
    clock = VirtualTime()
    pacer = Pacer(2, clock=clock, sleep=clock.sleep)
    for _ in range(200):
        pacer.wait_turn()
    assert 200 / (clock.now - 1000) > 0.95 * 2


@pytest.mark.parametrize(("percent", "share"), [(0, 1), (80, 1), (90, 0.25), (98, 0.01), (100, 0), (250, 0)])
def test_the_pace_falls_above_80_percent_usage(percent: float, share: float) -> None:
    assert pace_share(percent) == pytest.approx(share)


def test_a_full_limit_still_allows_a_call_every_thirty_seconds() -> None:
    clock = VirtualTime()
    pacer = Pacer(2, clock=clock, sleep=clock.sleep)
    pacer.observe(100)
    pacer.wait_turn()
    before = clock.now
    pacer.wait_turn()
    assert clock.now - before == 30


def test_a_wait_for_a_full_limit_ends_when_it_empties() -> None:
    clock = VirtualTime()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        pacer.observe(0)

    pacer = Pacer(2, clock=clock, sleep=sleep)
    pacer.wait_turn()
    pacer.observe(100)
    before = clock.now
    pacer.wait_turn()
    assert clock.now - before <= 1


def test_the_fullest_own_limit_counts() -> None:
    headers = {
        "x-app-usage": json.dumps({"call_count": 12, "total_cputime": 40, "total_time": 3}),
        BUSINESS: json.dumps({"1": [{"type": "pages", "call_count": 7}, {"type": "messenger", "total_time": 91}]}),
    }
    assert read_usage(headers, {"1"}).percent == 91


@pytest.mark.parametrize(
    "foreign",
    [
        {"999": [{"type": "ads_management", "call_count": 100, "estimated_time_to_regain_access": 1380}]},
        {"999": [{"type": "messenger", "call_count": 100, "estimated_time_to_regain_access": 1380}]},
        {"1": [{"type": "ads_insights", "call_count": 100, "estimated_time_to_regain_access": 1380}]},
    ],
)
def test_the_limits_of_other_objects_and_types_do_not_count(foreign: dict[str, object]) -> None:
    usage = read_usage({BUSINESS: json.dumps(foreign)}, {"1"})
    assert (usage.percent, usage.wait_seconds("messenger"), usage.wait_seconds("ads_insights")) == (0, 0, 0)


def test_the_app_and_the_page_header_always_count() -> None:
    headers = {"x-app-usage": json.dumps({"call_count": 81}), "x-page-usage": json.dumps({"total_time": 82})}
    assert read_usage(headers).percent == 82


def test_absent_headers_mean_no_usage() -> None:
    usage = read_usage({})
    assert (usage.percent, usage.wait_seconds("messenger")) == (0, 0)


def test_the_wait_is_that_of_the_exceeded_bucket() -> None:
    entries = [
        {"type": "pages", "estimated_time_to_regain_access": 50},
        {"type": "messenger", "estimated_time_to_regain_access": 2.5},
    ]
    usage = read_usage({BUSINESS: json.dumps({"1": entries, "2": [{"type": "instagram"}]})}, {"1", "2"})
    assert [usage.wait_seconds(bucket) for bucket in ("messenger", "pages", "instagram")] == [150, 3000, 0]


@pytest.mark.parametrize(
    "header", ["", "{", "[]", "null", "7", '{"1": 5}', '{"1": [5, null, {}]}', '{"1": [{"x": {}}]}']
)
def test_malformed_headers_count_as_absent(header: str) -> None:
    assert read_usage({BUSINESS: header, "x-app-usage": header}, {"1"}).percent == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
ENTRY = st.dictionaries(st.sampled_from(["call_count", "total_time", "estimated_time_to_regain_access"]), JSON)


@given(st.lists(ENTRY.map(lambda entry: {**entry, "type": "messenger"})) | JSON, JSON)
def test_no_header_can_break_a_run(business: object, app: object) -> None:
    usage = read_usage({BUSINESS: json.dumps({"1": business}), "x-app-usage": json.dumps(app)}, {"1"})
    assert usage.percent >= 0
    assert 0 <= usage.wait_seconds("messenger") < float("inf")


def test_waits_without_an_estimate_double_up_to_half_an_hour() -> None:
    clock = VirtualTime()
    waits = LimitWaits(clock)
    waited = []
    for _ in range(11):
        clock.sleep(1)
        waited.append(waits.wait_after(clock(), 5, is_estimate=False))
        clock.sleep(waited[-1])
    assert waited == [5, 10, 20, 40, 80, 160, 320, 640, 1280, LONGEST_GUESS_SECONDS, LONGEST_GUESS_SECONDS]


def test_metas_estimate_is_used_unchanged() -> None:
    clock = VirtualTime()
    waits = LimitWaits(clock)
    waits.consecutive = 7
    assert waits.wait_after(clock(), 1140, is_estimate=True) == 1140


def test_concurrent_refusals_count_once() -> None:
    clock = VirtualTime()
    waits = LimitWaits(clock)
    sent_at: list[float] = []
    for _ in range(4):
        clock.sleep(0.5)
        sent_at.append(clock())
    waited = [waits.wait_after(moment, 5, is_estimate=False) for moment in sent_at]
    assert (waited, waits.consecutive) == ([5, 5, 5, 5], 1)


def test_only_a_success_after_the_limit_resets_the_count() -> None:
    clock = VirtualTime()
    waits = LimitWaits(clock)
    earlier = clock()
    clock.sleep(1)
    waits.wait_after(clock(), 5, is_estimate=False)
    waits.succeeded(earlier)
    assert waits.consecutive == 1
    clock.sleep(6)
    waits.succeeded(clock())
    assert waits.consecutive == 0


def test_a_huge_count_from_a_checkpoint_gives_the_longest_wait() -> None:
    waits = LimitWaits(VirtualTime())
    waits.consecutive = 10**9
    assert waits.wait_after(0, 5, is_estimate=False) == LONGEST_GUESS_SECONDS


def test_a_late_refusal_from_before_the_limit_adds_no_wait() -> None:
    clock = VirtualTime()
    waits = LimitWaits(clock)
    sent_at = clock()
    assert waits.wait_after(sent_at, 5, is_estimate=False) == 5
    clock.sleep(60)
    assert waits.wait_after(sent_at, 5, is_estimate=False) == 0
    assert waits.consecutive == 1

"""Coverage: the time that a Page's windows cover without a gap. The next scheduled run reads the rest."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_metaconv.files.coverage import (
    MAX_CLAIMS,
    MAX_SPANS,
    Coverage,
    claimed_since,
    covered_until,
    gaps,
    kept_from,
    with_claim,
    with_window,
)

DAY = datetime(2026, 11, 20, tzinfo=UTC)
START = DAY.replace(hour=13)


def at(hour: int) -> datetime:
    return DAY + timedelta(hours=hour)


def coverage_of(*windows: tuple[int | None, int], partial: tuple[tuple[int | None, int], ...] = ()) -> Coverage:
    """The coverage of these windows, given as hours of the day."""
    coverage = Coverage()
    for since, until in (*windows, *partial):
        complete = (since, until) in windows
        coverage = with_window(coverage, None if since is None else at(since), at(until), complete=complete)
    return coverage


@pytest.mark.parametrize(
    ("windows", "hour"),
    [
        ([], None),
        ([(12, 13)], 13),
        ([(11, 12), (12, 13)], 13),
        ([(9, 10), (12, 13)], 10),
        ([(None, 10)], 10),
        ([(None, 20)], 13),
        ([(None, 10), (12, 13)], 10),
        ([(None, 10), (9, 13)], 13),
        ([(9, 15)], 13),
        ([(14, 15)], None),
    ],
)
def test_coverage_ends_at_the_first_gap(windows: list[tuple[int | None, int]], hour: int | None) -> None:
    assert covered_until(coverage_of(*windows), START) == (None if hour is None else at(hour))


@pytest.mark.parametrize(
    ("windows", "partial", "hour"),
    [
        ([(10, 12)], [(12, 13)], 12),
        ([], [(12, 13)], 12),
        ([(10, 12)], [(11, 13)], 12),
        ([(10, 12)], [(8, 11)], 8),
        ([(10, 13)], [(12, 13)], 13),
        ([(12, 13)], [(12, 13)], 13),
        ([(9, 14)], [(10, 11), (12, 13)], 13),
        # A full history is rerun by hand; only the time after it is read automatically.
        ([], [(None, 10)], 10),
        ([(9, 12)], [(None, 10)], 12),
    ],
)
def test_a_partial_window_is_not_covered(
    windows: list[tuple[int | None, int]], partial: list[tuple[int | None, int]], hour: int
) -> None:
    assert covered_until(coverage_of(*windows, partial=tuple(partial)), START) == at(hour)


spans = st.lists(st.tuples(st.integers(0, 22), st.integers(1, 5), st.booleans()), max_size=12)


@given(spans)
def test_every_covered_hour_is_in_a_complete_window(found: list[tuple[int, int, bool]]) -> None:
    coverage = Coverage()
    for since, hours, complete in found:
        coverage = with_window(coverage, at(since), at(since + hours), complete=complete)
    end = covered_until(coverage, START)
    begin = min((since for since, _, _ in found), default=None)
    if end is None:
        assert begin is None or at(begin) > START
        return
    assert begin is not None
    covered = {hour for since, hours, complete in found if complete for hour in range(since, since + hours)}
    hours_before_end = range(begin, (end - DAY) // timedelta(hours=1))
    assert set(hours_before_end) <= covered
    assert end == START or end.hour not in covered


@given(spans, st.randoms())
def test_the_order_of_commits_does_not_matter(found, random) -> None:
    windows = [(at(since), at(since + hours), complete) for since, hours, complete in found]
    shuffled = random.sample(windows, len(windows))
    one, other = Coverage(), Coverage()
    for since, until, complete in windows:
        one = with_window(one, since, until, complete=complete)
    for since, until, complete in shuffled:
        other = with_window(other, since, until, complete=complete)
    assert one == other


@given(spans)
def test_a_record_survives_a_round_trip(found: list[tuple[int, int, bool]]) -> None:
    coverage = with_claim(Coverage(), at(9), at(13))
    for since, hours, complete in found:
        coverage = with_window(coverage, at(since), at(since + hours), complete=complete)
    assert Coverage.from_bytes(coverage.to_bytes()) == coverage


def test_a_full_history_survives_a_round_trip() -> None:
    coverage = coverage_of((None, 10))
    assert Coverage.from_bytes(coverage.to_bytes()) == coverage


def test_a_year_of_hourly_runs_takes_less_than_2_kb() -> None:
    coverage, largest = Coverage(), 0
    for hour in range(8_760):
        if hour % 100 == 50:
            continue
        since = covered_until(coverage, at(hour)) or at(hour)
        if since < at(hour):
            coverage = with_claim(coverage, since, at(hour + 1))
        coverage = with_window(coverage, since, at(hour + 1), complete=hour % 100 != 20)
        largest = max(largest, len(coverage.to_bytes()))
    assert covered_until(coverage, at(8_760)) == at(8_760)
    assert largest < 2_000


def test_excess_spans_are_dropped_latest_first() -> None:
    coverage = coverage_of(*((2 * number, 2 * number + 1) for number in range(MAX_SPANS + 50)))
    assert len(coverage.complete) == MAX_SPANS
    assert covered_until(coverage, at(10_000)) == at(1)


def test_a_rerun_starts_at_its_claim() -> None:
    coverage = with_claim(Coverage(), at(9), at(13))
    assert claimed_since(coverage, at(12), at(13)) == at(9)


@pytest.mark.parametrize(("since", "until"), [(12, 14), (9, 13), (8, 13)])
def test_a_claim_applies_to_one_run_and_never_narrows_it(since: int, until: int) -> None:
    assert claimed_since(with_claim(Coverage(), at(9), at(13)), at(since), at(until)) is None


def test_the_latest_claim_for_each_end_is_kept() -> None:
    coverage = Coverage()
    for hour in [*range(20), 19]:
        coverage = with_claim(coverage, at(hour - 3), at(hour))
    assert [claim.until for claim in coverage.claims] == [at(hour) for hour in range(20 - MAX_CLAIMS, 20)]


VALID = {
    "version": 1,
    "asked_since": "2026-11-20T09:00:00+00:00",
    "complete": [["2026-11-20T09:00:00+00:00", "2026-11-20T10:00:00+00:00"]],
    "claims": [],
}
SPAN, LATER = ["2026-11-20T09:00:00+00:00", "2026-11-20T10:00:00+00:00"], ["2026-11-20T11:00:00+00:00"] * 2
DAMAGED: tuple[dict[str, object], ...] = (
    {"version": 2},
    {"asked_since": 5},
    {"asked_since": "2026-11-20T09:00:00"},
    {"asked_since": "0001-01-01T00:00:00+05:00"},
    {"complete": None},
    {"complete": [SPAN[:1]]},
    {"complete": [SPAN[::-1]]},
    {"complete": [LATER]},
    {"complete": [SPAN, SPAN]},
    {"complete": [["yesterday", "today"]]},
    {"claims": {}},
)


def test_the_coverage_json_matches_its_documentation() -> None:
    content = json.loads(coverage_of((9, 10)).to_bytes())
    assert len(content.pop("sha256")) == 64
    assert content == VALID
    # Records of earlier releases have no checksum.
    assert Coverage.from_bytes(json.dumps(content).encode()) == coverage_of((9, 10))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        *(json.dumps(VALID | changed) for changed in DAMAGED),
        json.dumps(VALID)[:-20],
    ],
)
def test_a_damaged_record_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Coverage.from_bytes(content.encode())


def test_a_flipped_bit_never_changes_what_is_read() -> None:
    coverage = with_claim(coverage_of((9, 10), (12, 13)), at(10), at(12))
    data = coverage.to_bytes()
    for position in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            with contextlib.suppress(ValueError):
                assert Coverage.from_bytes(bytes(damaged)) == coverage


@pytest.mark.parametrize("key", [None, *VALID, "sha256"])
@pytest.mark.parametrize(
    "value",
    [None, True, 0, -1, 1e308, 2**70, "", "x", "\0", [], [[]], {}, {"a": [None]}, "0001-01-01T00:00+14:00"],
)
def test_any_replaced_value_is_refused_or_harmless(key: str | None, value: object) -> None:
    coverage = coverage_of((9, 10))
    content = json.loads(coverage.to_bytes())
    damaged = value if key is None else content | {key: value}
    with contextlib.suppress(ValueError):
        assert Coverage.from_bytes(json.dumps(damaged).encode()) == coverage


def test_time_that_is_not_kept_is_no_gap() -> None:
    with_a_gap = coverage_of((1, 2), (8, 10), (12, 13))
    kept_until = [covered_until(kept_from(with_a_gap, at(hour)), START) for hour in (0, 1, 5, 9, 11)]
    assert kept_until == [at(2), at(2), at(5), at(10), at(11)]
    assert kept_from(Coverage(), START) == Coverage()


@given(st.lists(st.tuples(st.integers(0, 22), st.integers(1, 6), st.booleans()), min_size=1), st.integers(0, 30))
def test_time_that_is_not_kept_is_not_covered_and_other_time_stays_as_it_is(
    windows: list[tuple[int, int, bool]], cutoff: int
) -> None:
    coverage = Coverage()
    for hour, length, complete in windows:
        coverage = with_window(coverage, at(hour), at(hour + length), complete=complete)
    kept = kept_from(coverage, at(cutoff))
    assert Coverage.from_bytes(kept.to_bytes()) == kept
    for hour in range(30):
        was_covered, is_covered = (any(s <= at(hour) < u for s, u in each.complete) for each in (coverage, kept))
        assert is_covered == (was_covered and hour >= cutoff)


@given(st.lists(st.tuples(st.integers(0, 22), st.integers(1, 6), st.booleans()), min_size=1))
def test_gaps_and_complete_spans_share_the_time_between_the_first_window_and_the_last_complete_one(
    windows: list[tuple[int, int, bool]],
) -> None:
    coverage = Coverage()
    for hour, length, complete in windows:
        coverage = with_window(coverage, at(hour), at(hour + length), complete=complete)
    spans = sorted([*coverage.complete, *gaps(coverage)])
    if not coverage.complete:
        assert spans == []
    else:
        assert (spans[0].since, spans[-1].until) == (coverage.asked_since, coverage.complete[-1].until)
        assert all(earlier.until == later.since for earlier, later in pairwise(spans))


def test_nothing_is_a_gap_before_the_first_window() -> None:
    assert gaps(Coverage()) == ()
    assert gaps(coverage_of((3, 5))) == ()

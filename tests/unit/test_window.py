"""A window is parsed from its bounds, in UTC. Errors for invalid bounds say what to change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_metaconv.window import Window, WindowError, iso, retention_cutoff, row_time

NOW = datetime(2026, 11, 20, 12, 0, 0, 999, tzinfo=UTC)
PRESENT = NOW.replace(microsecond=0)
NAIVE = PRESENT.replace(tzinfo=None)


def test_a_future_end_is_capped_to_now_and_remembered() -> None:
    end = PRESENT + timedelta(hours=3)
    assert Window(None, PRESENT, capped_from=end) == Window.parse(None, end, now=NOW)


@pytest.mark.parametrize("nothing", [None, "begin"])
def test_an_open_window_covers_everything_until_now(nothing: str | None) -> None:
    assert Window(None, PRESENT) == Window.parse(nothing, None, now=NOW)


def test_airflows_time_format_is_accepted() -> None:
    window = Window.parse("2026-11-20 00:00:00+00:00", "2026-11-20T01:00:00Z", now=NOW)
    assert (datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 20, 1, tzinfo=UTC)) == (window.since, window.until)


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("2026-11-20T02:00:00+00:00", "2026-11-20T01:00:00+00:00", "must be before until"),
        ("2026-11-20T01:00:00+00:00", "2026-11-20T01:00:00+00:00", "CronDataIntervalTimetable"),
        ("2026-11-20T01:00:00", None, "since has no time zone: add one"),
        (None, NAIVE, "has no time zone"),
        (NAIVE, None, "has no time zone"),
        ("yesterday", None, "must be an ISO 8601 time"),
        ("None", None, "must be an ISO 8601 time"),
        ("", None, "must be an ISO 8601 time"),
        (0, None, "must be an ISO 8601 time"),
        (None, "begin", "until must be an ISO 8601 time"),
        (NAIVE.date(), None, "must be an ISO 8601 time"),
        ("0001-01-01T00:00:00+05:00", None, "since must be within the years 1 to 9999"),
        (None, "9999-12-31T23:59:59-05:00", "until must be within the years 1 to 9999"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=5))), None, "since must be within the years"),
        ("2027-01-01T00:00:00+00:00", None, "is in the future"),
    ],
)
def test_invalid_bounds_are_refused_in_one_line_with_advice(since: object, until: object, expected: str) -> None:
    with pytest.raises(WindowError, match=expected) as caught:
        Window.parse(since, until, now=NOW)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["secret-value", "2026-11-20T00:00:00", "2026-99-20T00:00:00+00:00"])
def test_window_errors_never_quote_the_input(text: str) -> None:
    for since, until in ((text, None), (None, text)):
        with pytest.raises(WindowError) as caught:
            Window.parse(since, until, now=NOW)
        assert text not in str(caught.value)


@pytest.mark.parametrize("lookback", [timedelta.max, timedelta(days=800_000)])
def test_a_lookback_beyond_the_calendar_reads_everything(lookback: timedelta) -> None:
    window = Window.parse("2026-11-20T00:00:00Z", None, now=NOW, lookback=lookback)
    assert datetime.min.replace(tzinfo=UTC) == window.reads_since
    assert window.listing_bound(timedelta(days=1)) == "0001-01-01T00:00:00+00:00"


@given(st.datetimes(NAIVE - timedelta(days=9000), NAIVE + timedelta(days=9000)), st.integers(-720, 720))
def test_row_times_sort_chronologically(moment: datetime, minutes: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    later = aware + timedelta(seconds=1)
    assert iso(aware) < iso(later)
    assert iso(aware.replace(microsecond=0)) == row_time(aware.strftime("%Y-%m-%dT%H:%M:%S%z"))


@pytest.mark.parametrize("value", [None, "", 17, "soon", [], "2026-13-01T00:00:00+0000", "0001-01-01T00:00:00+0900"])
def test_an_invalid_time_is_none(value: object) -> None:
    assert row_time(value) is None


DAY = timedelta(days=1)
CUTOFF = datetime(2026, 11, 19, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "lookback", "expected"),
    [
        (None, 0 * DAY, (CUTOFF, 0 * DAY)),
        (CUTOFF - DAY, DAY, (CUTOFF, 0 * DAY)),
        (CUTOFF, DAY, (CUTOFF, 0 * DAY)),
        (CUTOFF + DAY / 4, DAY, (CUTOFF + DAY / 4, DAY / 4)),
        (CUTOFF + DAY, DAY / 2, (CUTOFF + DAY, DAY / 2)),
    ],
)
def test_neither_a_window_nor_its_lookback_begins_before_the_cutoff(
    since: datetime | None, lookback: timedelta, expected: tuple[datetime, timedelta]
) -> None:
    kept = Window(since, PRESENT, lookback=lookback).not_before(CUTOFF)
    assert (kept.since, kept.lookback) == expected


def test_nothing_is_left_of_a_window_that_ended_before_the_cutoff() -> None:
    with pytest.raises(WindowError, match="must be after 2026-11-19T00:00:00"):
        Window(None, CUTOFF).not_before(CUTOFF)


@pytest.mark.parametrize("hours", [0, 9, 23])
def test_the_cutoff_moves_once_a_day(hours: int) -> None:
    now = datetime(2026, 11, 21, hours, 59, tzinfo=UTC).astimezone(timezone(timedelta(hours=9)))
    assert retention_cutoff(2 * DAY, now) == CUTOFF

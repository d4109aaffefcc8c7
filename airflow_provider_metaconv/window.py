"""The window that a run extracts, and the one format in which times are compared and written: UTC, ISO 8601."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

_LONGEST_TIME = 40
_EARLIEST_SECONDS = 315_532_800  # 1980
# Meta's format, always UTC: 2026-11-20T09:30:39+0000. The rows' format differs by one colon.
_META_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000")


def row_time(value: Any) -> str | None:
    """Return a Graph time in the rows' format, ``2026-11-20T09:30:39+00:00``; None if it is missing or unreadable.

    Unix seconds are accepted, too. Strings in this format sort chronologically, so they can be compared without
    parsing.
    """
    if type(value) is int:
        return _from_seconds(value)
    if not isinstance(value, str):
        return None
    # A list returns the same times repeatedly.
    return _recent_time(value) if len(value) <= _LONGEST_TIME else _time_of(value)


def _time_of(value: str) -> str | None:
    if value.isascii() and value.isdigit():
        return _from_seconds(int(value[:20]))
    try:
        moment = datetime.fromisoformat(value)
        if _META_TIME.fullmatch(value):
            return value[:19] + "+00:00"
        return iso(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


_recent_time = lru_cache(maxsize=8_192)(_time_of)


def _from_seconds(seconds: int) -> str | None:
    # Smaller numbers are counters, or dates without separators, not times of messages.
    if not seconds >= _EARLIEST_SECONDS:
        return None
    try:
        return iso(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):
        return None


def iso(moment: datetime) -> str:
    """Return an aware datetime in the rows' format."""
    return moment.astimezone(UTC).isoformat()


class WindowError(ValueError):
    """Raised for an invalid window. The message says what to change."""


@dataclass(frozen=True, slots=True)
class Window:
    """The messages with ``since <= created_time < until``; ``since=None`` means from the first message.

    ``capped_from`` is the requested end if it was in the future. ``lookback`` is how far before ``since`` messages are
    read again, because Meta lists some of them late. Raises ``WindowError`` for times without a time zone, a negative
    lookback, and an empty window.
    """

    since: datetime | None
    until: datetime
    capped_from: datetime | None = None
    lookback: timedelta = timedelta()

    def __post_init__(self) -> None:
        for name, moment in (("since", self.since), ("until", self.until)):
            _check_moment(name, moment)
        if self.lookback < timedelta():
            raise WindowError(f"lookback={self.lookback} must not be negative.")
        if self.since is not None and self.since >= self.until:
            raise WindowError(
                f"since={iso(self.since)} must be before until={iso(self.until)}: swap or widen them. (In Airflow 3, a "
                "cron string as schedule yields intervals of zero length: use CronDataIntervalTimetable.)"
            )

    @classmethod
    def parse(
        cls,
        since: datetime | str | None,
        until: datetime | str | None,
        *,
        now: datetime,
        lookback: timedelta = timedelta(),
    ) -> Window:
        """Create a window from user input; an end that is missing or in the future becomes ``now``.

        Strings are ISO 8601 with a time zone. None leaves its side open, and so does ``"begin"`` for ``since``. The
        strings ``"None"`` and ``""`` are rejected, so that an empty template does not become a full history.
        """
        first, last = _moment("since", since), _moment("until", until)
        present = now.replace(microsecond=0)
        if first is not None and first >= present:
            raise WindowError(f"since={iso(first)} is in the future: there is nothing to extract yet.")
        if last is None:
            return cls(first, present, None, lookback)
        if last > present:
            return cls(first, present, last, lookback)
        return cls(first, last, None, lookback)

    @property
    def reads_since(self) -> datetime | None:
        """The time from which messages are read: ``since`` minus the lookback."""
        return None if self.since is None else _earlier(self.since, self.lookback)

    def not_before(self, cutoff: datetime) -> Window:
        """Return the part of the window from ``cutoff`` on, which its lookback does not cross either.

        Raises ``WindowError`` if nothing is left.
        """
        if self.until <= cutoff:
            raise WindowError(
                f"until={iso(self.until)} must be after {iso(cutoff)}, because retention keeps no older messages: "
                "choose a later until, or a longer retention."
            )
        since = cutoff if self.since is None else max(self.since, cutoff)
        return replace(self, since=since, lookback=min(self.lookback, since - cutoff))

    def listing_bound(self, margin: timedelta) -> str:
        """Return the ``updated_time`` below which no conversation has messages of the window; ``""`` if unbounded."""
        return "" if self.reads_since is None else iso(_earlier(self.reads_since, margin))


SHORTEST_RETENTION, LONGEST_RETENTION = timedelta(days=1), timedelta(days=36_500)


def checked_retention(name: str, retention: object) -> timedelta:
    """Return how long messages are kept; raises ``WindowError``, with the setting's name, for an invalid value."""
    if not isinstance(retention, timedelta) or not SHORTEST_RETENTION <= retention <= LONGEST_RETENTION:
        raise WindowError(
            f"{name} must be a timedelta from {SHORTEST_RETENTION.days} to {LONGEST_RETENTION.days:,} days."
        )
    return retention


def retention_cutoff(retention: timedelta, now: datetime) -> datetime:
    """Return the time before which messages are too old to be kept: a midnight in UTC, so that it moves once a day.

    >>> retention_cutoff(timedelta(days=2), datetime(2026, 11, 20, 15, tzinfo=UTC)).isoformat()
    '2026-11-18T00:00:00+00:00'
    """
    oldest = now.astimezone(UTC) - retention
    return datetime(oldest.year, oldest.month, oldest.day, tzinfo=UTC)


def _earlier(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment.astimezone(UTC) - by
    except OverflowError:  # before the first day of the calendar
        return datetime.min.replace(tzinfo=UTC)


def _moment(name: str, value: datetime | str | None) -> datetime | None:
    # Errors never quote a string, because a template may have rendered a secret into it.
    if isinstance(value, str):
        if name == "since" and value.strip() == "begin":
            return None
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise _invalid_time(name) from None
    _check_moment(name, value)
    return value


def _invalid_time(name: str) -> WindowError:
    begin = ", or begin" if name == "since" else ""
    return WindowError(f"{name} must be an ISO 8601 time, such as 2026-11-20T00:00:00+00:00{begin}.")


def _check_moment(name: str, moment: Any) -> None:
    if moment is None:
        return
    if not isinstance(moment, datetime):
        raise _invalid_time(name)
    if moment.utcoffset() is None:
        raise WindowError(f"{name} has no time zone: add one, such as +00:00.")
    try:
        moment.astimezone(UTC)
    except OverflowError:
        raise WindowError(f"{name} must be within the years 1 to 9999 in UTC: choose a time closer to today.") from None

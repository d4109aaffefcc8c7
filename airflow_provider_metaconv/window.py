"""The time a run extracts, and the one form in which times are compared and written: UTC, ISO 8601."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

_LONGEST_TIME = 40
_EARLIEST_SECONDS = 315_532_800  # 1980
# Meta's form, always UTC: 2026-11-20T09:30:39+0000. The form of the rows differs by one colon.
_META_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000")


def row_time(value: Any) -> str | None:
    """A Graph time as rows hold it, ``2026-11-20T09:30:39+00:00``; None when there is none or it cannot be read.

    UNIX seconds are read as well. Texts of this form sort as the moments they mean, so nothing needs to be parsed to
    be compared.
    """
    if type(value) is int:
        return _from_seconds(value)
    if not isinstance(value, str):
        return None
    # A list shows each of its times several times over.
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
    # Smaller numbers are counters, or dates without separators, but no times of messages.
    if not _EARLIEST_SECONDS <= seconds:
        return None
    try:
        return iso(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):
        return None


def iso(moment: datetime) -> str:
    """An aware moment in the form of the rows."""
    return moment.astimezone(UTC).isoformat()


class WindowError(ValueError):
    """Raised for an invalid window; the text says what to change."""


@dataclass(frozen=True, slots=True)
class Window:
    """The messages with ``since <= created_time < until``; ``since=None`` begins with the first message ever.

    ``capped_from`` is the end that was asked for when that was in the future. ``lookback`` is how far before ``since``
    messages are read again, because Meta lists some of them late. Raises ``WindowError`` for times without a time
    zone, a negative lookback, and an empty window.
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
                f"since={iso(self.since)} is not before until={iso(self.until)}: swap or widen them. (A cron string as "
                "schedule gives intervals of no length in Airflow 3: use CronDataIntervalTimetable.)"
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
        """The window between two times as users give them; an end that is missing or in the future becomes ``now``.

        Texts are ISO 8601 with a zone; None leaves its side open, and so does ``"begin"`` as ``since``. ``"None"`` and
        ``""`` do not: a template that rendered nothing must not turn into a full history.
        """
        first, last = _moment("since", since), _moment("until", until)
        present = now.replace(microsecond=0)
        if first is not None and first >= present:
            raise WindowError(f"since={iso(first)} lies in the future: there is nothing to extract yet.")
        if last is None:
            return cls(first, present, None, lookback)
        if last > present:
            return cls(first, present, last, lookback)
        return cls(first, last, None, lookback)

    @property
    def reads_since(self) -> datetime | None:
        """The time from which messages are read: ``since`` less the lookback."""
        return None if self.since is None else _earlier(self.since, self.lookback)

    def listing_bound(self, margin: timedelta) -> str:
        """The ``updated_time`` below which no conversation can hold a message of the window; ``""``: there is none."""
        return "" if self.reads_since is None else iso(_earlier(self.reads_since, margin))


def _earlier(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment.astimezone(UTC) - by
    except OverflowError:  # before the first day of the calendar
        return datetime.min.replace(tzinfo=UTC)


def _moment(name: str, value: datetime | str | None) -> datetime | None:
    # No line quotes a text: it may be what a template made of a secret.
    if isinstance(value, str):
        if name == "since" and value.strip() == "begin":
            return None
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise _no_time(name) from None
    _check_moment(name, value)
    return value


def _no_time(name: str) -> WindowError:
    begin = ", or begin" if name == "since" else ""
    return WindowError(f"{name} is no time: write it as 2026-11-20T00:00:00+00:00{begin}.")


def _check_moment(name: str, moment: Any) -> None:
    if moment is None:
        return
    if not isinstance(moment, datetime):
        raise _no_time(name)
    if moment.utcoffset() is None:
        raise WindowError(f"{name} has no time zone: add one, such as +00:00.")
    try:
        moment.astimezone(UTC)
    except OverflowError:
        raise WindowError(f"{name} is beyond the years 1 to 9999 in UTC: choose a time closer to today.") from None

"""Times as the Graph API writes them: whole seconds, UTC, with a numeric zone."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

_SECONDS = tuple(f"{second:02d}+0000" for second in range(60))


@lru_cache(maxsize=65_536)
def _minute(minute_number: int) -> str:
    return datetime.fromtimestamp(minute_number * 60, tz=UTC).strftime("%Y-%m-%dT%H:%M:")


def graph_time(epoch: int) -> str:
    """Write epoch seconds the way Graph does, ``2026-11-20T09:30:39+0000``."""
    # strftime per message would cost more than the rest of its row, so it is asked once per minute.
    minute, second = divmod(epoch, 60)
    return _minute(minute) + _SECONDS[second]


def iso_time(epoch: float) -> str:
    """Write epoch seconds as ISO 8601 in UTC, for people and for the control routes."""
    return datetime.fromtimestamp(epoch, tz=UTC).isoformat(timespec="seconds")


def to_epoch(value: datetime | str | float) -> int:
    """Read an aware datetime, an ISO text with a zone or epoch seconds; raises ValueError for a naive time."""
    if isinstance(value, int | float):
        return int(value)
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if moment.tzinfo is None:
        raise ValueError(f"the time {value} has no zone: add one, such as +00:00")
    return int(moment.timestamp())


def to_exact_epoch(value: datetime | str | float) -> float:
    """Read a window bound like `to_epoch`, keeping fractions of a second."""
    if isinstance(value, int | float):
        return float(value)
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if moment.tzinfo is None:
        raise ValueError(f"the time {value} has no zone: add one, such as +00:00")
    return moment.timestamp()

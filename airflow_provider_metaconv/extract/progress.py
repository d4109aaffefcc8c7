"""What a run says of itself while it works: where it is, how long that may still take, and the figures of this try."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class TryFigures:
    """What this try alone has done so far; what earlier tries did before a checkpoint is not in it.

    ``waits`` are the waits for a rate limit, ``usage_percent`` is how full the fullest limit was at its fullest.
    """

    calls: int = 0
    messages: int = 0
    conversations: int = 0
    incomplete: int = 0
    waits: int = 0
    usage_percent: float = 0.0


Observer = Callable[[TryFigures], None]
"""Is told the figures at most once a minute, and once more when the try ends, well or not."""


def nobody(figures: TryFigures) -> None:
    """The observer of runs that nobody watches."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run is: in list ``number`` of ``lists``, which it has read back to the ``updated_time`` ``position``.

    ``end`` is the time at which the list is left; ``""`` where nobody can know: a full history ends with the Page's
    first conversation, and how much a catch-up pass or open conversations still bring is not known before.
    """

    number: int = 1
    lists: int = 1
    position: str = ""
    end: str = ""

    def __str__(self) -> str:
        back = f" read back to {self.position}" if self.position else ""
        return f"list {self.number} of {self.lists}{back}"


class Pace:
    """How fast a list is read, in seconds of its ``updated_time`` a second; ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()
        self._from = Place()

    def note(self, place: Place) -> None:
        """Starts to measure when a list shows its first conversations."""
        if place.number != self._from.number or not self._from.position:
            self._since, self._from = self._clock(), place

    def seconds_left(self, place: Place) -> float | None:
        """Seconds to the list's end at the pace since the last question; None: unknown. Measures anew from here."""
        elapsed, begin = self._clock() - self._since, self._from
        self._since, self._from = self._clock(), place
        if not (place.end and place.position and begin.position and place.number == begin.number):
            return None
        moved = _seconds(place.position, begin.position)
        left = max(_seconds(place.end, place.position), 0.0)
        return left * elapsed / moved if moved > 0 else None


def duration(seconds: float | None) -> str:
    """A time left in words, to the minute: ``unknown``, ``less than 1 min``, ``12 min``, ``3 h 20 min``."""
    if seconds is None:
        return "unknown"
    hours, minutes = divmod(round(seconds / 60), 60)
    if not hours:
        return f"{minutes} min" if minutes else "less than 1 min"
    return f"{hours} h {minutes} min"


def _seconds(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()

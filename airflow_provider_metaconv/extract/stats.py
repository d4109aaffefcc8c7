"""Running counts of an extraction, for the log and an observer while it runs, and for the manifest at its end."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from airflow_provider_metaconv.extract.rows import Batch
from airflow_provider_metaconv.graph.errors import RateLimitError
from airflow_provider_metaconv.schema import ConversationStatus

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 60.0

CallStats = Callable[[], Mapping[str, Any]]
"""Returns the costs of this attempt's calls so far: numbers, and counts of errors by code."""


@dataclass(frozen=True, slots=True)
class AttemptStats:
    """The stats of this attempt so far, without those of earlier attempts.

    ``waits`` are the waits for a rate limit, and ``usage_percent`` is the highest usage of any limit.
    """

    calls: int = 0
    messages: int = 0
    conversations: int = 0
    incomplete: int = 0
    waits: int = 0
    usage_percent: float = 0.0


Observer = Callable[[AttemptStats], None]
"""Receives the stats at most once a minute, and once more at the end of the attempt, whether it succeeded or not."""


def noop(stats: AttemptStats) -> None:
    """No-op observer."""


class EarlierAttempts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The counts and costs of all attempts up to a checkpoint."""

    attempts: int
    calls: int
    retries: int
    rate_limit_waits: int
    rate_limit_wait_seconds: float
    usage_percent: float
    errors: dict[str, int]
    started: str
    messages: int
    statuses: dict[str, int]
    replaced: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class ListPosition:
    """Where an extraction is: in list ``number`` of ``lists``, read back to the ``updated_time`` ``position``.

    ``end`` is the time at which reading of the list will end; ``""`` if unknown.
    """

    number: int = 1
    lists: int = 1
    position: str = ""
    end: str = ""

    def __str__(self) -> str:
        back = f" read back to {self.position}" if self.position else ""
        return f"list {self.number} of {self.lists}{back}"


class Pace:
    """How fast a list is read, in seconds of ``updated_time`` per second; ``clock`` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()
        self._from = ListPosition()

    def note(self, place: ListPosition) -> None:
        """Start measuring when a list returns its first conversations."""
        if place.number != self._from.number or not self._from.position:
            self._since, self._from = self._clock(), place

    def seconds_left(self, place: ListPosition) -> float | None:
        """Return the estimated seconds to the list's end, or None if unknown, and start a new measurement."""
        elapsed, begin = self._clock() - self._since, self._from
        self._since, self._from = self._clock(), place
        if not (place.end and place.position and begin.position and place.number == begin.number):
            return None
        moved = _seconds(place.position, begin.position)
        left = max(_seconds(place.end, place.position), 0.0)
        return left * elapsed / moved if moved > 0 else None


def duration(seconds: float | None) -> str:
    """Format a remaining time to the minute: ``unknown``, ``less than 1 min``, ``12 min``, ``3 h 20 min``."""
    if seconds is None:
        return "unknown"
    hours, minutes = divmod(round(seconds / 60), 60)
    if not hours:
        return f"{minutes} min" if minutes else "less than 1 min"
    return f"{hours} h {minutes} min"


def _seconds(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


class ExtractionStats:
    """Counts the rows and costs of all attempts, and reports them to the log and ``observe`` once a minute.

    ``clock`` returns monotonic seconds. ``replaced`` counts what this attempt scrubs from text, by kind.
    """

    def __init__(
        self,
        name: str,
        call_stats: CallStats,
        started: str,
        observe: Observer = noop,
        clock: Callable[[], float] = time.monotonic,
        replaced: Counter[str] | None = None,
    ) -> None:
        self._name = name
        self._call_stats = call_stats
        self._observe = observe
        self._clock = clock
        self._pace = Pace(clock)
        self._reported = clock()
        self._waits, self._wait_seconds = 0, 0.0
        self._earlier = EarlierAttempts(0, 0, 0, 0, 0.0, 0.0, {}, started, 0, {})
        self._statuses: Counter[str] = Counter()
        self._replaced = replaced if replaced is not None else Counter()
        self.messages = 0

    def resume(self, earlier: EarlierAttempts) -> None:
        """Continue the counts of earlier attempts."""
        self._earlier = earlier
        self._statuses, self.messages = Counter(earlier.statuses), earlier.messages

    def add(self, batch: Batch, place: ListPosition) -> None:
        """Count a batch that was written; ``place`` is the current position."""
        self.messages += len(batch.messages)
        for row in batch.conversations:
            self._statuses[row["status"]] += 1
        self._pace.note(place)
        if self._clock() - self._reported >= SECONDS_BETWEEN_LINES:
            left = duration(self._pace.seconds_left(place))
            self.log("So far", f"; {place}; time left in it at this pace: {left}")
            self.report()

    def add_wait(self, error: RateLimitError) -> None:
        """Count a wait that this attempt leaves to the next one."""
        self._waits += 1
        self._wait_seconds += error.retry_after

    def log(self, opening: str, more: str = "") -> None:
        """Log one line with all counts."""
        self._reported = self._clock()
        total = self.total()
        logger.info(
            "%s: %s: %d conversations, %d messages, %d calls, fullest limit at %s %%%s",
            opening,
            self._name,
            self.conversations,
            self.messages,
            total.calls,
            total.usage_percent,
            more,
        )

    def report(self) -> None:
        """Report the stats of this attempt to the observer."""
        now, earlier = self._call_stats(), self._earlier
        earlier_incomplete = sum(earlier.statuses.values()) - earlier.statuses.get(ConversationStatus.COMPLETE, 0)
        self._observe(
            AttemptStats(
                calls=now["calls"],
                messages=self.messages - earlier.messages,
                conversations=self.conversations - sum(earlier.statuses.values()),
                incomplete=self.incomplete - earlier_incomplete,
                waits=now["rate_limit_waits"] + self._waits,
                usage_percent=now["usage_percent"],
            )
        )

    @property
    def conversations(self) -> int:
        """The number of conversations in the ledger."""
        return self._statuses.total()

    @property
    def incomplete(self) -> int:
        """The number of incomplete conversations."""
        return self.conversations - self._statuses[ConversationStatus.COMPLETE]

    @property
    def calls(self) -> int:
        """The calls of all attempts."""
        return int(self._call_stats()["calls"]) + self._earlier.calls

    def total(self) -> EarlierAttempts:
        """Return all counts and costs so far, including this attempt's, for a checkpoint."""
        now, earlier = self._call_stats(), self._earlier
        waited = now["rate_limit_wait_seconds"] + self._wait_seconds + earlier.rate_limit_wait_seconds
        return EarlierAttempts(
            attempts=earlier.attempts + 1,
            calls=now["calls"] + earlier.calls,
            retries=now["retries"] + earlier.retries,
            rate_limit_waits=now["rate_limit_waits"] + self._waits + earlier.rate_limit_waits,
            rate_limit_wait_seconds=round(waited, 1),
            usage_percent=max(now["usage_percent"], earlier.usage_percent),
            errors=dict(sorted((Counter(now["errors"]) + Counter(earlier.errors)).items())),
            started=earlier.started,
            messages=self.messages,
            statuses=dict(self._statuses),
            replaced=dict(sorted((self._replaced + Counter(earlier.replaced)).items())),
        )

"""Meta's rate limits: their usage, how fast to call, and how long to wait once one is reached.

The headers of every response, success or error (https://developers.facebook.com/docs/graph-api/overview/rate-limiting)::

    x-app-usage: {"call_count": 12, "total_cputime": 0, "total_time": 0}
    x-business-use-case-usage: {"<object id>": [{"type": "messenger", "call_count": 100, "total_cputime": 25,
                                                 "total_time": 25, "estimated_time_to_regain_access": 19}]}

Percentages are relative to the limit. Times to regain access are in minutes, and 0 means "no estimate". A missing
header has no effect, unknown keys are ignored, and an unreadable header counts as missing, because a header must never
fail a run. The business header may list other objects of the business (an ads account, another Page); only the entries
of the caller's own objects count.

Meta allows 2 calls per second per Page on the Conversations API, and prolongs the block of a caller who continues after
a limit (https://developers.facebook.com/docs/messenger-platform/overview#rate-limiting).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

LONGEST_WAIT_SECONDS = 7 * 24 * 3600.0
"""No limit of Meta's lasts longer than a day. A larger number is an error, and must not stop a Page for ever."""

OWN_TYPES = frozenset({"messenger", "pages", "instagram"})
"""The types of business limits that count calls for conversations."""

CALLS_PER_SECOND = 2.0
SLOW_FROM_PERCENT = 80.0
LONGEST_GAP_SECONDS = 30.0
"""The longest gap between calls, however high the usage. For longer waits, Meta's own estimate frees the worker."""

LONGEST_NAP_SECONDS = 1.0

LONGEST_GUESS_SECONDS = 1800.0
"""The longest wait for a limit without an estimate from Meta."""

# Sleeping and sending are not exact to the millisecond. A 2 % wider gap keeps any 10 seconds below the limit.
MARGIN = 1.02

_PERCENTAGES = ("call_count", "total_cputime", "total_time", "acc_id_util_pct")
_MOST_DOUBLINGS = 20


@dataclass(frozen=True, slots=True)
class Pool:
    """One limit: the object it applies to, its ``bucket``, its usage in percent, and the seconds until it reopens."""

    object_id: str
    bucket: str
    percent: float
    regain_seconds: float


@dataclass(frozen=True, slots=True)
class Usage:
    """The limits in one response that apply to the caller."""

    pools: tuple[Pool, ...] = ()

    @property
    def percent(self) -> float:
        """The usage of the fullest limit; 0 without headers."""
        return max((pool.percent for pool in self.pools), default=0.0)

    def wait_seconds(self, bucket: str) -> float:
        """Return the seconds until the bucket reopens; 0 means no estimate."""
        return max((pool.regain_seconds for pool in self.pools if pool.bucket == bucket), default=0.0)


NO_USAGE = Usage()


def read_usage(headers: Mapping[str, str], own_ids: Collection[str] = ()) -> Usage:
    """Read the limits from a response's headers: those of the app, the Page, and the objects in ``own_ids``.

    ``headers`` are looked up in lower case, as in the case-insensitive mapping of ``requests``.
    """
    return Usage(
        (
            *_simple_pool(headers, "x-app-usage", "app"),
            *_simple_pool(headers, "x-page-usage", "pages"),
            *(pool for pool in _business_pools(headers) if pool.object_id in own_ids and pool.bucket in OWN_TYPES),
        )
    )


def pace_share(percent: float) -> float:
    """Return the share of the full pace at that usage: 1 up to 80 %, then the remainder squared, down to 0 at 100 %.

    It is squared because the remainder must last until the oldest calls no longer count, at a time that Meta does not
    report.
    """
    left = (100.0 - min(max(percent, SLOW_FROM_PERCENT), 100.0)) / (100.0 - SLOW_FROM_PERCENT)
    return left * left


class Pacer:
    """Schedules the calls of any number of threads, at least one gap apart.

    ``calls_per_second`` must be greater than 0; ``clock`` returns monotonic seconds, and ``sleep`` waits.
    """

    def __init__(
        self,
        calls_per_second: float = CALLS_PER_SECOND,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gap = MARGIN / calls_per_second
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._last = float("-inf")
        self._paused_until = 0.0
        self._gap_now = self._gap

    def wait_turn(self) -> None:
        """Return when the next call may be sent."""
        while (seconds := self._take_turn()) > 0:
            # Sleep in short naps, so that a pause or a higher pace also affects threads that are already waiting.
            self._sleep(min(seconds, LONGEST_NAP_SECONDS))

    def _take_turn(self) -> float:
        """Take the turn if it has come, and return the seconds until it comes otherwise."""
        with self._lock:
            now = self._clock()
            turn = max(self._last + self._gap_now, self._paused_until)
            if now >= turn:
                self._last = now
            return turn - now

    def observe(self, percent: float) -> None:
        """Set the pace from the usage of the fullest limit, in percent."""
        with self._lock:
            share = pace_share(percent)
            longest = max(LONGEST_GAP_SECONDS, self._gap)
            self._gap_now = min(self._gap / share, longest) if share else longest

    def pause(self, seconds: float) -> None:
        """Stop all sending for that long, because a limit was reached."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)


class LimitWaits:
    """How long one caller waits for limits: as Meta estimates, or else twice as long each time in a row.

    ``consecutive`` is the number of limits since the last success; a later attempt sets it to continue the count. Calls
    that were in flight together when a limit was reached count as one.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._limited_at = float("-inf")
        self._until = float("-inf")
        self.consecutive = 0

    def wait_after(self, sent_at: float, seconds: float, *, is_estimate: bool) -> float:
        """Return the seconds to wait after a call, sent at ``sent_at``, hit a limit that asks for ``seconds``."""
        with self._lock:
            now = self._clock()
            is_known = sent_at <= self._limited_at
            if is_known and not is_estimate:
                return max(self._until - now, 0.0)
            if not is_estimate:
                seconds = min(seconds * 2.0 ** min(self.consecutive, _MOST_DOUBLINGS), LONGEST_GUESS_SECONDS)
            if not is_known:
                self.consecutive += 1
                self._limited_at = now
            self._until = max(self._until, now + seconds)
            return self._until - now

    def succeeded(self, sent_at: float) -> None:
        """Record a successful call. One that was sent before a limit was reached says nothing about the limit."""
        with self._lock:
            if sent_at > self._limited_at:
                self.consecutive = 0


def _business_pools(headers: Mapping[str, str]) -> Iterator[Pool]:
    for object_id, entries in _parsed(headers.get("x-business-use-case-usage")).items():
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict):
                kind = entry.get("type")
                yield _pool(str(object_id), kind if isinstance(kind, str) else "", entry)


def _simple_pool(headers: Mapping[str, str], name: str, bucket: str) -> Iterator[Pool]:
    entry = _parsed(headers.get(name))
    if entry:
        yield _pool("", bucket, entry)


def _pool(object_id: str, bucket: str, entry: Mapping[str, Any]) -> Pool:
    percent = max(_number(entry.get(key)) for key in _PERCENTAGES)
    regain = 60.0 * _number(entry.get("estimated_time_to_regain_access"))
    return Pool(object_id, bucket, percent, min(regain, LONGEST_WAIT_SECONDS))


def _parsed(header: str | None) -> dict[str, Any]:
    try:
        value = orjson.loads(header or "{}")
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if math.isfinite(number) and number > 0 else 0.0

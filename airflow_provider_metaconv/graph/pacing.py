"""So many calls a second, evenly spread, and slower as Meta's limits fill up.

Meta allows 2 calls a second per Page on the Conversations API and blocks who goes on after a limit
(https://developers.facebook.com/docs/messenger-platform/overview#rate-limiting).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

CALLS_PER_SECOND = 2.0
SLOW_FROM_PERCENT = 80.0
LONGEST_GAP_SECONDS = 30.0
"""However full a limit is, a call is sent this often: what lasts longer is left to Meta's own word, which frees the
worker."""

LONGEST_NAP_SECONDS = 1.0

# Sleeping and sending are never exact to the millisecond: a 2 % wider gap keeps any 10 seconds below the limit.
MARGIN = 1.02


def pace_share(percent: float) -> float:
    """The share of the full pace at that usage: all up to 80 %, then the square of what is left, nothing at 100 %.

    The square, since what is left must last until the oldest calls no longer count, and nobody says when that is.
    """
    left = (100.0 - min(max(percent, SLOW_FROM_PERCENT), 100.0)) / (100.0 - SLOW_FROM_PERCENT)
    return left * left


class Pacer:
    """Hands out moments to send at, one gap apart, to any number of threads.

    ``calls_per_second`` above 0; ``clock`` gives monotonic seconds and ``sleep`` waits, both injected for tests.
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
        """Returns when the next call may be sent."""
        while (seconds := self._take_turn()) > 0:
            # In naps: a pause holds who waits already, and a limit that empties lets them go.
            self._sleep(min(seconds, LONGEST_NAP_SECONDS))

    def _take_turn(self) -> float:
        """Takes the turn if it has come, else says in how many seconds it will."""
        with self._lock:
            now = self._clock()
            turn = max(self._last + self._gap_now, self._paused_until)
            if now >= turn:
                self._last = now
            return turn - now

    def observe(self, percent: float) -> None:
        """Sets the pace by how full the fullest limit is, in percent."""
        with self._lock:
            share = pace_share(percent)
            longest = max(LONGEST_GAP_SECONDS, self._gap)
            self._gap_now = min(self._gap / share, longest) if share else longest

    def pause(self, seconds: float) -> None:
        """Lets nobody send for that long from now on: a limit was reached."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

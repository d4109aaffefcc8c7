"""A clock that advances only when code sleeps, so that hours of backoff take no time."""

from __future__ import annotations


class VirtualClock:
    """Seconds since 1970: call it for the time, call ``sleep`` to advance it."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)

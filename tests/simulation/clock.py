"""A clock that only moves when somebody waits, so that hours of back-off cost nothing."""

from __future__ import annotations


class VirtualClock:
    """Seconds since 1970; call it for the time, ``sleep`` to let time pass."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)

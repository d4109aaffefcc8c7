"""How a task is told to end, whatever it is doing: waits end, calls in flight are cut, and nothing more is sent."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

Cut = Callable[[], None]
"""Ends something that is under way in another thread, at once and without waiting."""


class StoppedError(Exception):
    """The task was told to end: whoever worked for it leaves off."""

    def __init__(self) -> None:
        super().__init__("The task was told to end.")


class Stop:
    """One for everything that a task does; ``request`` may come from a signal handler, at any moment, in any thread.

    For that reason nothing here waits for a lock that the interrupted thread could hold.
    """

    def __init__(self) -> None:
        self.requested = False
        self._cuts: set[Cut] = set()
        # Locked until the stop is requested, then open for ever: whoever waits tries to pass.
        self._gate = threading.Lock()
        self._gate.acquire()
        self._closed = [self._gate]

    def request(self) -> None:
        """Ends every wait and everything that can be cut; asked twice, it is the same."""
        self.requested = True
        with contextlib.suppress(IndexError):
            self._closed.pop().release()
        for cut in tuple(self._cuts):
            cut()

    def raise_if_requested(self) -> None:
        """Raises ``StoppedError`` once the stop is requested."""
        if self.requested:
            raise StoppedError

    def wait(self, seconds: float) -> None:
        """Waits so long; raises ``StoppedError`` when the stop is requested before."""
        if self._gate.acquire(timeout=min(max(seconds, 0.0), threading.TIMEOUT_MAX)):
            self._gate.release()
            raise StoppedError

    @contextlib.contextmanager
    def cutting(self, cut: Cut) -> Iterator[None]:
        """While inside, a stop calls ``cut``; raises ``StoppedError`` when it is requested already."""
        self._cuts.add(cut)
        try:
            # After it was added: a request sees the cut, or this sees the request.
            self.raise_if_requested()
            yield
        finally:
            self._cuts.discard(cut)

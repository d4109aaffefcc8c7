"""Stopping a task, whatever it is doing: waits end, calls in flight are cancelled, and no further call is sent."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

Cut = Callable[[], None]
"""Cancels an operation in another thread, immediately and without waiting."""


class StoppedError(Exception):
    """The task was stopped, so its work ends here."""

    def __init__(self) -> None:
        super().__init__("The task was stopped.")


class Stop:
    """A stop request, shared by everything in a task. ``request`` may come from a signal handler, in any thread.

    Nothing here waits for a lock that the interrupted thread might hold.
    """

    def __init__(self) -> None:
        self.requested = False
        self._cuts: set[Cut] = set()
        # Locked until the stop is requested, then released for good. ``wait`` tries to acquire it.
        self._gate = threading.Lock()
        self._gate.acquire()
        self._closed = [self._gate]

    def request(self) -> None:
        """End every wait and cancel everything that can be cancelled. Further requests have no effect."""
        self.requested = True
        with contextlib.suppress(IndexError):
            self._closed.pop().release()
        for cut in tuple(self._cuts):
            cut()

    def raise_if_requested(self) -> None:
        """Raise ``StoppedError`` if the stop was requested."""
        if self.requested:
            raise StoppedError

    def wait(self, seconds: float) -> None:
        """Wait that long; raises ``StoppedError`` as soon as the stop is requested."""
        if self._gate.acquire(timeout=min(max(seconds, 0.0), threading.TIMEOUT_MAX)):
            self._gate.release()
            raise StoppedError

    @contextlib.contextmanager
    def cutting(self, cut: Cut) -> Iterator[None]:
        """Call ``cut`` if the stop is requested inside the context; raises ``StoppedError`` if it already was."""
        self._cuts.add(cut)
        try:
            # Checked after adding the cut, so that a concurrent request is not missed.
            self.raise_if_requested()
            yield
        finally:
            self._cuts.discard(cut)


@contextlib.contextmanager
def threads_of(number: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of threads, and wait for them at the end unless the task is stopped."""
    threads = ThreadPoolExecutor(number, thread_name_prefix="metaconv")
    try:
        yield threads
    except Exception:
        threads.shutdown(cancel_futures=True)
        raise
    except BaseException:
        # A hanging thread must not block the task. The threads end with their work, or with the process.
        threads.shutdown(wait=False, cancel_futures=True)
        raise
    threads.shutdown()

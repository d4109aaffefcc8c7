"""Operators that end immediately when their task is killed: by a timeout, by SIGTERM or from the UI.

Airflow raises ``AirflowTaskTimeout`` in the main thread after ``execution_timeout``, wherever that thread is. On
SIGTERM it calls ``on_kill`` there and then continues as if nothing had happened. Other threads notice neither.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import TypeVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_metaconv.stop import Stop

Result = TypeVar("Result")

_SECONDS_BETWEEN_INTERRUPTS = 0.1


class TaskStopped(BaseException):
    """The task was killed; Airflow may retry it."""

    def __init__(self) -> None:
        super().__init__("The task was stopped.")


class StoppableOperator(BaseOperator):
    """An operator whose ``execute`` does its work inside ``until_stopped``."""

    _stop: Stop | None = None
    _thread: int | None = None

    @contextlib.contextmanager
    def until_stopped(self) -> Iterator[Stop]:
        """Yield the ``Stop`` that everything running in other threads must observe."""
        self._thread, self._stop = threading.get_ident(), Stop()
        stop = self._stop
        try:
            yield stop
        except BaseException:
            stop.request()
            raise
        finally:
            self._stop = None

    def on_kill(self) -> None:
        """End ``execute``, whatever it is doing."""
        # Cleared first, so that a second signal does not interrupt the cleanup after the first.
        stop, self._stop = self._stop, None
        if stop is None:
            return
        stop.request()
        if threading.get_ident() == self._thread:
            raise TaskStopped


def interruptible(work: Callable[[], Result], interrupt: Callable[[], None], stop: Stop) -> Result:
    """Run ``work`` in another thread and return its result, because a signal cannot interrupt native code.

    ``interrupt`` ends one step of the work from another thread.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="metaconv") as threads, stop.cutting(interrupt):
        working = threads.submit(copy_context().run, work)
        try:
            # An interrupt has no effect between two steps, so repeat it.
            while wait([working], _SECONDS_BETWEEN_INTERRUPTS).not_done:
                if stop.requested:
                    interrupt()
            return working.result()
        except Exception:
            # An interrupted step raises its own error; report the stop instead.
            stop.raise_if_requested()
            raise
        except BaseException:
            interrupt()
            while wait([working], _SECONDS_BETWEEN_INTERRUPTS).not_done:
                interrupt()
            raise

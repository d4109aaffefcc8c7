"""Operators that end at once when their task is told to, by a timeout, by SIGTERM or by a person in the UI.

Airflow raises ``AirflowTaskTimeout`` in the main thread at the end of ``execution_timeout``, wherever that one is. On
SIGTERM it calls ``on_kill`` there and goes on as if nothing had happened. Threads beside it hear of neither.
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
    """The task was told to end; Airflow may try it again."""

    def __init__(self) -> None:
        super().__init__("The task was told to end.")


class StoppableOperator(BaseOperator):
    """An operator whose ``execute`` works inside ``until_stopped``."""

    _stop: Stop | None = None
    _thread: int | None = None

    @contextlib.contextmanager
    def until_stopped(self) -> Iterator[Stop]:
        """Gives what everything that runs beside this thread is to listen to."""
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
        """Ends ``execute``, whatever it is doing."""
        # Taken away, so that a second signal does not interrupt the clearing away after the first.
        stop, self._stop = self._stop, None
        if stop is None:
            return
        stop.request()
        if threading.get_ident() == self._thread:
            raise TaskStopped


def interruptible(work: Callable[[], Result], interrupt: Callable[[], None], stop: Stop) -> Result:
    """What ``work`` returns; done in a thread of its own, since a signal is not heard in the middle of foreign code.

    ``interrupt`` ends one step of the work from another thread.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="metaconv") as threads, stop.cutting(interrupt):
        working = threads.submit(copy_context().run, work)
        try:
            return working.result()
        except Exception:
            # What an interrupted step looks like from here.
            stop.raise_if_requested()
            raise
        except BaseException:
            interrupt()
            # Between two steps there was nothing to interrupt.
            while wait([working], _SECONDS_BETWEEN_INTERRUPTS).not_done:
                interrupt()
            raise

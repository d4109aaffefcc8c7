"""Returning freed memory to the system. glibc keeps it in fragments too small for the next large string."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache


def release_freed_memory() -> None:
    """Return unused memory to the system if the C library can. Takes a few milliseconds and never raises."""
    _trim()(0)


@cache
def _trim() -> Callable[[int], object]:
    if sys.platform == "linux":
        try:
            return ctypes.CDLL(None).malloc_trim
        except (OSError, AttributeError):
            pass  # another C library, such as Alpine's musl, which keeps little
    return lambda _: None

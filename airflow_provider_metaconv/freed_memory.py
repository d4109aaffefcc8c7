"""What was freed goes back to the system: glibc keeps it, in pieces that the next long text does not fit into."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache


def release_freed_memory() -> None:
    """Returns unused memory to the system where the C library can; costs some milliseconds, and never fails."""
    _trim()(0)


@cache
def _trim() -> Callable[[int], object]:
    if sys.platform == "linux":
        try:
            return ctypes.CDLL(None).malloc_trim
        except (OSError, AttributeError):
            pass  # another C library, such as Alpine's, which keeps little
    return lambda _: None

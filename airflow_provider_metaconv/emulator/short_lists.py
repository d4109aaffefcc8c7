"""Pages of short lists whose cursors are plain numbers, such as ``/me/accounts`` and participants."""

from __future__ import annotations

from collections.abc import Mapping

from .errors import invalid_parameter
from .opaque import from_opaque, to_opaque
from .paging import CONVERSATIONS_CAP, Link, Slice, Window, envelope, read_window


def plain_page(rows: list[str], link: Link, parameters: Mapping[str, str]) -> str:
    """Return one page of the rows; raises (#100) for a bad limit or cursor."""
    window = read_window(parameters, CONVERSATIONS_CAP)
    start = _start(window)
    end = min(len(rows), start + window.limit)
    part = Slice(start, end, end < len(rows), earlier=start > 0)
    cursors = (to_opaque(str(start)), to_opaque(str(end))) if rows[start:end] else None
    return envelope(rows[start:end], cursors, link, part, window)


def _start(window: Window) -> int:
    try:
        if window.after is not None:
            return int(from_opaque(window.after))
        return 0 if window.before is None else max(0, int(from_opaque(window.before)) - window.limit)
    except ValueError:
        raise invalid_parameter("Invalid cursors values") from None

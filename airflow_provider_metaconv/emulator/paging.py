"""Pages of an ordered list, by cursors that name the row they follow, and Graph's paging envelope.

A cursor means "after this row", not "after so many rows": a thread that moves to the top while somebody reads
is gone from below, and nothing else shifts. That is the trap a client has to survive.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from .errors import GraphError, error_body, invalid_parameter
from .model import Message, Thread
from .opaque import from_cursor, to_cursor

DEFAULT_LIMIT = 25
CONVERSATIONS_CAP = 200
MESSAGES_CAP = 100


@dataclass(frozen=True)
class Link:
    """What ``next`` and ``previous`` repeat of the call: where it went, the caller's token, its parameters."""

    url: str
    token: str
    parameters: Mapping[str, str]

    def to(self, limit: int, direction: str, cursor: str) -> str:
        """Return the URL of the neighbouring page; it embeds the token, as Graph's does."""
        more = {"limit": str(limit), direction: cursor}
        query = urlencode({"access_token": self.token, "pretty": "0", **self.parameters, **more}, quote_via=quote)
        return f"{self.url}?{query}"


@dataclass(frozen=True)
class Window:
    """Which part of a list is asked for."""

    limit: int
    after: str | None = None
    before: str | None = None


@dataclass(frozen=True)
class Slice:
    """Bounds of a page within a list that is kept oldest first, and whether there is more on either side."""

    start: int
    end: int
    more: bool
    earlier: bool


def read_window(parameters: Mapping[str, str], cap: int) -> Window:
    """Read limit, after and before; raises (#100) for a limit that is no positive number, cuts a large one."""
    text = parameters.get("limit") or str(DEFAULT_LIMIT)
    if not text.isdecimal() or int(text) < 1:
        raise invalid_parameter("Param limit must be a number greater than 0")
    return Window(min(int(text), cap), parameters.get("after") or None, parameters.get("before") or None)


def slice_threads(threads: list[Thread], window: Window) -> Slice:
    """Return which threads the window shows, newest ``updated_time`` first."""
    place = _cursor(window)
    if place is None:
        return _slice(len(threads), window, None)
    if window.after is not None:
        return _slice(len(threads), window, bisect_left(threads, place, key=lambda each: each.key))
    return _slice(len(threads), window, bisect_right(threads, place, key=lambda each: each.key))


def slice_messages(messages: list[Message], window: Window) -> Slice:
    """Return which messages the window shows, newest first."""
    place = _cursor(window)
    if place is None:
        return _slice(len(messages), window, None)
    position, tie = place
    if not tie.isdecimal():
        raise _bad_cursor()
    key = (position, int(tie))
    if window.after is not None:
        return _slice(len(messages), window, bisect_left(messages, key, key=lambda each: each.key))
    return _slice(len(messages), window, bisect_right(messages, key, key=lambda each: each.key))


def thread_cursor(thread: Thread) -> str:
    """Return the cursor that names a thread's place in the list of conversations."""
    return to_cursor(*thread.key)


def message_cursor(message: Message) -> str:
    """Return the cursor that names a message's place in its thread."""
    return to_cursor(message.created_time, str(message.sequence))


def envelope(rows: Iterable[str], cursors: tuple[str, str] | None, link: Link, part: Slice, limit: int) -> str:
    """Return ``{"data": […], "paging": {…}}``; a page without rows has no paging."""
    data = ",".join(rows)
    if cursors is None:
        return f'{{"data":[{data}]}}'
    before, after = cursors
    paging = f'"cursors":{{"before":"{before}","after":"{after}"}}'
    if part.earlier:
        paging += f',"previous":"{link.to(limit, "before", before)}"'
    if part.more:
        paging += f',"next":"{link.to(limit, "after", after)}"'
    return f'{{"data":[{data}],"paging":{{{paging}}}}}'


def _slice(length: int, window: Window, place: int | None) -> Slice:
    if place is None:
        start = max(0, length - window.limit)
        return Slice(start, length, start > 0, earlier=False)
    if window.after is not None:
        start = max(0, place - window.limit)
        return Slice(start, place, start > 0, earlier=place < length)
    end = min(length, place + window.limit)
    return Slice(place, end, place > 0, earlier=end < length)


def _cursor(window: Window) -> tuple[int, str] | None:
    text = window.after if window.after is not None else window.before
    if text is None:
        return None
    try:
        return from_cursor(text)
    except ValueError:
        raise _bad_cursor() from None


def _bad_cursor() -> GraphError:
    return GraphError(400, error_body(100, "(#100) Invalid cursors values"))

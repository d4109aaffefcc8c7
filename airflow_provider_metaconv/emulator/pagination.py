"""Pagination: cursors, pages of an ordered list, and Graph's paging envelope.

A cursor means "after this row", not "after so many rows". A thread that moves to the top while a client is reading
disappears from the pages below, and no other row shifts. Clients have to cope with that.
"""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlencode

from .errors import GraphError, error_body, invalid_parameter

if TYPE_CHECKING:
    from .faults import Fault
    from .models import Message, Thread


_ESCAPES = {"Z": "ZA", "+": "ZB", "/": "ZC", "=": "ZD"}
_PLAIN = {escaped: plain for plain, escaped in _ESCAPES.items()}
_ESCAPE_TABLE = str.maketrans(_ESCAPES)
_CURSOR_PREFIX = "QVFI"
DEFAULT_LIMIT = 25
CONVERSATIONS_CAP = 200
MESSAGES_CAP = 100
# Positions of no row: newer than every row, and the last one of its second.
NEWER_THAN_ALL = 2**40
LAST_TIE = str(2**31)
TIME_TOKEN_PREFIX = "enc_"  # noqa: S105  (Meta's paging token is a cursor, not a credential)


def to_base64(text: str) -> str:
    """Encode a text as base64 in Meta's alphabet, letters and digits only: ``0`` becomes ``MAZDZD``."""
    return base64.b64encode(text.encode()).decode().translate(_ESCAPE_TABLE)


def from_base64(text: str) -> str:
    """Decode what `to_base64` encoded; raises ValueError for anything else."""
    plain = re.sub(r"Z(.?)", _unescape, text)
    try:
        return base64.b64decode(plain, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("not base64 in Meta's alphabet") from error


def _unescape(match: re.Match[str]) -> str:
    try:
        return _PLAIN[match[0]]
    except KeyError:
        raise ValueError("not base64 in Meta's alphabet") from None


def to_cursor(position: int, tie: str, note: str = "") -> str:
    """Encode the sort value and the tie breaker of a page's last row; a note only makes the cursor look different."""
    return _CURSOR_PREFIX + to_base64(f"{position}|{tie}|{note}")


def from_cursor(cursor: str) -> tuple[int, str]:
    """Decode what `to_cursor` encoded; raises ValueError for anything else."""
    if not cursor.startswith(_CURSOR_PREFIX):
        raise ValueError("not a cursor")
    parts = from_base64(cursor.removeprefix(_CURSOR_PREFIX)).split("|")
    if len(parts) != 3:
        raise ValueError("not a cursor")
    return int(parts[0]), parts[1]


@dataclass(frozen=True)
class Link:
    """The parts of a call that ``next`` and ``previous`` repeat: its URL, token and parameters."""

    url: str
    token: str
    parameters: Mapping[str, str]

    def to(self, limit: int, direction: str, cursor: str) -> str:
        """Return the URL of the adjacent page; like Graph's, it includes the token."""
        return self._with({"limit": str(limit), direction: cursor})

    def by_time(self, limit: int, direction: str, cursor: str) -> str:
        """Return the URL for paging without cursors: by time, and by a token for the position within it."""
        bound, more = ("until", {}) if direction == "after" else ("since", {"__previous": "1"})
        moment = str(from_cursor(cursor)[0])
        token = f"{TIME_TOKEN_PREFIX}{cursor}"
        return self._with({"limit": str(limit), bound: moment, "__paging_token": token, **more})

    def _with(self, more: Mapping[str, str]) -> str:
        query = urlencode({"access_token": self.token, "pretty": "0", **self.parameters, **more}, quote_via=quote)
        return f"{self.url}?{query}"


@dataclass(frozen=True)
class Window:
    """The requested part of a list."""

    limit: int
    after: str | None = None
    before: str | None = None

    @property
    def is_first(self) -> bool:
        """Whether the window begins at the top of the list."""
        return self.after is None and self.before is None


@dataclass(frozen=True, slots=True)
class PageShape:
    """The size of a list's pages, regardless of ``limit``, and how the list ends.

    ``tail`` says what the last page with rows names as next: nothing, an empty page that ends the list, an empty
    page that names itself, or itself.
    """

    size: int | None = None
    first_size: int | None = None
    divisor: int = 1
    tail: Literal["plain", "empty", "empty_self", "self"] = "plain"
    same_cursors: bool = False
    by_time: bool = False
    ignores_place: bool = False

    def cut(self, window: Window) -> Window:
        """Return the window that the page really covers."""
        if self.ignores_place:
            window = Window(window.limit)
        limit = max(1, window.limit // self.divisor)
        if self.size is not None:
            limit = min(limit, self.size)
        if self.first_size is not None and window.is_first:
            limit = min(limit, self.first_size)
        return window if limit == window.limit else replace(window, limit=limit)

    def after(self, window: Window, part: Slice, cursors: tuple[str, str] | None) -> str | None:
        """Return the cursor of the page's ``next``, None at the end of the list."""
        if part.more and cursors is not None:
            return cursors[1]
        if window.before is not None:
            return None
        own = window.after or to_cursor(NEWER_THAN_ALL, "0")
        if cursors is None:
            return own if self.tail == "empty_self" and window.after is not None else None
        return {"plain": None, "empty": cursors[1], "empty_self": cursors[1], "self": own}[self.tail]


PLAIN = PageShape()


@dataclass(frozen=True)
class Slice:
    """A page's bounds in a list sorted oldest first; ``more``: there are older rows, ``earlier``: newer ones."""

    start: int
    end: int
    more: bool
    earlier: bool


def read_window(parameters: Mapping[str, str], cap: int) -> Window:
    """Return the requested window, with its limit capped; raises (#100) for a bad limit."""
    text = parameters.get("limit") or str(DEFAULT_LIMIT)
    if not text.isdecimal() or int(text) < 1:
        raise invalid_parameter("Param limit must be a number greater than 0")
    limit, token = min(int(text), cap), parameters.get("__paging_token")
    if token:
        cursor = token.removeprefix(TIME_TOKEN_PREFIX)
        return Window(limit, before=cursor) if parameters.get("__previous") == "1" else Window(limit, cursor)
    return Window(limit, parameters.get("after") or None, parameters.get("before") or None)


def until_time(window: Window, until: str | None) -> Window:
    """Return the window for paging without cursors: the first page begins at ``until``, inclusive."""
    if not window.is_first or until is None or not until.isdecimal():
        return window
    return replace(window, after=to_cursor(int(until), LAST_TIE))


def slice_threads(threads: list[Thread], window: Window) -> Slice:
    """Return the part of the threads in the window; raises (#100) for a bad cursor."""
    return _slice(threads, window, _cursor(window))


def slice_messages(messages: list[Message], window: Window) -> Slice:
    """Return the part of the messages in the window; raises (#100) for a bad cursor."""
    place = _cursor(window)
    if place is None:
        return _slice(messages, window, None)
    position, tie = place
    if not tie.isdecimal():
        raise _bad_cursor()
    return _slice(messages, window, (position, int(tie)))


def thread_cursor(thread: Thread) -> str:
    """Return the cursor of a thread in the list of conversations."""
    return to_cursor(*thread.key)


def message_cursor(message: Message) -> str:
    """Return the cursor of a message in its thread."""
    return to_cursor(message.created_time, str(message.sequence))


def envelope(
    rows: Iterable[str],
    cursors: tuple[str, str] | None,
    link: Link,
    part: Slice,
    window: Window,
    shape: PageShape = PLAIN,
) -> str:
    """Return ``{"data": […], "paging": {…}}``; an empty last page has no paging."""
    data = ",".join(rows)
    following = shape.after(window, part, cursors)
    if cursors is None:
        if following is None:
            return f'{{"data":[{data}]}}'
        cursors = (following, following)
    before, after = cursors[0], following or cursors[1]
    to = link.by_time if shape.by_time else link.to
    paging = []
    if not shape.by_time:
        shown = after if shape.same_cursors else before
        paging.append(f'"cursors":{{"before":"{shown}","after":"{after}"}}')
    if part.earlier:
        paging.append(f'"previous":"{to(window.limit, "before", before)}"')
    if following is not None:
        paging.append(f'"next":"{to(window.limit, "after", following)}"')
    return f'{{"data":[{data}],"paging":{{{",".join(paging)}}}}}' if paging else f'{{"data":[{data}]}}'


def _slice(rows: list[Any], window: Window, key: tuple[int, int | str] | None) -> Slice:
    length = len(rows)
    if key is None:
        start = max(0, length - window.limit)
        return Slice(start, length, start > 0, earlier=False)
    if window.after is not None:
        end = bisect_left(rows, key, key=lambda each: each.key)
        start = max(0, end - window.limit)
        return Slice(start, end, start > 0, earlier=end < length)
    start = bisect_right(rows, key, key=lambda each: each.key)
    end = min(length, start + window.limit)
    return Slice(start, end, start > 0, earlier=end < length)


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


def plain_page(rows: list[str], link: Link, parameters: Mapping[str, str]) -> str:
    """Return one page of a short list, whose cursors are plain indexes; raises (#100) for a bad limit or cursor."""
    window = read_window(parameters, CONVERSATIONS_CAP)
    start = _number_cursor(window)
    end = min(len(rows), start + window.limit)
    part = Slice(start, end, end < len(rows), earlier=start > 0)
    cursors = (to_base64(str(start)), to_base64(str(end))) if rows[start:end] else None
    return envelope(rows[start:end], cursors, link, part, window)


def _number_cursor(window: Window) -> int:
    try:
        if window.after is not None:
            return int(from_base64(window.after))
        return 0 if window.before is None else max(0, int(from_base64(window.before)) - window.limit)
    except ValueError:
        raise invalid_parameter("Invalid cursors values") from None


Edge = Literal["conversations", "messages"]


SHAPES: Mapping[str, Callable[[PageShape, Fault], PageShape]] = {
    "short_page": lambda shape, _: replace(shape, divisor=2),
    "page_size": lambda shape, fault: replace(shape, size=fault.size),
    "first_page": lambda shape, fault: replace(shape, first_size=fault.size),
    "empty_tail": lambda shape, _: replace(shape, tail="empty"),
    "empty_self_tail": lambda shape, _: replace(shape, tail="empty_self"),
    "self_tail": lambda shape, _: replace(shape, tail="self"),
    "same_cursors": lambda shape, _: replace(shape, same_cursors=True),
    "ignored_cursor": lambda shape, _: replace(shape, ignores_place=True),
    "time_paging": lambda shape, _: replace(shape, by_time=True),
}


@dataclass(frozen=True, slots=True)
class Shapes:
    """The faults that shape the pages of one call."""

    faults: Sequence[Fault] = ()
    route: str = ""

    def of(self, edge: Edge, thread_id: str | None = None) -> PageShape:
        """Return the shape of an edge's pages; ``thread_id`` is the conversation of a messages edge."""
        shape = PLAIN
        for fault in self.faults:
            if self._holds(fault, edge, thread_id):
                shape = SHAPES[fault.name](shape, fault)
        return shape

    def _holds(self, fault: Fault, edge: Edge, thread_id: str | None) -> bool:
        kind = fault.kind
        if fault.thread_id is not None and fault.thread_id != thread_id:
            return False
        if fault.edge is not None:
            return fault.edge == edge
        return edge in kind.edges and (kind.nested or edge == self.route)


NO_SHAPES = Shapes()

"""Walking a Graph list to its end: only a missing ``next`` ends it, and a circle is an error.

The JSON this is for (https://developers.facebook.com/docs/graph-api/results)::

    {"data": [...], "paging": {"cursors": {"before": "...", "after": "QVFI..."}, "next": "https://..."}}

``cursors.after`` is there on the last page too, and a page may be empty while ``next`` is there, so neither says that
the list is over. ``next`` embeds the access token and could point anywhere: the cursor is kept, the link never is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from airflow_provider_metaconv.graph.errors import CursorError, TransientError


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: its rows, and the cursor of the next page; ``after=None`` means that the list is over."""

    items: list[dict[str, Any]]
    after: str | None


def page_of(edge: Any) -> Page:
    """The page in an answer or in a nested edge; a missing edge is an empty list that is over.

    Raises ``TransientError`` when it has no list of objects, ``CursorError`` when ``next`` comes without any cursor.
    """
    if edge is None:
        return Page([], None)
    rows = edge.get("data") if isinstance(edge, Mapping) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise TransientError("Meta's answer holds no list where one belongs.")
    paging = edge.get("paging") or {}
    cursors = paging.get("cursors") or {} if isinstance(paging, dict) else None
    if not isinstance(cursors, dict):
        raise TransientError("Meta's answer holds something else where the paging belongs.")
    if not paging.get("next"):
        return Page(rows, None)
    after = cursors.get("after") or _cursor_in(paging["next"])
    if not after:
        raise CursorError("Meta announces a next page but gives no cursor for it.")
    return Page(rows, str(after))


def _cursor_in(link: Any) -> str | None:
    # Some lists give the cursor in the link alone; reading a link is safe, following it is not.
    return next(iter(parse_qs(urlsplit(str(link)).query).get("after", [])), None)


class LoopGuard:
    """Remembers the cursors of one list; raises ``CursorError`` when one comes again.

    Keeps a hash of each, since a list of 10,000 pages is ordinary and cursors are some hundred characters long.
    """

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def check(self, after: str | None) -> None:
        """Accepts a cursor once."""
        if after is None:
            return
        if hash(after) in self._seen:
            raise CursorError("Meta gave the same cursor twice: the list turns in a circle.")
        self._seen.add(hash(after))


def pages(fetch: Callable[[dict[str, str]], dict[str, Any]]) -> Iterator[Page]:
    """All pages of a list, in order; ``fetch`` receives the parameters that say where the page begins."""
    guard = LoopGuard()
    page = page_of(fetch({}))
    yield page
    while page.after is not None:
        guard.check(page.after)
        page = page_of(fetch({"after": page.after}))
        yield page

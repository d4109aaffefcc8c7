"""Lists of the Graph API: parsing one page of results, and reading a short list to its end.

The JSON (https://developers.facebook.com/docs/graph-api/results)::

    {"data": [...], "paging": {"cursors": {"before": "...", "after": "QVFI..."}, "next": "https://..."}}

Only a missing ``next`` ends a list: ``cursors.after`` is also present on the last page, and a page with ``next`` may be
empty. ``next`` contains the access token and could point anywhere, so it is never followed. Only its parameters that
specify a position are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from airflow_provider_metaconv.graph.errors import CursorError, UnexpectedResponseError, UnexpectedRowsError
from airflow_provider_metaconv.graph.redaction import holds_secret

POSITION_PARAMETERS = ("after", "until", "since", "__paging_token", "offset", "__after_id")
"""The parameters of a ``next`` link that specify a position. Some lists page by time or offset, without cursors."""

MOST_PAGES = 1000
MOST_PAGES_WITHOUT_ROWS = 25


@dataclass(frozen=True, slots=True)
class ResultPage:
    """One page of a list: its rows, and the parameters for the next page; None means the end of the list."""

    items: list[dict[str, Any]]
    next_parameters: Mapping[str, str] | None


def parse_page(edge: Any, *, lenient_rows: bool = False) -> ResultPage:
    """Parse the page in a response or a nested edge.

    ``lenient_rows`` turns rows that are not objects into empty ones, so that they can be counted. Raises
    ``UnexpectedResponseError`` for anything but a list of objects, including a missing edge, and ``CursorError`` if
    ``next`` has no usable position.
    """
    rows = edge.get("data") if isinstance(edge, Mapping) else None
    if not isinstance(rows, list):
        raise UnexpectedResponseError("Meta's response has no list where one is expected.")
    items = [row if isinstance(row, dict) else {} for row in rows]
    if not lenient_rows and len(items) != sum(isinstance(row, dict) for row in rows):
        raise UnexpectedRowsError("Meta's response has a list with rows that are not objects.")
    paging = edge.get("paging") or {}
    if not isinstance(paging, dict):
        raise UnexpectedResponseError("Meta's response has an invalid paging object.")
    return ResultPage(items, _next_parameters(paging) if paging.get("next") else None)


def _next_parameters(paging: Mapping[str, Any]) -> dict[str, str]:
    cursors = paging.get("cursors")
    after = cursors.get("after") if isinstance(cursors, dict) else None
    found = {"after": str(after)} if isinstance(after, str | int) and after else _position(paging["next"])
    if not found:
        raise CursorError("Meta announces a next page but gives no position for it.")
    if not all(value.isprintable() and not holds_secret(value) for value in found.values()):
        # Unpaired surrogates cannot be sent, a NUL cannot be stored in a checkpoint, and a token must not be.
        raise CursorError("Meta gives a position for the next page that cannot be sent.")
    return found


def _position(link: Any) -> dict[str, str]:
    try:
        query = parse_qs(urlsplit(str(link)).query)
    except ValueError:
        return {}
    return {name: query[name][0] for name in POSITION_PARAMETERS if name in query}


class LoopGuard:
    """Remembers the positions of one list; raises ``CursorError`` if one is repeated.

    It stores a hash of each, because lists of 10,000 pages are common and cursors have hundreds of characters.
    """

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def check(self, parameters: Mapping[str, str] | None) -> None:
        """Accept each position once; None is not a position."""
        if parameters is None:
            return
        position = hash(frozenset(parameters.items()))
        if position in self._seen:
            raise CursorError("Meta returned the same cursor twice: the list loops.")
        self._seen.add(position)


def pages(fetch: Callable[[Mapping[str, str]], ResultPage]) -> Iterator[ResultPage]:
    """Yield all pages of a short list, in order. ``fetch`` receives the parameters of a page's position.

    An empty page that points to itself is the end. Raises ``CursorError`` for a list that loops, continues without
    rows, or has more than 1,000 pages.
    """
    guard = LoopGuard()
    parameters: Mapping[str, str] = {}
    without_rows = 0
    for _ in range(MOST_PAGES):
        page = fetch(parameters)
        yield page
        if page.next_parameters is None or (not page.items and page.next_parameters == parameters):
            return
        guard.check(page.next_parameters)
        parameters = page.next_parameters
        without_rows = 0 if page.items else without_rows + 1
        if without_rows >= MOST_PAGES_WITHOUT_ROWS:
            raise CursorError(f"Meta's list continues after {without_rows} pages without rows.")
    raise CursorError(f"Meta's list has more than {MOST_PAGES} pages.")

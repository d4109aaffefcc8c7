"""The paging that the walk was written against; goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_metaconv.graph import pagination
from airflow_provider_metaconv.graph.pagination import ResultPage


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: its rows, and the cursor of the next page; ``after=None`` means that the list is over."""

    items: list[dict[str, Any]]
    after: str | None


def old_page(page: ResultPage) -> Page:
    """The page with its cursor alone."""
    return Page(page.items, (page.next_parameters or {}).get("after"))


def page_of(edge: Any) -> Page:
    """The page in a nested edge; a missing edge is an empty list that is over."""
    return Page([], None) if edge is None else old_page(pagination.parse_page(edge))


class LoopGuard(pagination.LoopGuard):
    """Accepts a cursor once."""

    def check(self, after: Any) -> None:
        """Accepts a cursor once."""
        super().check(None if after is None else {"after": after})

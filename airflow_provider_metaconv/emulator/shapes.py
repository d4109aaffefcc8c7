"""How Meta cuts and ends the pages of a list: one row per fault in `SHAPES`, all of them may hold at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .faults import FAULT_KINDS, Fault
from .paging import PLAIN, PageShape

Edge = Literal["conversations", "messages"]


def _resized(shape: PageShape, fault: Fault) -> PageShape:
    return dataclasses.replace(shape, size=fault.size)


def _first_resized(shape: PageShape, fault: Fault) -> PageShape:
    return dataclasses.replace(shape, first_size=fault.size)


SHAPES: Mapping[str, Callable[[PageShape, Fault], PageShape]] = {
    "short_page": lambda shape, _: dataclasses.replace(shape, divisor=2),
    "page_size": _resized,
    "first_page": _first_resized,
    "empty_tail": lambda shape, _: dataclasses.replace(shape, tail="empty"),
    "empty_self_tail": lambda shape, _: dataclasses.replace(shape, tail="empty_self"),
    "self_tail": lambda shape, _: dataclasses.replace(shape, tail="self"),
    "same_cursors": lambda shape, _: dataclasses.replace(shape, same_cursors=True),
    "ignored_cursor": lambda shape, _: dataclasses.replace(shape, ignores_place=True),
    "time_paging": lambda shape, _: dataclasses.replace(shape, by_time=True),
}


@dataclass(frozen=True, slots=True)
class Shapes:
    """The page shapes that hold for one call."""

    faults: Sequence[Fault] = ()
    route: str = ""

    def of(self, edge: Edge, thread_id: str | None = None) -> PageShape:
        """Return how the pages of an edge are cut; ``thread_id`` is the conversation of a messages edge."""
        shape = PLAIN
        for fault in self.faults:
            if self._holds(fault, edge, thread_id):
                shape = SHAPES[fault.name](shape, fault)
        return shape

    def _holds(self, fault: Fault, edge: Edge, thread_id: str | None) -> bool:
        kind = FAULT_KINDS[fault.name]
        if fault.thread_id is not None and fault.thread_id != thread_id:
            return False
        if fault.edge is not None:
            return fault.edge == edge
        return edge in kind.edges and (kind.nested or edge == self.route)


NO_SHAPES = Shapes()

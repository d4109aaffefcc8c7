"""Where a walk is in the list of conversations, and which call brings it on. Pure: it decides, others send.

The list is newest ``updated_time`` first. ``READ`` pages bring conversations with their newest messages. What can
come in between:

* "Reduce the amount of data": the same place again with less. When a single conversation is still too much, one
  ``AROUND`` call lists it alone with light fields, so that it can be read by itself, and the list goes on behind it.
* A cursor that is refused or comes again: ``SEEK`` pages, light and large, lead from the top down to the last
  position, a time, and reading goes on from there.
* A walk that resumes: ``PROVE`` asks for the last page again. Meta says that cursors must not be stored, so a stored
  one is only a hint: it is believed when its page still overlaps the one that was read, else ``SEEK``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from airflow_provider_metaconv.extract.old_paging import LoopGuard, Page, page_of
from airflow_provider_metaconv.extract.sizes import AdaptiveSizes, Sizes
from airflow_provider_metaconv.extract.window import row_time
from airflow_provider_metaconv.graph.errors import CursorError, GraphError

logger = logging.getLogger(__name__)

LIGHT_LIMIT = 200
"""Conversations per call when only id and time are asked for: the most that Meta is reported to hand over."""

MAX_RECOVERIES = 3
"""How often a list may be sought again without having come further before it counts as a circle."""

MAX_SMALLEST_REFUSALS = 3
"""How often the smallest of all list calls may be refused before the list counts as unreadable."""

Node = dict[str, Any]


class Step(Enum):
    """What a list call is for."""

    READ = auto()
    AROUND = auto()
    SEEK = auto()
    PROVE = auto()


@dataclass(frozen=True, slots=True)
class ListCall:
    """One page to ask for: behind which cursor, how much of it, and what for; 0 nested messages: light fields only."""

    step: Step
    after: str | None
    sizes: Sizes

    @property
    def is_light(self) -> bool:
        """Whether it asks for ids and times only."""
        return self.sizes.nested_messages == 0


class Listing:
    """One way down the list, to the first conversation updated before ``oldest`` or to the end.

    ``since`` is the oldest message that is wanted. ``light`` lists ids and times only. ``position`` is the
    ``updated_time`` down to which everything was handed out.
    """

    def __init__(self, sizes: AdaptiveSizes, oldest: str, since: str = "", *, light: bool = False) -> None:
        self._sizes = sizes
        self._oldest = oldest
        self._since = since
        self._light_sizes = Sizes(LIGHT_LIMIT, 0) if light else None
        self._seek_limit = LIGHT_LIMIT
        self._step = Step.READ
        self._after: str | None = None
        self._guard = LoopGuard()
        self._recoveries = 0
        self._smallest_refusals = 0
        self._ordered = True
        self._previous = ""
        self._page_after: str | None = None
        self._page_ids: list[str] = []
        self.position = ""
        self.top = ""
        self.pages = 0
        self.finished = False
        self.stuck: GraphError | None = None

    @property
    def end(self) -> str:
        """The ``updated_time`` below which it is left; ``""`` when only its own end ends it, or it has ended."""
        return self._oldest if self._ordered and not self.finished else ""

    def next_call(self) -> ListCall | None:
        """The call that brings the list on; None when it is finished."""
        if self.finished:
            return None
        sizes = self._light_sizes or self._sizes.now
        if self._step is Step.AROUND:
            sizes = Sizes(1, 0)
        elif self._step is Step.SEEK:
            sizes = Sizes(self._seek_limit, 0)
        return ListCall(self._step, self._after, sizes)

    def accepted(self, call: ListCall, page: Page) -> list[Node]:
        """The conversations to read from a page that came; raises ``CursorError`` when the list is a circle."""
        if call.step is Step.SEEK:
            self._sought(call, page)
            return []
        if call.step is Step.PROVE and self._page_ids and not self._overlaps(page):
            logger.info("The stored cursor leads elsewhere by now: seeking %s from the top", self.position)
            self._seek()
            return []
        self._pass(call, page)
        return page.items

    def refused(self, call: ListCall, error: GraphError) -> None:
        """A call was too much, or its cursor is invalid: chooses the next step; raises when there is none."""
        if isinstance(error, CursorError):
            self._recover(error)
        elif call.step is Step.AROUND or (call.is_light and call.sizes.conversations == 1):
            self._smallest_refusals += 1
            if self._smallest_refusals >= MAX_SMALLEST_REFUSALS:
                self.stuck, self.finished = error, True
        elif call.step is Step.SEEK:
            self._seek_limit //= 2
        elif self._light_sizes is not None:
            self._light_sizes = replace(self._light_sizes, conversations=call.sizes.conversations // 2)
        elif not self._sizes.list_refused(call.sizes):
            self._step = Step.AROUND

    def give_up(self) -> None:
        """Leaves the list where it is stuck: there is another way to go on."""
        self.stuck, self.finished, self.pages, self.top = None, True, 0, ""

    def _pass(self, call: ListCall, page: Page) -> None:
        times = [time for node in page.items if (time := row_time(node.get("updated_time"))) is not None]
        self._check_order(times)
        self.top = self.top or (times[0] if times else "")
        self.pages += 1
        if times and (not self.position or times[-1] < self.position):
            self.position, self._recoveries = times[-1], 0
        self._smallest_refusals = 0
        self._page_after, self._page_ids = call.after, [str(node.get("id")) for node in page.items]
        if call.step is Step.AROUND:
            self._sizes.list_was_not_too_large()
        elif self._light_sizes is None:
            self._sizes.list_accepted(len(page.items), *_nested_messages(page.items, self._since))
        self._step = Step.READ
        past = self._ordered and bool(times) and times[-1] < self._oldest
        self.finished = page.after is None or past
        self._go_to(page.after)

    def _check_order(self, times: list[str]) -> None:
        for time in times:
            # A thread that rises above the top has a new message; one that rises below it contradicts the order.
            if self._previous and self._previous < time < self.top and self._ordered:
                self._ordered = False
                logger.warning(
                    "Meta's list is not in order (%s after %s): reading on to its end instead of stopping early",
                    time,
                    self._previous,
                )
            self._previous = time

    def _go_to(self, after: str | None) -> None:
        try:
            self._guard.check(after)
        except CursorError as error:
            self._recover(error)
        else:
            self._after = after

    def _recover(self, error: CursorError) -> None:
        if not self.finished:
            self._recoveries += 1
            if self._recoveries > MAX_RECOVERIES:
                raise error
            logger.info("%s Seeking %s from the top", error, self.position or "the beginning")
            self._seek()

    def _seek(self) -> None:
        self._guard = LoopGuard()
        self._after = None
        # What follows is read for the second time, and begins above the position.
        self._previous = ""
        self._step = Step.SEEK if self.position else Step.READ

    def _sought(self, call: ListCall, page: Page) -> None:
        times = [time for node in page.items if (time := row_time(node.get("updated_time"))) is not None]
        if page.after is None or (times and times[-1] <= self.position):
            # Reading starts at the head of this page: what of it was read before is known and passed over.
            self._step, self._after, self._guard = Step.READ, call.after, LoopGuard()
        else:
            self._go_to(page.after)

    def _overlaps(self, page: Page) -> bool:
        return not set(self._page_ids).isdisjoint(str(node.get("id")) for node in page.items)

    def state(self) -> dict[str, Any]:
        """What a later try needs to go on here, in JSON types."""
        return {
            "position": self.position,
            "top": self.top,
            "pages": self.pages,
            "ordered": self._ordered,
            "finished": self.finished,
            "page_after": self._page_after,
            "page_ids": self._page_ids,
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Goes on where ``state()`` was taken."""
        self.position, self.top, self.pages = state["position"], state["top"], state["pages"]
        self._ordered, self.finished = state["ordered"], state["finished"]
        self._page_after, self._page_ids = state["page_after"], state["page_ids"]
        self._after = self._page_after
        # The first page needs no proof: it is the top itself.
        self._step = Step.READ if self._after is None else Step.PROVE


def _nested_messages(nodes: Sequence[Node], since: str) -> tuple[int, int]:
    """How many messages came nested, and how many conversations have more of them that are wanted."""
    messages = continued = 0
    for node in nodes:
        try:
            page = page_of(node.get("messages"))
        except GraphError:
            continue
        messages += len(page.items)
        last = row_time(page.items[-1].get("created_time")) if page.items else None
        continued += page.after is not None and (last is None or last >= since)
    return messages, continued

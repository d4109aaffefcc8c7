"""The window walk: every message of a Page's window in the fewest calls, newest conversation first.

1. The list is walked down to the window's beginning; conversations come with their newest messages nested.
2. A conversation whose messages go on is followed up by calls of its own, several at a time under the one pacer.
3. While that takes its time, a new message moves its thread to the top, behind the walk's back. So the top is listed
   again, down to where it was when the list began, and what the walk has not seen is read. A list of a single call
   is a snapshot in which nothing can move: it needs no such pass, and such a pass is the last one.

All decisions are made in the one thread that iterates; the threads of the pool only fetch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

from airflow_provider_metaconv.extract.calls import Call, CallPool
from airflow_provider_metaconv.extract.ledger import Progress, Scope
from airflow_provider_metaconv.extract.listing import ListCall, Listing
from airflow_provider_metaconv.extract.old_paging import Page
from airflow_provider_metaconv.extract.reader import Batch, ConversationReader, is_too_much
from airflow_provider_metaconv.extract.rows import text
from airflow_provider_metaconv.extract.sizes import AdaptiveSizes
from airflow_provider_metaconv.extract.window import row_time
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.graph.errors import CursorError, GraphError, TransientError

logger = logging.getLogger(__name__)

WORKERS = 4
"""Calls in flight: enough to send 2 calls a second while each takes 1.5 seconds."""

LISTING_MARGIN = timedelta(minutes=5)
"""How far below the window the list is read on: ``updated_time`` and ``created_time`` need not agree to the second."""

MAX_PASSES = 25
"""Catch-up passes before the Page counts as too busy to be read: each is shorter than the one before."""


class WindowWalk:
    """One walk over one list of conversations; iterate ``batches()`` once. Memory: the rows of a few calls.

    ``listed`` are the conversations to pass over, and grows by those that are read; ``sizes`` adapt to what Meta
    hands over. ``known_ids`` are conversations of earlier runs, asked for only when the list itself cannot be read:
    ``gap`` then says so.
    """

    def __init__(
        self,
        edge: ConversationsEdge,
        scope: Scope,
        sizes: AdaptiveSizes,
        listed: set[str],
        *,
        workers: int = WORKERS,
        known_ids: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._scope = scope
        self._sizes = sizes
        self._listed = listed
        self._known_ids = known_ids
        self._oldest = scope.window.listing_edge(LISTING_MARGIN)
        self._listing = Listing(sizes, self._oldest, scope.since)
        self._passes = 0
        self._is_resumed = False
        self._reader = ConversationReader(scope, sizes)
        self._calls = CallPool(edge, workers)
        self.gap: str | None = None

    def batches(self) -> Iterator[Batch]:
        """All rows of the window, as they come; raises the ``GraphError`` that ends the walk.

        Before it raises, what the other calls in flight have brought is handed out, so that it need not be asked for
        again.
        """
        failure: GraphError | None = None
        try:
            while failure is None and self._go_on():
                self._send_waiting()
                call, future = self._calls.answered()
                try:
                    batch = self._handle(call, future)
                except GraphError as error:
                    failure = error
                    self._put_back(call)
                else:
                    yield batch
            yield from self._drain()
        finally:
            self._calls.close()
        if failure is not None:
            raise failure

    def _drain(self) -> Iterator[Batch]:
        while self._calls.in_flight:
            call, future = self._calls.answered()
            if future.exception() is None and not isinstance(call, ListCall):
                try:
                    batch = self._handle(call, future)
                except GraphError:
                    self._put_back(call)
                else:
                    yield batch
            else:
                self._put_back(call)

    def _put_back(self, call: Call) -> None:
        # For the state that a later try goes on from; the list knows its place itself.
        if not isinstance(call, ListCall):
            self._reader.waiting.append(call)

    def _go_on(self) -> bool:
        """Whether there is anything left to do, a further pass over the top of the list included."""
        if self._reader.waiting or self._calls.in_flight or not self._listing.finished:
            return True
        if self._listing.stuck is not None:
            self._read_known_conversations(self._listing.stuck)
            return bool(self._reader.waiting)
        if (self._listing.pages <= 1 and not self._is_resumed) or not self._listing.top:
            return False
        self._begin_catch_up()
        return True

    def _begin_catch_up(self) -> None:
        self._is_resumed = False
        self._passes += 1
        if self._passes > MAX_PASSES:
            raise TransientError(f"The Page's list still changes after {MAX_PASSES} passes: it is too busy to be read.")
        self._reader.reference = self._listing.top
        self._listing = Listing(self._sizes, self._listing.top, light=True)

    def _read_known_conversations(self, error: GraphError) -> None:
        self.gap = f"the list of conversations cannot be read below {self._listing.position or 'its top'}: {error}"
        known = list(self._known_ids())
        if not known:
            raise error
        known = [conversation_id for conversation_id in known if conversation_id not in self._listed]
        self._listing.give_up()
        logger.warning("%s Reading %d conversations that earlier runs knew.", self.gap, len(known))
        for conversation_id in known:
            self._listed.add(conversation_id)
            self._reader.open_by_itself(Progress(conversation_id))

    def _send_waiting(self) -> None:
        while self._reader.waiting and self._calls.has_room:
            self._calls.send(self._reader.waiting.popleft())
        # One list call at a time, and behind the rest: open conversations are finished before new ones are opened.
        if self._calls.has_room and not any(isinstance(call, ListCall) for call in self._calls.in_flight):
            call = self._listing.next_call()
            if call is not None:
                self._calls.send(call)

    def _handle(self, call: Call, future: Future[Any]) -> Batch:
        try:
            answer = future.result()
        except GraphError as error:
            return self._list_refused(call, error) if isinstance(call, ListCall) else self._reader.refused(call, error)
        return self._read_list(call, answer) if isinstance(call, ListCall) else self._reader.answered(call, answer)

    def _list_refused(self, call: ListCall, error: GraphError) -> Batch:
        if not isinstance(error, CursorError) and not is_too_much(error):
            raise error
        logger.debug("The list of conversations is refused at %s: %s", call.sizes, error)
        self._listing.refused(call, error)
        return Batch()

    def _read_list(self, call: ListCall, page: Page) -> Batch:
        if any(node.get("id") is None for node in page.items):
            # Before the page counts as read: a later try must ask for it again.
            raise TransientError("Meta lists a conversation without its id.")
        nodes = self._listing.accepted(call, page)
        self._reader.reference = self._reader.reference or self._listing.top
        # Before this page is read, so that Meta works while we do.
        self._send_waiting()
        batch = Batch()
        nodes.reverse()
        while nodes:
            # Taken off the page, which the next one's answer would otherwise find in memory as a whole.
            node = nodes.pop()
            conversation_id, updated = str(text(node["id"])), row_time(node.get("updated_time"))
            if conversation_id in self._listed:
                self._read_again(Progress(conversation_id, updated))
            elif updated is None or updated >= self._oldest:
                self._listed.add(conversation_id)
                batch.add(self._reader.read_node(node, Progress(conversation_id, updated)))
        return batch

    def _read_again(self, progress: Progress) -> None:
        """A conversation that was read and has moved since: its new messages count if the window is still open."""
        since = self._reader.reference
        moved = self._passes and progress.updated_time is not None and progress.updated_time > since
        if moved and self._scope.until > since:
            progress.newer_than = since
            self._reader.open_by_itself(progress)

    @property
    def stretch(self) -> tuple[str, str]:
        """The ``updated_time`` to which the list was read, and the one where it is left; ``""`` where not known."""
        return self._listing.position, "" if self._passes else self._listing.end

    def state(self) -> dict[str, Any]:
        """What a later try needs to go on here, in JSON types; taken between two batches."""
        return {
            "listing": self._listing.state(),
            "passes": self._passes,
            "reference": self._reader.reference,
            "gap": self.gap,
            "reader": self._reader.state(call for call in self._calls.in_flight if not isinstance(call, ListCall)),
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Goes on where ``state()`` was taken; ``listed`` must hold again what it held then."""
        self._passes, self.gap = state["passes"], state["gap"]
        self._reader.reference = state["reference"]
        if self._passes:
            self._listing = Listing(self._sizes, state["reference"], light=True)
        self._listing.resume(state["listing"])
        self._listed.update(state["listing"]["page_ids"], self._reader.resume(state["reader"]))
        # The list moved on while nobody looked: even a single page is no snapshot of it any more.
        self._is_resumed = self._listing.pages > 0

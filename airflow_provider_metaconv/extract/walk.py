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
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from airflow_provider_metaconv.extract.calls import Call, CallPool, ConversationCall, MessagesCall, SingleCall
from airflow_provider_metaconv.extract.ledger import OpenConversation, Progress, Scope
from airflow_provider_metaconv.extract.listing import ListCall, Listing, Node
from airflow_provider_metaconv.extract.rows import text
from airflow_provider_metaconv.extract.sizes import AdaptiveSizes
from airflow_provider_metaconv.extract.window import row_time
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.graph.errors import (
    CursorError,
    GraphError,
    InvalidRequestError,
    ItemUnavailableError,
    TooMuchDataError,
    TransientError,
)
from airflow_provider_metaconv.graph.paging import LoopGuard, Page, page_of
from airflow_provider_metaconv.records import Row

logger = logging.getLogger(__name__)

WORKERS = 4
"""Calls in flight: enough to send 2 calls a second while each takes 1.5 seconds."""

LISTING_MARGIN = timedelta(minutes=5)
"""How far below the window the list is read on: ``updated_time`` and ``created_time`` need not agree to the second."""

MAX_PASSES = 25
"""Catch-up passes before the Page counts as too busy to be read: each is shorter than the one before."""

MAX_RESTARTS = 3
"""How often one conversation is read from its top again before the ledger calls it unreadable."""


@dataclass(slots=True)
class Batch:
    """Rows that are ready to be written: messages, and ledger rows of conversations that are finished."""

    messages: list[Row] = field(default_factory=list)
    conversations: list[Row] = field(default_factory=list)

    def add(self, other: Batch) -> None:
        """Takes over the rows of another batch."""
        self.messages += other.messages
        self.conversations += other.conversations


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
        self._listing = Listing(sizes, self._oldest)
        self._passes = 0
        self._reference = ""
        self._recent_ids: set[str] = set()
        self._is_resumed = False
        self._waiting: deque[ConversationCall] = deque()
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
            if future.exception() is None and isinstance(call, MessagesCall | SingleCall):
                yield self._handle(call, future)
            else:
                self._put_back(call)

    def _put_back(self, call: Call) -> None:
        # For the state that a later try goes on from; the list knows its place itself.
        if not isinstance(call, ListCall):
            self._waiting.append(call)

    def _go_on(self) -> bool:
        """Whether there is anything left to do, a further pass over the top of the list included."""
        if self._waiting or self._calls.in_flight or not self._listing.finished:
            return True
        if self._listing.stuck is not None:
            self._read_known_conversations(self._listing.stuck)
            return bool(self._waiting)
        if (self._listing.pages <= 1 and not self._is_resumed) or not self._listing.top:
            return False
        self._begin_catch_up()
        return True

    def _begin_catch_up(self) -> None:
        self._is_resumed = False
        self._passes += 1
        if self._passes > MAX_PASSES:
            raise TransientError(f"The Page's list still changes after {MAX_PASSES} passes: it is too busy to be read.")
        self._reference = self._listing.top
        self._listing = Listing(self._sizes, self._reference, light=True)

    def _read_known_conversations(self, error: GraphError) -> None:
        self.gap = f"the list of conversations cannot be read below {self._listing.position or 'its top'}: {error}"
        known = list(self._known_ids())
        if not known:
            raise error
        known = [conversation_id for conversation_id in known if conversation_id not in self._listed]
        self._listing.give_up()
        logger.warning("%s Reading %d conversations that earlier runs knew.", self.gap, len(known))
        for conversation_id in known:
            self._open_by_itself(Progress(conversation_id))

    def _send_waiting(self) -> None:
        while self._waiting and self._calls.has_room:
            self._calls.send(self._waiting.popleft())
        # One list call at a time, and behind the rest: open conversations are finished before new ones are opened.
        if self._calls.has_room and not any(isinstance(call, ListCall) for call in self._calls.in_flight):
            call = self._listing.next_call()
            if call is not None:
                self._calls.send(call)

    def _handle(self, call: Call, future: Future[Any]) -> Batch:
        try:
            answer = future.result()
        except GraphError as error:
            if isinstance(call, ListCall):
                return self._list_refused(call, error)
            return self._conversation_refused(call, error)
        if isinstance(call, ListCall):
            return self._read_list(call, answer)
        return self._read_conversation(call, answer)

    def _list_refused(self, call: ListCall, error: GraphError) -> Batch:
        if not isinstance(error, CursorError) and not _is_too_much(error):
            raise error
        logger.info("The list of conversations is refused at %s: %s", call.sizes, error)
        self._listing.refused(call, error)
        return Batch()

    def _conversation_refused(self, call: ConversationCall, error: GraphError) -> Batch:
        if _is_too_much(error):
            return self._ask_for_less(call, error)
        if isinstance(error, CursorError) and call.conversation.progress.restarts < MAX_RESTARTS:
            call.conversation.restart()
            return self._follow_up(call.conversation)
        if isinstance(error, CursorError) or _concerns_one_object(error):
            return self._give_up(call.conversation, error)
        raise error

    def _ask_for_less(self, call: ConversationCall, error: GraphError) -> Batch:
        conversation = call.conversation
        if isinstance(call, MessagesCall) and call.light:
            self._sizes.messages_were_not_too_large()
            return self._give_up(conversation, error)
        logger.info("Meta asks for less of conversation %s at %d messages: %s", conversation.id, call.limit, error)
        if self._sizes.messages_refused(call.limit):
            limit = max(call.limit // 2, 1)
            single = isinstance(call, SingleCall)
            self._waiting.appendleft(SingleCall(conversation, limit) if single else MessagesCall(conversation, limit))
        else:
            # A single message cannot be read: with its id and time alone it can be stepped over, and counted.
            self._waiting.appendleft(MessagesCall(conversation, 1, light=True))
        return Batch()

    def _give_up(self, conversation: OpenConversation, error: GraphError) -> Batch:
        conversation.unreadable(str(error))
        return self._finished(conversation)

    def _read_list(self, call: ListCall, page: Page) -> Batch:
        nodes = self._listing.accepted(call, page)
        # Before this page is read, so that Meta works while we do.
        self._send_waiting()
        batch = Batch()
        for node in nodes:
            updated = row_time(node.get("updated_time"))
            conversation_id = text(node.get("id"))
            if conversation_id is None:
                raise TransientError("Meta lists a conversation without its id.")
            if updated is None or updated >= self._oldest:
                batch.add(self._read_node(node, Progress(conversation_id, updated)))
        return batch

    def _read_node(self, node: Node, progress: Progress) -> Batch:
        if progress.id in self._listed:
            return self._read_again(progress)
        self._listed.add(progress.id)
        if node.get("messages") is None:
            # Listed with light fields, or without messages, as Graph shows what is empty: asked by itself.
            return self._open_by_itself(progress)
        try:
            page = page_of(node["messages"])
        except GraphError:
            return self._open_by_itself(progress)
        conversation = OpenConversation(self._scope, progress)
        conversation.describe(node)
        return self._read_messages(conversation, page, LoopGuard())

    def _read_again(self, progress: Progress) -> Batch:
        """A conversation that was read and has moved since: its new messages count if the window is still open."""
        moved = self._passes and progress.updated_time is not None and progress.updated_time > self._reference
        if moved and self._scope.until > self._reference:
            progress.newer_than = self._reference
            return self._open_by_itself(progress)
        return Batch()

    def _open_by_itself(self, progress: Progress) -> Batch:
        self._listed.add(progress.id)
        self._waiting.append(SingleCall(OpenConversation(self._scope, progress), self._sizes.now.messages))
        return Batch()

    def _read_conversation(self, call: ConversationCall, answer: Any) -> Batch:
        conversation = call.conversation
        if isinstance(call, SingleCall):
            conversation.describe(answer)
            answer = page_of(answer.get("messages"))
        if isinstance(call, MessagesCall) and call.light:
            self._sizes.messages_were_not_too_large()
        else:
            self._sizes.messages_accepted()
        return self._read_messages(conversation, answer, call.guard if isinstance(call, MessagesCall) else LoopGuard())

    def _read_messages(self, conversation: OpenConversation, page: Page, guard: LoopGuard) -> Batch:
        rows = self._without_recent(conversation.read(page.items))
        if page.after is None or conversation.reached_end or conversation.is_given_up:
            return self._finished(conversation, rows)
        batch = Batch(rows)
        try:
            guard.check(page.after)
        except CursorError as error:
            batch.add(self._conversation_refused(MessagesCall(conversation, 0), error))
        else:
            conversation.progress.after = page.after
            self._follow_up(conversation, guard)
        return batch

    def _without_recent(self, rows: list[Row]) -> list[Row]:
        """The rows without those that come a second time, which only the end of an open window can bring about."""
        reference = self._reference or self._listing.top
        if not reference or self._scope.until <= reference:
            return rows
        new = [r for r in rows if r["created_time"] < reference or r["message_id"] not in self._recent_ids]
        self._recent_ids.update(r["message_id"] for r in new if r["created_time"] >= reference)
        return new

    def _follow_up(self, conversation: OpenConversation, guard: LoopGuard | None = None) -> Batch:
        self._waiting.append(MessagesCall(conversation, self._sizes.now.messages, guard or LoopGuard()))
        return Batch()

    def _finished(self, conversation: OpenConversation, rows: list[Row] | None = None) -> Batch:
        # One that was read again for its newest messages has its ledger row already.
        has_row = conversation.concerns_window and not conversation.progress.newer_than
        return Batch(rows or [], [conversation.ledger_row()] if has_row else [])

    def state(self) -> dict[str, Any]:
        """What a later try needs to go on here, in JSON types; taken between two batches."""
        calls = (*self._waiting, *self._calls.in_flight)
        return {
            "listing": self._listing.state(),
            "passes": self._passes,
            "reference": self._reference,
            "recent_ids": sorted(self._recent_ids),
            "gap": self.gap,
            "open": [call.conversation.state() for call in calls if not isinstance(call, ListCall)],
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Goes on where ``state()`` was taken; ``listed`` must hold again what it held then."""
        self._passes, self._reference, self.gap = state["passes"], state["reference"], state["gap"]
        if self._passes:
            self._listing = Listing(self._sizes, self._reference, light=True)
        self._listing.resume(state["listing"])
        self._listed.update(state["listing"]["page_ids"])
        self._recent_ids = set(state["recent_ids"])
        # The list moved on while nobody looked: even a single page is no snapshot of it any more.
        self._is_resumed = self._listing.pages > 0
        for saved in state["open"]:
            conversation = OpenConversation.resumed(self._scope, saved)
            self._listed.add(conversation.id)
            if conversation.progress.after is None:
                self._waiting.append(SingleCall(conversation, self._sizes.now.messages))
            else:
                self._follow_up(conversation)


def _is_too_much(error: GraphError) -> bool:
    # Meta says "unknown error", code 1, as well when one conversation spoils a list.
    return isinstance(error, TooMuchDataError) or (isinstance(error, TransientError) and error.code == 1)


def _concerns_one_object(error: GraphError) -> bool:
    """Whether Meta says that this one object is gone, as opposed to a request that is wrong for all of them."""
    gone = isinstance(error, InvalidRequestError) and (error.code, error.subcode) == (100, 33)
    return gone or isinstance(error, ItemUnavailableError)

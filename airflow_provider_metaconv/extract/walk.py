"""The window walk: every message of a Page's window in the fewest calls, newest conversation first.

Conversations come with their newest messages nested. The list ends early, at the first page whose last conversation
was updated before the window. A conversation whose messages go on is followed up by calls of its own, several at a
time under the one pacer, so that latency does not waste the allowed rate. All decisions are made in the one thread
that iterates; the pool's threads only fetch.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from airflow_provider_metaconv.extract.ledger import OpenConversation, Scope
from airflow_provider_metaconv.extract.sizes import Sizes
from airflow_provider_metaconv.extract.window import row_time
from airflow_provider_metaconv.graph.conversations import ConversationsEdge, nested_messages
from airflow_provider_metaconv.graph.errors import (
    GraphError,
    InvalidRequestError,
    ItemUnavailableError,
    TooMuchDataError,
)
from airflow_provider_metaconv.graph.paging import LoopGuard, Page, page_of
from airflow_provider_metaconv.records import CONVERSATIONS, MESSAGES, Row

logger = logging.getLogger(__name__)

WORKERS = 4
"""Calls in flight: enough to send 2 calls a second while each takes 1.5 seconds."""

LISTING_MARGIN = timedelta(minutes=5)
"""How far below the window the list is read on: ``updated_time`` and ``created_time`` need not agree to the second."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that are ready to be written: messages, and ledger rows of conversations that are finished."""

    messages: list[Row]
    conversations: list[Row]


@dataclass(frozen=True, slots=True)
class _ListCall:
    """The next page of the list of conversations."""

    after: str | None


@dataclass(frozen=True, slots=True)
class _FollowUp:
    """The next page of one conversation's messages."""

    conversation: OpenConversation
    after: str | None
    guard: LoopGuard = field(default_factory=LoopGuard)


_Call = _ListCall | _FollowUp


class WindowWalk:
    """One walk over a list of conversations; iterate ``batches()`` once. Memory: the rows of a few calls.

    ``listed`` are the conversations to pass over, and grows by those that are read; ``sizes`` shrink when Meta asks
    for less.
    """

    def __init__(
        self, edge: ConversationsEdge, scope: Scope, sizes: Sizes, listed: set[str], *, workers: int = WORKERS
    ) -> None:
        self._edge = edge
        self._scope = scope
        self.sizes = sizes
        self._workers = workers
        self._oldest_listed = scope.window.listing_edge(LISTING_MARGIN)
        self._message_fields = MESSAGES.graph_fields(scope.platform)
        self._conversation_fields = CONVERSATIONS.graph_fields(scope.platform)
        self._listed = listed
        self._list_guard = LoopGuard()
        self._waiting: deque[_Call] = deque([_ListCall(None)])
        self._running: dict[Future[Page], tuple[_Call, Sizes]] = {}
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="metaconv")

    def batches(self) -> Iterator[Batch]:
        """All rows of the window, as they come; raises the ``GraphError`` that ends the walk."""
        try:
            while self._waiting or self._running:
                self._send_waiting()
                for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                    yield self._handle(*self._running.pop(future), future)
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _send_waiting(self) -> None:
        while self._waiting and len(self._running) < self._workers:
            call = self._waiting.popleft()
            self._running[self._pool.submit(self._fetcher(call))] = (call, self.sizes)

    def _fetcher(self, call: _Call) -> Callable[[], Page]:
        sizes = self.sizes
        if isinstance(call, _FollowUp):
            conversation_id, after = call.conversation.id, call.after
            return lambda: self._edge.messages(conversation_id, self._message_fields, sizes.messages, after)
        fields = (*self._conversation_fields, nested_messages(self._message_fields, sizes.nested_messages))
        return lambda: self._edge.conversations(fields, sizes.conversations, call.after)

    def _handle(self, call: _Call, sizes: Sizes, future: Future[Page]) -> Batch:
        try:
            page = future.result()
        except TooMuchDataError as error:
            return self._ask_for_less(call, sizes, error)
        except (ItemUnavailableError, InvalidRequestError) as error:
            if isinstance(call, _FollowUp) and _concerns_one_object(error):
                return self._give_up(call.conversation, error)
            raise
        if isinstance(call, _FollowUp):
            return self._read_messages(call, page)
        return self._read_list(page)

    def _ask_for_less(self, call: _Call, sizes: Sizes, error: TooMuchDataError) -> Batch:
        smaller = sizes.smaller_list() if isinstance(call, _ListCall) else sizes.smaller_messages()
        if smaller is None:
            if isinstance(call, _FollowUp):
                return self._give_up(call.conversation, error)
            raise error
        logger.info("Meta asks for less data: from %s to %s", sizes, smaller)
        # Of what this call asked for, not of the present sizes: several calls can fail at the same size at once.
        self.sizes = self.sizes.at_most(smaller)
        self._waiting.appendleft(call)
        return Batch([], [])

    def _give_up(self, conversation: OpenConversation, error: GraphError) -> Batch:
        conversation.unreadable(str(error))
        return self._finished(conversation, [])

    def _read_list(self, page: Page) -> Batch:
        self._go_on_listing(page)
        batch = Batch([], [])
        for node in page.items:
            for part in self._read_conversation(node):
                batch.messages.extend(part.messages)
                batch.conversations.extend(part.conversations)
        return batch

    def _go_on_listing(self, page: Page) -> None:
        times = [time for node in page.items if (time := row_time(node.get("updated_time"))) is not None]
        past_window = bool(times) and times[-1] < self._oldest_listed
        if page.after is None or past_window:
            return
        self._list_guard.check(page.after)
        # Behind the follow-ups: open conversations are finished before new ones are listed. Sent before this page is
        # read, so that Meta works while we do.
        self._waiting.append(_ListCall(page.after))
        self._send_waiting()

    def _read_conversation(self, node: dict[str, Any]) -> Iterator[Batch]:
        conversation = OpenConversation(self._scope, node)
        updated = conversation.updated_time
        if conversation.id in self._listed or (updated is not None and updated < self._oldest_listed):
            return
        self._listed.add(conversation.id)
        call = _FollowUp(conversation, None)
        if "messages" in node:
            yield self._read_messages(call, page_of(node["messages"]))
        else:
            # Graph leaves out what is empty, but a conversation without messages is rare enough to ask again.
            self._waiting.appendleft(call)

    def _read_messages(self, call: _FollowUp, page: Page) -> Batch:
        conversation = call.conversation
        rows = conversation.read(page.items)
        if page.after is None or conversation.reached_since:
            return self._finished(conversation, rows)
        call.guard.check(page.after)
        self._waiting.appendleft(_FollowUp(conversation, page.after, call.guard))
        return Batch(rows, [])

    def _finished(self, conversation: OpenConversation, rows: list[Row]) -> Batch:
        return Batch(rows, [conversation.ledger_row()] if conversation.concerns_window else [])


def _concerns_one_object(error: GraphError) -> bool:
    """Whether Meta says that this one object is gone, as opposed to a request that is wrong for all of them."""
    return isinstance(error, ItemUnavailableError) or (error.code, error.subcode) == (100, 33)

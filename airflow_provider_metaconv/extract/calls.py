"""The calls of a walk, and the threads that send them: they fetch, and decide nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from airflow_provider_metaconv.extract.ledger import OpenConversation
from airflow_provider_metaconv.extract.listing import ListCall
from airflow_provider_metaconv.extract.old_paging import LoopGuard, old_page
from airflow_provider_metaconv.graph.conversations import ConversationsEdge, nested_messages
from airflow_provider_metaconv.graph.errors import Action
from airflow_provider_metaconv.records import CONVERSATIONS, MESSAGES

_OLD = (Action.RETRY,)
LIGHT_FIELDS = ("id", "updated_time")
LIGHT_MESSAGE_FIELDS = ("id", "created_time")


@dataclass(frozen=True, slots=True)
class SingleCall:
    """One conversation by its id, with so many of its newest messages nested."""

    conversation: OpenConversation
    limit: int


@dataclass(frozen=True, slots=True)
class MessagesCall:
    """The next page of one conversation's messages; ``light`` steps over a message that cannot be read."""

    conversation: OpenConversation
    limit: int
    guard: LoopGuard = field(default_factory=LoopGuard)
    light: bool = False


ConversationCall = SingleCall | MessagesCall
Call = ListCall | ConversationCall
Answered = tuple[Call, Future[Any]]


class CallPool:
    """Sends up to ``workers`` calls at once; use it from one thread, and as a context manager."""

    def __init__(self, edge: ConversationsEdge, workers: int) -> None:
        self._edge = edge
        self._workers = workers
        self._message_fields = MESSAGES.graph_fields(edge.platform)
        self._conversation_fields = CONVERSATIONS.graph_fields(edge.platform)
        self._running: dict[Future[Any], Call] = {}
        self._answered: SimpleQueue[Future[Any]] = SimpleQueue()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="metaconv")

    def close(self) -> None:
        """Waits for what is in flight and ends the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    @property
    def has_room(self) -> bool:
        """Whether another call can be sent now."""
        return len(self._running) < self._workers

    @property
    def in_flight(self) -> Collection[Call]:
        """The calls whose answer was not taken yet."""
        return self._running.values()

    def send(self, call: Call) -> None:
        """Sends a call from a thread of its own."""
        future = self._threads.submit(self._fetcher(call))
        self._running[future] = call
        future.add_done_callback(self._answered.put)

    def answered(self) -> Answered:
        """Waits until a call is answered; one at a time, so that what is in flight is always known."""
        future = self._answered.get()
        return self._running.pop(future), future

    def _fetcher(self, call: Call) -> Callable[[], Any]:
        if isinstance(call, ListCall):
            fields = LIGHT_FIELDS if call.is_light else self._with_messages(call.sizes.nested_messages)
            return lambda: old_page(
                self._edge.conversations(fields, call.sizes.conversations, _position(call.after), retried=_OLD)
            )
        # Taken now, in the deciding thread: the conversation moves on while the call waits for its turn.
        conversation_id, after = call.conversation.id, call.conversation.progress.after
        if isinstance(call, SingleCall):
            return lambda: self._edge.conversation(conversation_id, self._with_messages(call.limit), retried=_OLD)
        fields = LIGHT_MESSAGE_FIELDS if call.light else self._message_fields
        return lambda: old_page(
            self._edge.messages(conversation_id, fields, call.limit, _position(after), retried=_OLD)
        )

    def _with_messages(self, limit: int) -> tuple[str, ...]:
        return (*self._conversation_fields, nested_messages(self._message_fields, limit))


def _position(after: str | None) -> dict[str, str] | None:
    return None if after is None else {"after": after}

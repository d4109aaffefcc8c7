"""Reading conversations: what their answers give, what their refusals mean, and which calls bring them to their end."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_metaconv.extract.calls import ConversationCall, MessagesCall, SingleCall
from airflow_provider_metaconv.extract.ledger import OpenConversation, Progress, Scope
from airflow_provider_metaconv.extract.listing import Node
from airflow_provider_metaconv.extract.old_paging import LoopGuard, Page, page_of
from airflow_provider_metaconv.extract.sizes import AdaptiveSizes
from airflow_provider_metaconv.graph.errors import (
    CursorError,
    GraphError,
    ItemUnavailableError,
    TooMuchDataError,
)
from airflow_provider_metaconv.records import Row

logger = logging.getLogger(__name__)

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


class ConversationReader:
    """Turns the answers of conversations into rows, and puts the calls that are still needed into ``waiting``.

    ``reference`` is a time by Meta's clock: messages from then on may come twice, when a window is still open.
    """

    def __init__(self, scope: Scope, sizes: AdaptiveSizes) -> None:
        self._scope = scope
        self._sizes = sizes
        self._recent_ids: set[str] = set()
        self.reference = ""
        self.waiting: deque[ConversationCall] = deque()

    def read_node(self, node: Node, progress: Progress) -> Batch:
        """The rows of a conversation as it stands in a list; asks for it by itself where that shows no messages."""
        if node.get("messages") is None:
            # Listed with light fields, or without messages, as Graph shows what is empty.
            return self.open_by_itself(progress)
        try:
            page = page_of(node["messages"])
        except GraphError:
            return self.open_by_itself(progress)
        conversation = OpenConversation(self._scope, progress)
        conversation.describe(node)
        return self._read_messages(conversation, page, LoopGuard())

    def open_by_itself(self, progress: Progress) -> Batch:
        """Asks for one conversation by its id."""
        self.waiting.append(SingleCall(OpenConversation(self._scope, progress), self._sizes.now.messages))
        return Batch()

    def answered(self, call: ConversationCall, answer: Any) -> Batch:
        """The rows of an answer."""
        if isinstance(call, SingleCall):
            call.conversation.describe(answer)
            answer = page_of(answer.get("messages"))
        if isinstance(call, MessagesCall) and call.light:
            self._sizes.messages_were_not_too_large()
        else:
            self._sizes.messages_accepted()
        guard = call.guard if isinstance(call, MessagesCall) else LoopGuard()
        return self._read_messages(call.conversation, answer, guard)

    def refused(self, call: ConversationCall, error: GraphError) -> Batch:
        """Chooses another way to read a conversation, or gives it up; raises what concerns more than this one."""
        if is_too_much(error):
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
        logger.debug("Meta asks for less of conversation %s at %d messages: %s", conversation.id, call.limit, error)
        if self._sizes.messages_refused(call.limit):
            limit = max(call.limit // 2, 1)
            single = isinstance(call, SingleCall)
            self.waiting.appendleft(SingleCall(conversation, limit) if single else MessagesCall(conversation, limit))
        else:
            # A single message cannot be read: with its id and time alone it can be stepped over, and counted.
            self.waiting.appendleft(MessagesCall(conversation, 1, light=True))
        return Batch()

    def _give_up(self, conversation: OpenConversation, error: GraphError) -> Batch:
        conversation.unreadable(str(error))
        return self._finished(conversation)

    def _read_messages(self, conversation: OpenConversation, page: Page, guard: LoopGuard) -> Batch:
        rows = self._without_recent(conversation.read(page.items))
        if page.after is None or conversation.reached_end or conversation.is_given_up:
            return self._finished(conversation, rows)
        batch = Batch(rows)
        try:
            guard.check(page.after)
        except CursorError as error:
            batch.add(self.refused(MessagesCall(conversation, 0), error))
        else:
            conversation.progress.after = page.after
            self._follow_up(conversation, guard)
        return batch

    def _without_recent(self, rows: list[Row]) -> list[Row]:
        """The rows without those that come a second time, which only the end of an open window can bring about."""
        if not self.reference or self._scope.until <= self.reference:
            return rows
        new = [r for r in rows if r["created_time"] < self.reference or r["message_id"] not in self._recent_ids]
        self._recent_ids.update(r["message_id"] for r in new if r["created_time"] >= self.reference)
        return new

    def _follow_up(self, conversation: OpenConversation, guard: LoopGuard | None = None) -> Batch:
        self.waiting.append(MessagesCall(conversation, self._sizes.now.messages, guard or LoopGuard()))
        return Batch()

    def _finished(self, conversation: OpenConversation, rows: list[Row] | None = None) -> Batch:
        # One that was read again for its newest messages has its ledger row already.
        has_row = conversation.concerns_window and not conversation.progress.newer_than
        return Batch(rows or [], [conversation.ledger_row()] if has_row else [])

    def state(self, in_flight: Iterable[ConversationCall]) -> dict[str, Any]:
        """What a later try needs to go on here, in JSON types."""
        return {
            "recent_ids": sorted(self._recent_ids),
            "open": [call.conversation.state() for call in (*self.waiting, *in_flight)],
        }

    def resume(self, state: Mapping[str, Any]) -> set[str]:
        """Goes on where ``state()`` was taken; returns the ids of the conversations that are open."""
        self._recent_ids = set(state["recent_ids"])
        conversations = [OpenConversation.resumed(self._scope, saved) for saved in state["open"]]
        for conversation in conversations:
            if conversation.progress.after is None:
                self.waiting.append(SingleCall(conversation, self._sizes.now.messages))
            else:
                self._follow_up(conversation)
        return {conversation.id for conversation in conversations}


def is_too_much(error: GraphError) -> bool:
    """Whether asking for less may help: Meta says "unknown error", code 1, too when one object spoils a call."""
    return isinstance(error, TooMuchDataError)


def _concerns_one_object(error: GraphError) -> bool:
    """Whether Meta says that this one object is gone, as opposed to a request that is wrong for all of them."""
    return isinstance(error, ItemUnavailableError)

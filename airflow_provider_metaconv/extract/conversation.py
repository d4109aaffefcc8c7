"""One conversation: which request comes next, what an answer or refusal changes, and the ledger row that remains. Pure.

A refusal of one conversation never stops the Page: less is asked for, then the other way of reading it, and what still
is refused is deferred to the end of the attempt, when it is asked for once more. Only then it is called unreadable.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, cast

from airflow_provider_metaconv.extract.conversation_state import (
    ENDED,
    add_participants,
    begin_count,
    came_before,
    defer,
    describe,
    is_tracked,
    move_mark,
    restart,
)
from airflow_provider_metaconv.extract.ledger import INSTAGRAM_VISIBLE_MESSAGES
from airflow_provider_metaconv.extract.page_sizes import PageSizes
from airflow_provider_metaconv.extract.requests import (
    AT_ONCE,
    IN_PASSING,
    PATIENTLY,
    ConversationRequest,
    MessagesRequest,
    ParticipantsRequest,
)
from airflow_provider_metaconv.extract.rows import ExtractionContext, identifier, message_row
from airflow_provider_metaconv.extract.state import ConversationState, ExtractionState
from airflow_provider_metaconv.graph.errors import (
    Action,
    CursorError,
    ErrorScope,
    GraphError,
    ItemUnavailableError,
    UnexpectedResponseError,
    UnexpectedRowsError,
)
from airflow_provider_metaconv.graph.pagination import ResultPage, parse_page
from airflow_provider_metaconv.schema import (
    INSTAGRAM,
    ContentStatus,
    ReasonCode,
    Row,
)
from airflow_provider_metaconv.window import row_time

logger = logging.getLogger(__name__)


MORE_PARTICIPANTS = "(more, whom Meta does not return)"
"""Stands in a list of participants for those who could not be read."""


MAX_RESTARTS = 3
"""How often one conversation is read from its newest message again because its cursors fail."""

VERIFIED_MESSAGES = 100
"""So many messages are asked for at a page that names itself as its next, to see whether more come."""

MAX_STALE_PAGES = 10
"""How many pages in a row may bring no new message; more lead in a circle."""

OLDER_ROWS = 3
"""So many messages in a row older than the window end a conversation: a single one proves nothing."""

UNAVAILABLE = ContentStatus.UNAVAILABLE.value


OneRequest = ConversationRequest | MessagesRequest | ParticipantsRequest


def next_request(conversation: ConversationState, sizes: PageSizes, *, last_time: bool = False) -> OneRequest:
    """The request that continues a conversation; the last time that it is asked for it is small and patient."""
    if conversation.position == ENDED:
        return ParticipantsRequest(conversation.id, conversation.more_participants)
    if last_time and conversation.deferred:
        return _request(conversation, 1, PATIENTLY)
    if conversation.step_over:
        return _request(conversation, 1, AT_ONCE)
    if conversation.limit:
        # Meta may have named a largest limit since.
        return _request(conversation, min(conversation.limit, sizes.largest.messages), AT_ONCE)
    usual = sizes.now.messages
    if conversation.verifying == "last":
        return _request(conversation, 1, PATIENTLY)
    if conversation.verifying:
        # More than usual, but not more than Meta has said that it accepts.
        return _request(conversation, min(max(usual, VERIFIED_MESSAGES), sizes.largest_ids), IN_PASSING)
    return _request(conversation, usual, IN_PASSING)


def _request(conversation: ConversationState, limit: int, retried: tuple[Action, ...]) -> OneRequest:
    if conversation.by_itself:
        return ConversationRequest(conversation.id, limit, retried)
    ids_only = conversation.ids_only or conversation.step_over
    return MessagesRequest(conversation.id, conversation.position, limit, ids_only, conversation.lenient, retried)


class ConversationReader:
    """Applies answers and refusals to conversations; holds what they share and nothing of its own."""

    def __init__(self, context: ExtractionContext, state: ExtractionState) -> None:
        self._context = context
        self._state = state
        self._sizes = state.page_sizes

    def read_listed(self, conversation: ConversationState, node: Mapping[str, Any], limit: int) -> list[Row]:
        """The rows of a conversation as a list shows it, asked for with so many messages.

        Where the list shows no messages it is asked for by itself.
        """
        describe(conversation, node)
        begin_count(conversation, node)
        if "messages" not in node:
            return []
        try:
            page = parse_page(node["messages"])
        except GraphError:
            return []
        return self._read_page(conversation, {}, page, limit)

    def accept(
        self,
        conversation: ConversationState,
        request: OneRequest,
        response: Mapping[str, Any] | ResultPage,
    ) -> list[Row]:
        """The rows of an answer."""
        if isinstance(request, ParticipantsRequest):
            add_participants(conversation, cast(ResultPage, response))
            return []
        self._learn(conversation, request)
        conversation.deferred, conversation.refusal, conversation.refusal_code = False, "", ""
        conversation.limit = 0
        if isinstance(response, ResultPage):
            position = request.position if isinstance(request, MessagesRequest) else {}
            return self._read_page(conversation, position, response, request.limit)
        describe(conversation, response)
        begin_count(conversation, response)
        try:
            page = parse_page(response.get("messages"))
        except GraphError:
            # Graph leaves out what is empty: only the list of messages itself can say that there are none.
            conversation.by_itself = False
            return []
        return self._read_page(conversation, {}, page, request.limit)

    def _learn(self, conversation: ConversationState, request: OneRequest) -> None:
        """What an accepted call says of the size of others."""
        if conversation.step_over:
            conversation.step_over = False
            conversation.stepped_over += 1
            self._sizes.messages_were_not_too_large()
        elif conversation.limit and not conversation.deferred:
            self._sizes.messages_refused(2 * request.limit)
        elif not conversation.deferred:
            self._sizes.messages_accepted()

    def _read_page(
        self, conversation: ConversationState, position: Mapping[str, str], page: ResultPage, limit: int
    ) -> list[Row]:
        conversation.by_itself = False
        seen = conversation.seen
        rows = self._rows(conversation, page.items)
        moved_on = conversation.seen > seen
        conversation.stale_pages = 0 if moved_on else conversation.stale_pages + 1
        if moved_on:
            conversation.imposed_size = max(conversation.imposed_size, conversation.short_page)
        conversation.short_page = len(page.items) if len(page.items) < limit else 0
        following = page.next_parameters
        if following is None or (conversation.tracked_ids is None and conversation.older_rows >= OLDER_ROWS):
            conversation.position = ENDED
        elif conversation.behind and conversation.behind in {identifier(node.get("id")) for node in page.items}:
            self._turn_in_a_circle(conversation, "they are ignored")
        elif not moved_on and conversation.verifying == "last" and page.items:
            is_alone = dict(following) == position
            conversation.verifying, conversation.position = "end", dict(following)
            conversation.behind = "" if is_alone else identifier(page.items[0].get("id")) or ""
        elif position and dict(following) == position:
            self._meet_self(conversation, page, limit, moved_on=moved_on)
        elif conversation.stale_pages > MAX_STALE_PAGES + (conversation.seen if conversation.replayed_to else 0):
            self._turn_in_a_circle(conversation, "they bring nothing new")
        else:
            conversation.position, conversation.verifying, conversation.behind = dict(following), "", ""
        return rows

    def _meet_self(self, conversation: ConversationState, page: ResultPage, limit: int, *, moved_on: bool) -> None:
        """A page of messages names itself as its next: the end, or a fault of Meta's in the middle."""
        if conversation.verifying == "end" and not conversation.behind and len(page.items) > 1:
            # It named itself as well when it was asked for its first row alone, behind which there are others.
            self._turn_in_a_circle(conversation, "one names itself as its next, whatever follows")
        elif moved_on or not conversation.verifying:
            conversation.verifying, conversation.behind = "last", ""
        elif not page.items or self._is_end(conversation, len(page.items), limit):
            conversation.position = ENDED
        else:
            self._turn_in_a_circle(conversation, "one names itself as its next")

    def _turn_in_a_circle(self, conversation: ConversationState, reason: str) -> None:
        """Pages that were read come again: the end if that were all messages, or a fault of Meta's."""
        if conversation.counted is not None and conversation.counted.is_met(by_unclear=False):
            conversation.position = ENDED
        else:
            self._restart(conversation, reason)

    @staticmethod
    def _is_end(conversation: ConversationState, rows: int, limit: int) -> bool:
        """Whether nothing can come behind a page that names itself and brought nothing new, asked for more."""
        if rows >= limit or (rows == conversation.imposed_size and not conversation.behind):
            return False
        if conversation.counted is None:
            # A row that names itself, and nothing to say that it is the only one: any row does where Meta ignores
            # cursors and cuts its pages to one.
            return bool(conversation.behind)
        return conversation.counted.is_met(by_unclear=True)

    def refuse(
        self,
        conversation: ConversationState,
        request: OneRequest,
        error: GraphError,
        *,
        last_time: bool,
    ) -> None:
        """Chooses another way to read a conversation, or defers it; raises what concerns more than this one."""
        if error.action is Action.WAIT or error.scope is ErrorScope.APP:
            raise error
        if isinstance(request, ParticipantsRequest):
            add_participants(conversation, ResultPage([{"name": MORE_PARTICIPANTS}], None))
            return
        if conversation.deferred and last_time:
            return
        if isinstance(error, CursorError):
            self._restart(conversation, str(error))
        elif isinstance(error, ItemUnavailableError):
            self._avoid_unavailable(conversation, request, error)
        elif isinstance(error, UnexpectedResponseError) and conversation.by_itself:
            conversation.by_itself, conversation.limit = False, 0
        elif isinstance(error, UnexpectedRowsError) and not conversation.lenient:
            # What can be read beside rows that are no messages is read all the same.
            conversation.lenient = True
        elif error.action in (Action.RETRY, Action.ASK_LESS) and not isinstance(error, UnexpectedResponseError):
            self._ask_for_less(conversation, request, error)
        else:
            defer(conversation, error)

    def _avoid_unavailable(self, conversation: ConversationState, request: OneRequest, error: GraphError) -> None:
        visible = INSTAGRAM_VISIBLE_MESSAGES - conversation.seen
        if self._context.platform != INSTAGRAM:
            self._ask_for_less(conversation, request, error)
        elif conversation.ids_only:
            defer(conversation, error)
        elif visible > 0:
            # A call that reaches beyond the newest messages is refused as a whole.
            if request.limit > visible:
                conversation.limit = visible
            else:
                self._ask_for_less(conversation, request, error)
        else:
            # Beyond them ids and times may still be had.
            conversation.ids_only, conversation.limit = True, 0

    def _ask_for_less(self, conversation: ConversationState, request: OneRequest, error: GraphError) -> None:
        if conversation.step_over:
            conversation.step_over = False
            defer(conversation, error)
        elif conversation.by_itself or request.limit > 1:
            # The list of its messages may be readable where the conversation itself is not.
            conversation.by_itself, conversation.limit = False, max(request.limit // 2, 1)
        else:
            # A single message cannot be read: with its id and time alone it can be stepped over, and counted.
            conversation.step_over = True

    def _restart(self, conversation: ConversationState, reason: str) -> None:
        conversation.restarts += 1
        restart(conversation)
        if conversation.restarts > MAX_RESTARTS:
            conversation.deferred = True
            conversation.refusal_code = ReasonCode.PAGING.value
            conversation.refusal = f"its pages of messages cannot be followed to the end: {reason}"

    def _rows(self, conversation: ConversationState, nodes: Iterable[Mapping[str, Any]]) -> list[Row]:
        """The rows of a page's messages that are in the window; notes what else the page shows."""
        page = [(identifier(node.get("id")), row_time(node.get("created_time")), node) for node in nodes]
        page_ids = [message_id for message_id, _, _ in page if message_id is not None]
        known = {*conversation.page_ids, *_undated_again(conversation, page)}
        read = []
        for message_id, created, node in page:
            if message_id in known:
                continue
            read.append(self._read_message(conversation, message_id, created, node))
            if message_id is not None and created is not None:
                # A page may show one message twice, with two times even.
                known.add(message_id)
        # While an end is verified, parts of one page come again.
        if conversation.verifying:
            conversation.page_ids = [*conversation.page_ids, *page_ids]
        else:
            conversation.page_ids, conversation.on_page_without_id = page_ids, len(page) - len(page_ids)
        return [row for row in read if row is not None]

    def _read_message(
        self, conversation: ConversationState, message_id: str | None, created: str | None, node: Mapping[str, Any]
    ) -> Row | None:
        if created is None or message_id is None:
            self._count_unplaced(conversation, message_id)
            return None
        if conversation.counted is not None:
            conversation.counted.meet(message_id, created)
        if came_before(conversation, created, message_id):
            return None
        conversation.seen += 1
        move_mark(conversation, created, message_id)
        is_old = created < max(self._context.since, conversation.newer_than)
        conversation.older_rows = conversation.older_rows + 1 if is_old else 0
        if is_old or created >= self._context.until or self._came_recently(conversation, created, message_id):
            return None
        return self._row(conversation, node, created, message_id)

    @staticmethod
    def _count_unplaced(conversation: ConversationState, message_id: str | None) -> None:
        """Without a time it is unknown whether a message belongs to the window: it is counted, not written.

        Without an id it is unknown whether it came before, too: it is no progress.
        """
        if message_id is None and conversation.verifying and conversation.on_page_without_id:
            conversation.on_page_without_id -= 1
            return
        if message_id is not None and is_tracked(conversation, message_id):
            return
        conversation.lacks_newest |= conversation.seen < INSTAGRAM_VISIBLE_MESSAGES
        conversation.seen += message_id is not None
        conversation.without_id += message_id is None
        conversation.unplaced += 1
        if conversation.counted is not None:
            conversation.counted.unclear += 1

    def _came_recently(self, conversation: ConversationState, created: str, message_id: str) -> bool:
        """Whether a message was read before, which can happen only at the end of an open window."""
        reference = self._state.reference
        if not reference or self._context.until <= reference or created < reference:
            return False
        # With its conversation: the first response may have named another one.
        recent = (conversation.id, message_id)
        if recent in self._state.recent_ids and conversation.id not in self._state.reread:
            return True
        self._state.recent_ids.add(recent)
        return False

    def _row(self, conversation: ConversationState, node: Mapping[str, Any], created: str, message_id: str) -> Row:
        row = message_row(node, self._context, conversation.id, message_id, created)
        conversation.oldest = min(created, conversation.oldest or created)
        conversation.newest = max(created, conversation.newest or created)
        if row["content_status"] == UNAVAILABLE:
            conversation.unavailable += 1
            conversation.unavailable_tail += 1
            conversation.beyond_limit += conversation.seen > INSTAGRAM_VISIBLE_MESSAGES
        else:
            conversation.extracted += 1
            conversation.unavailable_tail = 0
        return row


def _undated_again(
    conversation: ConversationState, page: Iterable[tuple[str | None, str | None, Mapping[str, Any]]]
) -> list[str]:
    """A page's messages without a time, if they came before: no mark tells, and all their ids would be too many."""
    undated = [message_id for message_id, created, _ in page if created is None and message_id is not None]
    came_before = not conversation.first_undated.isdisjoint(undated[:1])
    conversation.first_undated.update(undated[:1])
    return undated if came_before else []

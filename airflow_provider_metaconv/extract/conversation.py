"""One conversation: its next request, and how a response or refusal changes its state. Pure.

A refused conversation never stops the Page. Less is requested, then the conversation is read another way. If it is
still refused, it is deferred to the end of the attempt and requested once more. Only then is it called unreadable.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, cast

from airflow_provider_metaconv.extract.conversation_state import (
    ENDED,
    add_participants,
    defer,
    describe,
    is_tracked,
    move_mark,
    restart,
    set_expected_count,
    was_seen_before,
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
from airflow_provider_metaconv.extract.rows import ExtractionContext, identifier, message_row, people
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
from airflow_provider_metaconv.privacy.suppression import Scope, SuppressionList
from airflow_provider_metaconv.schema import (
    INSTAGRAM,
    MORE_PARTICIPANTS,
    ContentStatus,
    ReasonCode,
    Row,
)
from airflow_provider_metaconv.window import row_time

logger = logging.getLogger(__name__)


MAX_RESTARTS = 3
"""How often one conversation is read from its newest message again because its cursors fail."""

VERIFIED_MESSAGES = 100
"""How many messages are requested to verify whether anything follows a page that names itself as its next page."""

MAX_STALE_PAGES = 10
"""How many consecutive pages may have no new message before the list counts as a loop."""

OLDER_ROWS = 3
"""How many consecutive messages older than the window end a conversation. A single one proves nothing."""

UNAVAILABLE = ContentStatus.UNAVAILABLE.value


OneRequest = ConversationRequest | MessagesRequest | ParticipantsRequest


def next_request(conversation: ConversationState, sizes: PageSizes, *, last_time: bool = False) -> OneRequest:
    """Return the request that continues a conversation. The last request for it is small and is retried patiently."""
    if conversation.position == ENDED:
        return ParticipantsRequest(conversation.id, conversation.more_participants)
    if last_time and conversation.deferred:
        return _request(conversation, 1, PATIENTLY)
    if conversation.step_over:
        return _request(conversation, 1, AT_ONCE)
    if conversation.limit:
        # Meta may have reported a maximum limit since.
        return _request(conversation, min(conversation.limit, sizes.largest.messages), AT_ONCE)
    usual = sizes.now.messages
    if conversation.verifying == "last":
        return _request(conversation, 1, PATIENTLY)
    if conversation.verifying:
        # More than usual, but not more than the maximum that Meta has reported.
        return _request(conversation, min(max(usual, VERIFIED_MESSAGES), sizes.largest_ids), IN_PASSING)
    return _request(conversation, usual, IN_PASSING)


def _request(conversation: ConversationState, limit: int, retried: tuple[Action, ...]) -> OneRequest:
    if conversation.by_itself:
        return ConversationRequest(conversation.id, limit, retried)
    ids_only = conversation.ids_only or conversation.step_over
    return MessagesRequest(conversation.id, conversation.position, limit, ids_only, conversation.lenient, retried)


class ConversationReader:
    """Applies responses and refusals to conversations. Holds only shared state."""

    def __init__(
        self, context: ExtractionContext, state: ExtractionState, suppressed: SuppressionList | None = None
    ) -> None:
        self._suppressed = suppressed or SuppressionList()
        self._context = context
        self._state = state
        self._sizes = state.page_sizes

    def read_listed(self, conversation: ConversationState, node: Mapping[str, Any], limit: int) -> list[Row]:
        """Return the rows of a conversation from a list that was requested with ``limit`` nested messages.

        If the list shows no messages, the conversation is requested separately.
        """
        self._describe(conversation, node)
        if conversation.suppressed or "messages" not in node:
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
        """Return the rows of a response."""
        if isinstance(request, ParticipantsRequest):
            add_participants(conversation, cast(ResultPage, response))
            self._suppress_people(conversation)
            return []
        self._learn(conversation, request)
        conversation.deferred, conversation.refusal, conversation.refusal_code = False, "", ""
        conversation.limit = 0
        if isinstance(response, ResultPage):
            position = request.position if isinstance(request, MessagesRequest) else {}
            return self._read_page(conversation, position, response, request.limit)
        self._describe(conversation, response)
        if conversation.suppressed:
            return []
        try:
            page = parse_page(response.get("messages"))
        except GraphError:
            # Graph omits empty edges, so only the messages edge itself can confirm that there are none.
            conversation.by_itself = False
            return []
        return self._read_page(conversation, {}, page, request.limit)

    def _describe(self, conversation: ConversationState, node: Mapping[str, Any]) -> None:
        describe(conversation, node, self._context.extra_fields.conversations)
        set_expected_count(conversation, node)
        self._suppress_people(conversation)

    def _suppress_people(self, conversation: ConversationState) -> None:
        """End a conversation of a person whose conversations are left out."""
        ids = (each.get("id") for each in conversation.participants or ())
        if any(self._suppressed.scope_of(each) is Scope.CONVERSATION for each in ids):
            self._suppress(conversation)

    @staticmethod
    def _suppress(conversation: ConversationState) -> None:
        conversation.suppressed = True
        conversation.position, conversation.more_participants = ENDED, {}

    def _is_suppressed(self, conversation: ConversationState, node: Mapping[str, Any]) -> bool:
        """Whether a message is left out, alone or because its conversation is."""
        if not self._suppressed:
            return False
        sender, others = people([node.get("from")]), people(node.get("to"))
        scopes = [self._suppressed.scope_of(each["id"]) for each in [*(sender or ()), *(others or ())]]
        if Scope.CONVERSATION in scopes:
            self._suppress(conversation)
        return conversation.suppressed or bool(sender and scopes[0] is Scope.OWN)

    def _learn(self, conversation: ConversationState, request: OneRequest) -> None:
        """Adjust the page sizes after a successful call."""
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
            self._handle_loop(conversation, "Meta ignores its cursors")
        elif not moved_on and conversation.verifying == "last" and page.items:
            is_alone = dict(following) == position
            conversation.verifying, conversation.position = "end", dict(following)
            conversation.behind = "" if is_alone else identifier(page.items[0].get("id")) or ""
        elif position and dict(following) == position:
            self._handle_self_reference(conversation, page, limit, moved_on=moved_on)
        elif conversation.stale_pages > MAX_STALE_PAGES + (conversation.seen if conversation.replayed_to else 0):
            self._handle_loop(conversation, "they have nothing new")
        else:
            conversation.position, conversation.verifying, conversation.behind = dict(following), "", ""
        if conversation.suppressed:
            self._suppress(conversation)
            return []
        return rows

    def _handle_self_reference(
        self, conversation: ConversationState, page: ResultPage, limit: int, *, moved_on: bool
    ) -> None:
        """Handle a page that names itself as its next page: the end, or a fault in Meta's paging."""
        if conversation.verifying == "end" and not conversation.behind and len(page.items) > 1:
            # It also named itself when only its first row was requested, although other rows follow that row.
            self._handle_loop(conversation, "one always names itself as its next page")
        elif moved_on or not conversation.verifying:
            conversation.verifying, conversation.behind = "last", ""
        elif not page.items or self._is_end(conversation, len(page.items), limit):
            conversation.position = ENDED
        else:
            self._handle_loop(conversation, "one names itself as its next page")

    def _handle_loop(self, conversation: ConversationState, reason: str) -> None:
        """Handle repeated pages: the end if they contain all messages, otherwise a fault in Meta's paging."""
        if conversation.counted is not None and conversation.counted.is_met(by_unclear=False):
            conversation.position = ENDED
        else:
            self._restart(conversation, reason)

    @staticmethod
    def _is_end(conversation: ConversationState, rows: int, limit: int) -> bool:
        """Whether nothing can follow a page that names itself and has nothing new, although more was requested."""
        if rows >= limit or (rows == conversation.imposed_size and not conversation.behind):
            return False
        if conversation.counted is None:
            # A single row that names itself need not be the only one: if Meta ignores cursors and cuts pages to one
            # row, any row does that.
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
        """Choose another way to read a conversation, or defer it; raises errors that affect more than this one."""
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
            # Read the valid messages despite rows that are not messages.
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
            # Older messages may still be available without content.
            conversation.ids_only, conversation.limit = True, 0

    def _ask_for_less(self, conversation: ConversationState, request: OneRequest, error: GraphError) -> None:
        if conversation.step_over:
            conversation.step_over = False
            defer(conversation, error)
        elif conversation.by_itself or request.limit > 1:
            # The messages edge may be readable even if the conversation node is not.
            conversation.by_itself, conversation.limit = False, max(request.limit // 2, 1)
        else:
            # A single message cannot be read: step over it with its ID and time only, so that it is counted.
            conversation.step_over = True

    def _restart(self, conversation: ConversationState, reason: str) -> None:
        conversation.restarts += 1
        restart(conversation)
        if conversation.restarts > MAX_RESTARTS:
            conversation.deferred = True
            conversation.refusal_code = ReasonCode.PAGING.value
            conversation.refusal = f"its message pages cannot be followed to the end: {reason}"

    def _rows(self, conversation: ConversationState, nodes: Iterable[Mapping[str, Any]]) -> list[Row]:
        """Return the rows of a page's messages that are in the window, and record the rest of the page."""
        page = [(identifier(node.get("id")), row_time(node.get("created_time")), node) for node in nodes]
        page_ids = [message_id for message_id, _, _ in page if message_id is not None]
        known = {*conversation.page_ids, *_repeated_undated_ids(conversation, page)}
        read = []
        for message_id, created, node in page:
            if message_id in known:
                continue
            read.append(self._read_message(conversation, message_id, created, node))
            if message_id is not None and created is not None:
                # A page may list one message twice, even with different times.
                known.add(message_id)
        # While an end is verified, parts of one page are repeated.
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
        if was_seen_before(conversation, created, message_id):
            return None
        conversation.seen += 1
        move_mark(conversation, created, message_id)
        is_old = created < max(self._context.since, conversation.newer_than)
        conversation.older_rows = conversation.older_rows + 1 if is_old else 0
        if is_old or created >= self._context.until or self._is_recent_repetition(conversation, created, message_id):
            return None
        if self._is_suppressed(conversation, node):
            return None
        return self._row(conversation, node, created, message_id)

    @staticmethod
    def _count_unplaced(conversation: ConversationState, message_id: str | None) -> None:
        """Count a message without an ID or a time, instead of writing it: its window is unknown.

        Without an ID, it is also unknown whether the message is a repetition, so it does not count as progress.
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

    def _is_recent_repetition(self, conversation: ConversationState, created: str, message_id: str) -> bool:
        """Whether a message was read before, which only happens at the end of an open window."""
        reference = self._state.reference
        if not reference or self._context.until <= reference or created < reference:
            return False
        # The conversation is part of the key, because an earlier response may have named a different one.
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


def _repeated_undated_ids(
    conversation: ConversationState, page: Iterable[tuple[str | None, str | None, Mapping[str, Any]]]
) -> list[str]:
    """Return the IDs of a page's undated messages if the page is a repetition. Storing all IDs would be too much."""
    undated = [message_id for message_id, created, _ in page if created is None and message_id is not None]
    was_seen_before = not conversation.first_undated.isdisjoint(undated[:1])
    conversation.first_undated.update(undated[:1])
    return undated if was_seen_before else []

"""State changes of one conversation: its known facts, and which messages were seen before. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_metaconv.extract.rows import count, effective_time, extra, flag, people, text
from airflow_provider_metaconv.extract.state import ConversationState, Count
from airflow_provider_metaconv.graph.errors import (
    Action,
    GraphError,
    UnexpectedResponseError,
)
from airflow_provider_metaconv.graph.pagination import ResultPage, parse_page
from airflow_provider_metaconv.schema import (
    ReasonCode,
)
from airflow_provider_metaconv.window import row_time

ENDED: dict[str, str] = {"": ""}
"""The position after the last page."""


def is_finished(conversation: ConversationState) -> bool:
    """Whether the conversation is fully read."""
    return conversation.position == ENDED and not conversation.more_participants and not conversation.deferred


def add_participants(conversation: ConversationState, page: ResultPage) -> None:
    """Add one more page of participants."""
    known = conversation.participants or []
    new = [each for each in people(page.items) or [] if each not in known]
    conversation.participants = known + new
    # Without a new participant, the list loops.
    conversation.more_participants = dict(page.next_parameters or {}) if new else {}


def describe(conversation: ConversationState, node: Mapping[str, Any], extra_fields: Sequence[str] = ()) -> None:
    """Copy the facts from a conversation node; those that it lacks stay."""
    conversation.updated_time = row_time(node.get("updated_time")) or conversation.updated_time
    edge = node.get("participants")
    if (participants := people(edge)) is not None:
        conversation.participants, conversation.more_participants = participants, _more(edge)
    found = {
        "message_count": count(node.get("message_count")),
        "unread_count": count(node.get("unread_count")),
        "can_reply": flag(node.get("can_reply")),
        "is_subscribed": flag(node.get("is_subscribed")),
        "link": text(node.get("link")),
        "extra": extra(node, extra_fields),
    }
    for name, value in found.items():
        if value is not None:
            setattr(conversation, name, value)


def set_expected_count(conversation: ConversationState, node: Mapping[str, Any]) -> None:
    """Set the expected number of messages from the node with which reading starts."""
    told, newest = count(node.get("message_count")), effective_time(node)
    # Without a time, counted messages cannot be distinguished from later ones.
    if told is not None and newest is not None:
        conversation.counted = Count(told, newest, met_ids=None if conversation.tracked_ids is None else set())


def _more(edge: Any) -> dict[str, str]:
    if not isinstance(edge, dict) or not isinstance(paging := edge.get("paging"), dict) or "next" not in paging:
        return {}
    try:
        return dict(parse_page(edge, lenient_rows=True).next_parameters or {})
    except GraphError:
        return {}


def defer(conversation: ConversationState, error: GraphError) -> None:
    """Defer a conversation to the end of the attempt."""
    is_unexpected = isinstance(error, UnexpectedResponseError)
    conversation.deferred = True
    conversation.may_pass = error.action in (Action.RETRY, Action.ASK_LESS)
    conversation.refusal_code = (ReasonCode.UNEXPECTED_RESPONSE if is_unexpected else ReasonCode.REFUSED).value
    conversation.refusal = str(error)


def restart(conversation: ConversationState) -> None:
    """Read a conversation from its newest message again, and skip what was seen."""
    # Its own node reports the current number of messages; the earlier number is no longer valid.
    conversation.position, conversation.by_itself, conversation.counted = {}, True, None
    conversation.verifying, conversation.behind, conversation.step_over = "", "", False
    conversation.limit, conversation.older_rows, conversation.page_ids = 0, 0, []
    # They are returned again, and without an ID that cannot be detected.
    conversation.unplaced -= conversation.without_id
    conversation.without_id = 0
    conversation.replayed_to, conversation.replayed_ids = conversation.mark, conversation.mark_ids


def depends_on_refusal(conversation: ConversationState) -> bool:
    """Whether rows are less complete, or were left out, because a call was refused in this attempt."""
    return bool(conversation.stepped_over) or conversation.lenient


def resumed(conversation: ConversationState) -> None:
    """Prepare a conversation for an attempt that continues: retry what was refused, and skip what was seen."""
    conversation.deferred = conversation.ids_only = conversation.step_over = False
    conversation.lenient = False
    conversation.refusal = conversation.refusal_code = ""
    conversation.limit = conversation.restarts = conversation.stale_pages = 0
    conversation.replayed_to, conversation.replayed_ids = conversation.mark, conversation.mark_ids


def was_seen_before(conversation: ConversationState, created: str, message_id: str) -> bool:
    """Whether a message was returned before, judging by times and IDs."""
    if conversation.tracked_ids is not None:
        return message_id in conversation.tracked_ids
    if created == conversation.mark and message_id in conversation.mark_ids:
        return True
    replayed_to = conversation.replayed_to
    if not replayed_to:
        return False
    if created > replayed_to or (created == replayed_to and message_id in conversation.replayed_ids):
        return True
    if created < replayed_to:
        conversation.replayed_to, conversation.replayed_ids = "", []
    return False


def is_tracked(conversation: ConversationState, message_id: str) -> bool:
    """Whether a message without a time was seen before, as far as IDs are tracked."""
    if conversation.tracked_ids is None:
        return False
    was_seen_before = message_id in conversation.tracked_ids
    conversation.tracked_ids.add(message_id)
    return was_seen_before


def move_mark(conversation: ConversationState, created: str, message_id: str) -> None:
    """Record a message as the oldest one read, or track its ID if times are out of order."""
    if conversation.tracked_ids is not None:
        conversation.tracked_ids.add(message_id)
    elif created == conversation.mark:
        conversation.mark_ids = [*conversation.mark_ids, message_id]
    elif not conversation.mark or created < conversation.mark:
        conversation.mark, conversation.mark_ids = created, [message_id]
    else:
        # Older messages came before newer ones, so the order says nothing about what was seen: track IDs from now on.
        conversation.tracked_ids = {*conversation.mark_ids, message_id}

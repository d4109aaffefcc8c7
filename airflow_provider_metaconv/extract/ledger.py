"""The ledger row of a conversation: its facts, and what is missing and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_metaconv.extract.rows import ExtractionContext
from airflow_provider_metaconv.extract.state import Amendment, ConversationState
from airflow_provider_metaconv.schema import (
    INSTAGRAM,
    ConversationStatus,
    ReasonCode,
    Row,
    without_content,
)
from airflow_provider_metaconv.window import iso

INSTAGRAM_VISIBLE_MESSAGES = 20
"""On Instagram, only this many of a conversation's newest messages are returned with their content.

Source: https://developers.facebook.com/docs/graph-api/reference/conversation/
"""


_INSTAGRAM_RETURNS = (
    f"Instagram returns the content of the {INSTAGRAM_VISIBLE_MESSAGES} newest messages of a conversation only"
)


def has_activity_in_window(conversation: ConversationState, context: ExtractionContext) -> bool:
    """Whether the ledger needs a row. Conversations without activity in the window do not."""
    found = conversation.extracted or conversation.unavailable or conversation.unplaced or conversation.deferred
    if found:
        return True
    updated = conversation.updated_time
    return updated is None or context.since <= updated < context.until


@dataclass(frozen=True, slots=True)
class Gap:
    """How completely a conversation's window was read, and what is missing and why; without reasons if nothing is."""

    status: ConversationStatus
    reason_code: ReasonCode | None = None
    reason: str | None = None


def gap(conversation: ConversationState, platform: str) -> Gap:
    """Return what is missing from a conversation's window."""
    truncated = ConversationStatus.TRUNCATED_BY_PLATFORM
    beyond = _beyond_limit(conversation) if platform == INSTAGRAM else 0
    if conversation.deferred:
        return _refused(conversation, platform)
    if beyond and not (conversation.unplaced and conversation.lacks_newest):
        reason = f"{_INSTAGRAM_RETURNS}: {beyond} older ones are known by id without content"
        return Gap(truncated, ReasonCode.INSTAGRAM_LIMIT, reason)
    if conversation.stepped_over:
        reason = f"Meta refuses the content of {conversation.stepped_over} messages, which are known by id"
        return Gap(truncated, ReasonCode.REFUSED, reason)
    if conversation.unplaced:
        reason = f"{conversation.unplaced} messages came without an id or a time, so that they belong to no window"
        return Gap(truncated, ReasonCode.UNPLACED_MESSAGES, reason)
    if conversation.unavailable:
        reason = without_content(conversation.unavailable)
        return Gap(ConversationStatus.COMPLETE, ReasonCode.CONTENT_UNAVAILABLE, reason)
    return Gap(ConversationStatus.COMPLETE)


def _refused(conversation: ConversationState, platform: str) -> Gap:
    if platform == INSTAGRAM and conversation.ids_only and conversation.seen >= INSTAGRAM_VISIBLE_MESSAGES:
        reason = f"{_INSTAGRAM_RETURNS}, and refuses older ones: {conversation.refusal}"
        return Gap(ConversationStatus.TRUNCATED_BY_PLATFORM, ReasonCode.INSTAGRAM_LIMIT, reason)
    return Gap(ConversationStatus.UNREADABLE, ReasonCode(conversation.refusal_code), conversation.refusal)


def _beyond_limit(conversation: ConversationState) -> int:
    """Return how many messages lack content because newer ones exist, not because they were deleted."""
    total = max(conversation.seen, conversation.message_count or 0)
    # If new messages arrive during the reading, the limit moves to newer messages than those that were counted.
    return conversation.beyond_limit or (conversation.unavailable_tail if total > INSTAGRAM_VISIBLE_MESSAGES else 0)


def ledger_row(conversation: ConversationState, context: ExtractionContext) -> Row:
    """Return the conversation's row, once its messages are read."""
    missing = gap(conversation, context.platform)
    since = context.window.since
    return {
        "platform": context.platform,
        "page_id": context.page_id,
        "conversation_id": conversation.id,
        "updated_time": conversation.updated_time,
        "participants": conversation.participants,
        "message_count": conversation.message_count,
        "unread_count": conversation.unread_count,
        "can_reply": conversation.can_reply,
        "is_subscribed": conversation.is_subscribed,
        "link": conversation.link,
        "folder": conversation.folder,
        "folder_time": None if conversation.folder is None else context.extracted_time,
        "extra": conversation.extra,
        "messages_extracted": conversation.extracted,
        "messages_unavailable": conversation.unavailable,
        "oldest_message_time": conversation.oldest or None,
        "newest_message_time": conversation.newest or None,
        "window_since": None if since is None else iso(since),
        "window_until": context.until,
        "status": missing.status.value,
        "reason_code": None if missing.reason_code is None else missing.reason_code.value,
        "reason": missing.reason,
        "extracted_time": context.extracted_time,
    }


def amend(before: Amendment, conversation: ConversationState, platform: str) -> Amendment:
    """Return what a second reading of a conversation adds to its ledger row, and to earlier amendments."""
    missing = gap(conversation, platform)
    found = Amendment(
        conversation.updated_time,
        before.extracted + conversation.extracted,
        before.unavailable + conversation.unavailable,
        max(before.newest, conversation.newest),
        before.status,
        before.reason_code,
        before.reason,
    )
    if missing.status is not ConversationStatus.COMPLETE and missing.reason_code is not None:
        found.status, found.reason_code, found.reason = missing.status.value, missing.reason_code.value, missing.reason
    return found


def amended(row: Row, amendment: Amendment) -> Row:
    """Return a ledger row with a later amendment applied."""
    changed = row | {
        "updated_time": amendment.updated_time or row["updated_time"],
        "messages_extracted": row["messages_extracted"] + amendment.extracted,
        "messages_unavailable": row["messages_unavailable"] + amendment.unavailable,
        "newest_message_time": max(row["newest_message_time"] or "", amendment.newest) or None,
        "oldest_message_time": row["oldest_message_time"] or amendment.newest or None,
    }
    if amendment.status:
        changed |= {
            "status": amendment.status,
            "reason_code": amendment.reason_code,
            "reason": amendment.reason,
        }
    return changed

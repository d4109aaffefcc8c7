"""The choice between two versions of a row: the more complete one is kept."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider_metaconv.schema import (
    CONVERSATIONS,
    MESSAGES,
    ContentStatus,
    ConversationStatus,
    ReasonCode,
    Row,
    without_content,
)

_CONTENT_RANK = {status.value: rank for rank, status in enumerate(ContentStatus)}


STATUS_RANKS = {status.value: rank for rank, status in enumerate(ConversationStatus)}


def completeness_rank(message: Row) -> int:
    """Return how much of a message is missing, with the warehouses' formula; lower is more complete."""
    return (
        9 * _CONTENT_RANK.get(message["content_status"], len(_CONTENT_RANK))
        + 2 * (message["sender_id"] is None)
        + 2 * (not message["text"])
        + 2 * (message["attachments"] is None)
        + (message["shares"] is None)
        + (message["story"] is None)
    )


def message_rank(message: Row) -> tuple[int, int]:
    """Return the rank, with the number of empty columns as a tie-breaker."""
    # Rows of earlier releases lack columns.
    return completeness_rank(message), sum(message.get(name) is None for name in MESSAGES.column_names)


def is_less_complete(now: Row, before: Row) -> bool:
    """Whether the new row of a conversation is less complete than the earlier one."""
    return (
        status_rank(now) > status_rank(before)
        or now["messages_unavailable"] > before["messages_unavailable"]
        or now["messages_extracted"] < before["messages_extracted"]
        # In an incomplete conversation, the messages may differ: Instagram's 20 newest move on.
        or now["reason_code"] is not None
    )


def has_messages(row: Row) -> bool:
    """Whether a conversation's row has messages."""
    # Nothing is lost with the row of a conversation that was refused, or whose messages have no known window.
    return row["oldest_message_time"] is not None


def status_rank(row: Row) -> int:
    """Return how incomplete a conversation is; 0 means complete."""
    return STATUS_RANKS.get(row["status"], len(STATUS_RANKS))


def better(now: Row | None, before: Row | None, unavailable: int) -> Row | None:
    """Return the row that describes the present messages better, of which ``unavailable`` have no content."""
    if now is None or before is None:
        return before if now is None else now
    # A newer message whose content is unavailable is one that the earlier row does not account for.
    is_outdated = unavailable > before["messages_unavailable"]
    return before if status_rank(before) < status_rank(now) and not is_outdated else now


def unavailable_messages(messages: Iterable[Row]) -> int:
    """Return the number of messages whose content Meta did not return."""
    return sum(message["content_status"] == ContentStatus.UNAVAILABLE for message in messages)


def recounted(row: Row, messages: Iterable[Row]) -> Row:
    """Return the ledger row with the counts of the given messages."""
    messages = list(messages)
    times = sorted(message["created_time"] for message in messages)
    unavailable = unavailable_messages(messages)
    changed = row | {
        "messages_extracted": len(messages) - unavailable,
        "messages_unavailable": unavailable,
        "oldest_message_time": times[0] if times else None,
        "newest_message_time": times[-1] if times else None,
    }
    if unavailable and row["reason_code"] is None:
        # The content is known to be unavailable only from the earlier result: Meta returned everything it still has.
        changed |= {"reason_code": ReasonCode.CONTENT_UNAVAILABLE.value, "reason": without_content(unavailable)}
    return {name: changed.get(name) for name in CONVERSATIONS.column_names}

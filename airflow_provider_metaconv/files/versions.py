"""Of two versions of a row, which one stays: the richer one."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider_metaconv.schema import (
    CONVERSATIONS,
    ContentStatus,
    ConversationStatus,
    ReasonCode,
    Row,
    without_content,
)

_CONTENT_RANK = {status.value: rank for rank, status in enumerate(ContentStatus)}


STATUS_RANKS = {status.value: rank for rank, status in enumerate(ConversationStatus)}


def completeness_rank(message: Row) -> int:
    """How much of a message is missing: the lower the richer, as the warehouses count it."""
    return (
        9 * _CONTENT_RANK.get(message["content_status"], len(_CONTENT_RANK))
        + 2 * (message["sender_id"] is None)
        + 2 * (not message["text"])
        + 2 * (message["attachments"] is None)
        + (message["shares"] is None)
        + (message["story"] is None)
    )


def message_rank(message: Row) -> tuple[int, int]:
    """The rank, and of equal ones the number of columns without a value."""
    return completeness_rank(message), sum(value is None for value in message.values())


def is_poorer(now: Row, before: Row) -> bool:
    """Whether less is known of a conversation now than before."""
    return (
        status_rank(now) > status_rank(before)
        or now["messages_unavailable"] > before["messages_unavailable"]
        or now["messages_extracted"] < before["messages_extracted"]
        # Where something is missing, as many messages can be others: Instagram's newest have moved on.
        or now["reason_code"] is not None
    )


def has_messages(row: Row) -> bool:
    """Whether messages belong to the row of a conversation."""
    # Nothing is lost with the row of a conversation that was refused, or of messages that belong to no window.
    return row["oldest_message_time"] is not None


def status_rank(row: Row) -> int:
    """How little was read of a conversation; 0 means all of it."""
    return STATUS_RANKS.get(row["status"], len(STATUS_RANKS))


def better(now: Row | None, before: Row | None, unavailable: int) -> Row | None:
    """The row that says more of the messages that are there, ``unavailable`` of them without content."""
    if now is None or before is None:
        return before if now is None else now
    # A message that came since, and whose content is refused, is one that the earlier row knows nothing of.
    is_outdated = unavailable > before["messages_unavailable"]
    return before if status_rank(before) < status_rank(now) and not is_outdated else now


def unavailable_messages(messages: Iterable[Row]) -> int:
    """How many messages Meta returned without their content."""
    return sum(message["content_status"] == ContentStatus.UNAVAILABLE for message in messages)


def recounted(row: Row, messages: Iterable[Row]) -> Row:
    """The ledger row with the counts of the messages that are there."""
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
        # Known from the earlier result alone: Meta has shown all that it still has.
        changed |= {"reason_code": ReasonCode.CONTENT_UNAVAILABLE.value, "reason": without_content(unavailable)}
    return {name: changed.get(name) for name in CONVERSATIONS.column_names}

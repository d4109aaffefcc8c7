"""Columns that a warehouse derives from its rows. The files' values cover one window only and are never compared."""

from __future__ import annotations

from airflow_provider_metaconv.schema import CONVERSATION_GAPS, CONVERSATIONS, MESSAGES, VERSION_COLUMN, Column, Table

_DERIVED = {
    CONVERSATIONS.name: ("messages_extracted", "messages_unavailable", "status", "reason_code", "reason"),
    CONVERSATION_GAPS.name: ("messages_known", "messages_extracted", "messages_unavailable", "closed_by_window"),
}
_MERGED_AS_RANGE = {CONVERSATIONS.name: ("oldest_message_time", "newest_message_time")}


def compared_columns(table: Table) -> tuple[Column, ...]:
    """Return the columns whose difference makes two versions of one row different.

    The extraction time of a message is not compared, so a message that is read again unchanged is not rewritten. In the
    ledger tables it is compared, because the time at which a window was read decides which gaps it closes.
    """
    skipped = {*table.key, *_DERIVED.get(table.name, ()), *_MERGED_AS_RANGE.get(table.name, ())}
    if table.name == MESSAGES.name:
        skipped.add(VERSION_COLUMN)
    return tuple(column for column in table.columns if column.name not in skipped)

"""The columns that a warehouse derives from its rows: what files say in them is of one window and never compared."""

from __future__ import annotations

from airflow_provider_metaconv.schema import CONVERSATION_GAPS, CONVERSATIONS, MESSAGES, VERSION_COLUMN, Column, Table

_DERIVED = {
    CONVERSATIONS.name: ("messages_extracted", "messages_unavailable", "status", "reason_code", "reason"),
    CONVERSATION_GAPS.name: ("messages_known", "messages_extracted", "messages_unavailable", "closed_by_window"),
}
_MERGED_BY_REACH = {CONVERSATIONS.name: ("oldest_message_time", "newest_message_time")}


def compared_columns(table: Table) -> tuple[Column, ...]:
    """The columns whose difference makes two versions of one row different.

    Of a message the time of extraction is none of them: the same message read again is not written again. In the
    ledger it is one, since the time at which a window was read decides which gaps it closes.
    """
    skipped = {*table.key, *_DERIVED.get(table.name, ()), *_MERGED_BY_REACH.get(table.name, ())}
    if table.name == MESSAGES.name:
        skipped.add(VERSION_COLUMN)
    return tuple(column for column in table.columns if column.name not in skipped)

"""Columns that a warehouse derives from its rows. The files' values cover one window only and are never compared."""

from __future__ import annotations

from airflow_provider_metaconv.schema import (
    CONVERSATION_GAPS,
    CONVERSATIONS,
    EXTRACTION_WINDOWS,
    MESSAGES,
    VERSION_COLUMN,
    Column,
    Table,
)

TOUCHING = {
    MESSAGES: (*CONVERSATIONS.key, "created_time"),
    CONVERSATIONS: CONVERSATIONS.key,
    CONVERSATION_GAPS: (*CONVERSATION_GAPS.key, "window_since", "window_until"),
    EXTRACTION_WINDOWS: (*EXTRACTION_WINDOWS.key, "window_since", "window_until"),
}
"""What the ledger's steps need to know of deleted rows, to derive again what these rows have touched."""

_DERIVED = {
    CONVERSATIONS.name: ("messages_extracted", "messages_unavailable", "status", "reason_code", "reason"),
    CONVERSATION_GAPS.name: ("messages_known", "messages_extracted", "messages_unavailable", "closed_by_window"),
}
_MERGED_SEPARATELY = {CONVERSATIONS.name: ("oldest_message_time", "newest_message_time", "folder", "folder_time")}
"""A range that grows, and the folder that was seen last: not every version has one."""


def compared_columns(table: Table) -> tuple[Column, ...]:
    """Return the columns whose difference makes two versions of one row different.

    The extraction time of a message is not compared, so a message that is read again unchanged is not rewritten. In the
    ledger tables it is compared, because the time at which a window was read decides which gaps it closes.
    """
    skipped = {*table.key, *_DERIVED.get(table.name, ()), *_MERGED_SEPARATELY.get(table.name, ())}
    if table.name == MESSAGES.name:
        skipped.add(VERSION_COLUMN)
    return tuple(column for column in table.columns if column.name not in skipped)

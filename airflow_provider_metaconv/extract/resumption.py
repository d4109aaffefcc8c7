"""The state with which an attempt starts: new, or that of the previous attempt with every refusal reset. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from airflow_provider_metaconv.extract import list_walk
from airflow_provider_metaconv.extract.conversation_state import depends_on_refusal, resumed
from airflow_provider_metaconv.extract.known import KnownConversations
from airflow_provider_metaconv.extract.page_sizes import PageSizes
from airflow_provider_metaconv.extract.rows import ExtractionContext
from airflow_provider_metaconv.extract.state import (
    ConversationState,
    ExtractionState,
    ListState,
)

LISTING_MARGIN = timedelta(minutes=5)
"""How far below the window the list is read: ``updated_time`` and ``created_time`` need not agree to the second."""


def new_state(context: ExtractionContext, lists: int, page_sizes: PageSizes) -> ExtractionState:
    """Return the initial state of an extraction."""
    bound = context.window.listing_bound(LISTING_MARGIN)
    return ExtractionState([ListState(bound) for _ in range(lists)], page_sizes)


def resume(state: ExtractionState, rows: Iterable[Mapping[str, Any]], known: KnownConversations) -> None:
    """Prepare a state for an attempt that continues: every conclusion based on a refusal is reset.

    Adds the conversations seen so far to ``known``: those of the ledger's ``rows``, the open ones, and others.
    """
    _add_seen(state, rows, known)
    for each in state.lists:
        list_walk.resumed(each)
    for conversation in list(state.conversations.values()):
        if depends_on_refusal(conversation):
            state.doubtful[conversation.id] = conversation.folder
        else:
            resumed(conversation)
    for conversation_id, folder in sorted(state.doubtful.items()):
        # Its rows are kept, and the commit reduces them to the most complete version of each message.
        state.reread.add(conversation_id)
        state.amendments.pop(conversation_id, None)
        state.unplaced.pop(conversation_id, None)
        state.conversations[conversation_id] = ConversationState(conversation_id, folder=folder)
    state.doubtful.clear()


def _add_seen(state: ExtractionState, rows: Iterable[Mapping[str, Any]], known: KnownConversations) -> None:
    """Add the conversations seen, with their times, and record those of a last page that have no row."""
    for row in rows:
        known.add_stored(row["conversation_id"], time_of(row))
    for conversation in state.conversations.values():
        known[conversation.id] = latest(conversation.updated_time, conversation.newest)
    for last_page in filter(None, (each.last_page for each in state.lists)):
        for conversation_id in last_page.ids:
            if conversation_id not in known:
                state.passed.setdefault(known.stored_id(conversation_id), last_page.newest or None)
    for stored_id, time in state.passed.items():
        known.add_stored_if_new(stored_id, time)


def time_of(row: Mapping[str, Any]) -> str | None:
    """Return the time of a conversation's ledger row, equivalent to the ``effective_time`` of its node."""
    return latest(row["updated_time"], row["newest_message_time"])


def latest(*times: str | None) -> str | None:
    """Return the latest of these times, or None if there is none."""
    return max(filter(None, times), default=None)

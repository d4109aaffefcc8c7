"""What is known of each conversation while its messages come in, and the ledger row that remains of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_metaconv.extract.rows import message_row, people
from airflow_provider_metaconv.extract.window import Window, iso, row_time
from airflow_provider_metaconv.records import INSTAGRAM, ContentStatus, ConversationStatus, Row

INSTAGRAM_VISIBLE_MESSAGES = 20
"""Details of so many newest messages of a thread, and no more, are handed over on Instagram.

Source: https://developers.facebook.com/docs/graph-api/reference/conversation/
"""


@dataclass(frozen=True, slots=True)
class Scope:
    """What all conversations of a run share: whose they are and which time is extracted."""

    platform: str
    page_id: str
    own_ids: frozenset[str]
    window: Window
    since: str = field(init=False)
    until: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "since", "" if self.window.since is None else iso(self.window.since))
        object.__setattr__(self, "until", iso(self.window.until))


class OpenConversation:
    """One conversation whose messages are being read, newest first, page by page; counts, never keeps rows."""

    def __init__(self, scope: Scope, node: Mapping[str, Any]) -> None:
        self._scope = scope
        self.id = str(node["id"])
        self.updated_time = row_time(node.get("updated_time"))
        self._participants = people(node.get("participants"))
        self._message_count = node.get("message_count")
        self._position = 0
        self._extracted = 0
        self._unavailable = 0
        self._beyond_visible = 0
        self._oldest: str | None = None
        self._newest: str | None = None
        self._last_page_ids: frozenset[Any] = frozenset()
        self._unreadable_reason = ""
        self.reached_since = False

    def read(self, nodes: Iterable[Mapping[str, Any]]) -> list[Row]:
        """The rows of a page's messages that lie in the window; notes what else the page tells."""
        rows = []
        ids = set()
        for node in nodes:
            message_id = node.get("id")
            ids.add(message_id)
            if message_id in self._last_page_ids:
                continue
            self._position += 1
            row = self._row(node)
            if row is not None:
                rows.append(row)
        self._last_page_ids = frozenset(ids)
        return rows

    def _row(self, node: Mapping[str, Any]) -> Row | None:
        created = row_time(node.get("created_time"))
        if created is None or "id" not in node:
            # Without a time nobody can say whether it belongs to the window: counted, not written.
            self._note_unavailable()
            return None
        self.reached_since = created < self._scope.since
        if self.reached_since or created >= self._scope.until:
            return None
        row = message_row(
            node,
            platform=self._scope.platform,
            page_id=self._scope.page_id,
            conversation_id=self.id,
            own_ids=self._scope.own_ids,
            created_time=created,
        )
        self._extracted += 1
        self._oldest = min(created, self._oldest or created)
        self._newest = max(created, self._newest or created)
        if row["content_status"] == ContentStatus.UNAVAILABLE:
            self._note_unavailable()
        return row

    def _note_unavailable(self) -> None:
        self._unavailable += 1
        if self._scope.platform == INSTAGRAM and self._position > INSTAGRAM_VISIBLE_MESSAGES:
            self._beyond_visible += 1

    def unreadable(self, reason: str) -> None:
        """Gives the conversation up: what was read of it stays, and the ledger says why there is no more."""
        self._unreadable_reason = reason

    @property
    def concerns_window(self) -> bool:
        """Whether the ledger needs a row: not for conversations that were only touched after the window."""
        if self._extracted or self._unavailable or self._unreadable_reason:
            return True
        return self.updated_time is None or self._scope.since <= self.updated_time < self._scope.until

    @property
    def status(self) -> ConversationStatus:
        """How much of the conversation's window the run holds."""
        if self._unreadable_reason:
            return ConversationStatus.UNREADABLE
        if self._beyond_visible:
            return ConversationStatus.TRUNCATED_BY_PLATFORM
        return ConversationStatus.COMPLETE

    @property
    def reason(self) -> str | None:
        """Why the conversation is not complete; None when it is."""
        if self._unreadable_reason:
            return self._unreadable_reason
        if self._beyond_visible:
            return (
                f"Instagram shows only the {INSTAGRAM_VISIBLE_MESSAGES} newest messages of a conversation: "
                f"{self._beyond_visible} older ones are known by id without content"
            )
        return None

    def ledger_row(self) -> Row:
        """The conversation's row, final once its messages are read."""
        return {
            "platform": self._scope.platform,
            "page_id": self._scope.page_id,
            "conversation_id": self.id,
            "updated_time": self.updated_time,
            "participants": self._participants,
            "message_count": self._message_count,
            "messages_extracted": self._extracted,
            "messages_unavailable": self._unavailable,
            "oldest_message_time": self._oldest,
            "newest_message_time": self._newest,
            "status": self.status.value,
            "reason": self.reason,
        }

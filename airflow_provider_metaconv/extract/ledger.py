"""What is known of each conversation while its messages come in, and the ledger row that remains of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from airflow_provider_metaconv.extract.rows import count, message_row, people, text
from airflow_provider_metaconv.extract.window import Window, iso, row_time
from airflow_provider_metaconv.records import INSTAGRAM, ContentStatus, ConversationStatus, Row

INSTAGRAM_VISIBLE_MESSAGES = 20
"""Details of so many newest messages of a thread, and no more, are handed over on Instagram.

Source: https://developers.facebook.com/docs/graph-api/reference/conversation/
"""


@dataclass(frozen=True, slots=True)
class Scope:
    """What all conversations of a run share: whose they are, which time is extracted, and when that is done."""

    platform: str
    page_id: str
    own_ids: frozenset[str]
    window: Window
    extracted_time: str = field(default_factory=lambda: iso(datetime.now(UTC)))
    since: str = field(init=False)
    until: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "since", "" if self.window.since is None else iso(self.window.since))
        object.__setattr__(self, "until", iso(self.window.until))


@dataclass(slots=True)
class Progress:
    """How far one conversation has been read, newest message first: counts and marks, never rows; JSON types only.

    ``mark`` is the time of the oldest message seen and ``mark_ids`` those of that very time: what is newer was seen.
    ``newer_than`` restricts the reading to what came since an earlier one.
    """

    id: str
    updated_time: str | None = None
    participants: list[dict[str, Any]] | None = None
    message_count: int | None = None
    after: str | None = None
    position: int = 0
    extracted: int = 0
    unavailable: int = 0
    beyond_visible: int = 0
    unplaced: int = 0
    oldest: str | None = None
    newest: str | None = None
    mark: str = ""
    mark_ids: list[str] = field(default_factory=list)
    ordered: bool = True
    restarts: int = 0
    newer_than: str = ""
    unreadable_reason: str = ""


class OpenConversation:
    """One conversation whose messages are being read, page by page."""

    def __init__(self, scope: Scope, progress: Progress) -> None:
        self._scope = scope
        self.progress = progress
        self.reached_end = False
        self._last_page_ids: frozenset[Any] = frozenset()
        self._replayed_to = ""
        self._replayed_ids: frozenset[str] = frozenset()

    @classmethod
    def resumed(cls, scope: Scope, state: Mapping[str, Any]) -> OpenConversation:
        """The conversation as ``state()`` left it; a message that comes again is not read twice."""
        conversation = cls(scope, Progress(**state))
        conversation._pass_over_what_was_seen()
        return conversation

    def state(self) -> dict[str, Any]:
        """What a later try needs to go on here, in JSON types; to be written at once, since it shares its lists."""
        # Not asdict, which copies every list: this is asked for at each checkpoint, for each open conversation.
        return {name: getattr(self.progress, name) for name in Progress.__slots__}

    @property
    def id(self) -> str:
        """Meta's id of the conversation."""
        return self.progress.id

    def describe(self, node: Mapping[str, Any]) -> None:
        """Takes over what a conversation node says of itself."""
        progress = self.progress
        progress.updated_time = row_time(node.get("updated_time")) or progress.updated_time
        progress.participants = people(node.get("participants")) or progress.participants
        progress.message_count = count(node.get("message_count"))

    def restart(self) -> None:
        """Reads the conversation from its newest message again, passing over what was seen."""
        self.progress.restarts += 1
        self.progress.after = None
        self.progress.position = 0
        self._pass_over_what_was_seen()

    def _pass_over_what_was_seen(self) -> None:
        if not self.progress.ordered:
            self.unreadable("its messages are not in order, so that an interrupted reading cannot go on")
        self._replayed_to = self.progress.mark
        self._replayed_ids = frozenset(self.progress.mark_ids)

    def read(self, nodes: Iterable[Mapping[str, Any]]) -> list[Row]:
        """The rows of a page's messages that lie in the window; notes what else the page tells."""
        page = list(nodes)
        rows = [row for node in page if (row := self._read_one(node)) is not None]
        self._last_page_ids = frozenset(text(node.get("id")) for node in page)
        return rows

    def _read_one(self, node: Mapping[str, Any]) -> Row | None:
        progress = self.progress
        message_id = text(node.get("id"))
        created = row_time(node.get("created_time"))
        if message_id is not None and message_id in self._last_page_ids:
            return None
        progress.position += 1
        if created is None or message_id is None:
            # Without a time nobody can say whether it belongs to the window: counted, not written.
            progress.unplaced += 1
            self._note_unavailable()
            return None
        if self._was_replayed(created, message_id):
            return None
        self._move_mark(created, message_id)
        self.reached_end = progress.ordered and created < max(self._scope.since, progress.newer_than)
        if not self._is_wanted(created):
            return None
        return self._row(node, created)

    def _was_replayed(self, created: str, message_id: str) -> bool:
        if not self._replayed_to:
            return False
        if created > self._replayed_to or (created == self._replayed_to and message_id in self._replayed_ids):
            return True
        if created < self._replayed_to:
            self._replayed_to = ""
        return False

    def _move_mark(self, created: str, message_id: str) -> None:
        progress = self.progress
        if created == progress.mark:
            progress.mark_ids.append(message_id)
        elif not progress.mark or created < progress.mark:
            progress.mark, progress.mark_ids = created, [message_id]
        else:
            # Older messages came before newer ones: then nothing says that what follows is older still.
            progress.ordered = False

    def _is_wanted(self, created: str) -> bool:
        return self._scope.since <= created < self._scope.until and created >= self.progress.newer_than

    def _row(self, node: Mapping[str, Any], created: str) -> Row:
        progress = self.progress
        row = message_row(
            node,
            platform=self._scope.platform,
            page_id=self._scope.page_id,
            conversation_id=progress.id,
            own_ids=self._scope.own_ids,
            created_time=created,
            extracted_time=self._scope.extracted_time,
        )
        progress.extracted += 1
        progress.oldest = min(created, progress.oldest or created)
        progress.newest = max(created, progress.newest or created)
        if row["content_status"] == ContentStatus.UNAVAILABLE:
            self._note_unavailable()
        return row

    def _note_unavailable(self) -> None:
        self.progress.unavailable += 1
        if self._scope.platform == INSTAGRAM and self.progress.position > INSTAGRAM_VISIBLE_MESSAGES:
            self.progress.beyond_visible += 1

    def unreadable(self, reason: str) -> None:
        """Gives the conversation up: what was read of it stays, and the ledger says why there is no more."""
        self.progress.unreadable_reason = reason

    @property
    def is_given_up(self) -> bool:
        """Whether no more of it is to be read."""
        return bool(self.progress.unreadable_reason)

    @property
    def concerns_window(self) -> bool:
        """Whether the ledger needs a row: not for conversations that were only touched after the window."""
        progress = self.progress
        if progress.extracted or progress.unavailable or progress.unreadable_reason:
            return True
        return progress.updated_time is None or self._scope.since <= progress.updated_time < self._scope.until

    @property
    def status(self) -> ConversationStatus:
        """How much of the conversation's window the run holds."""
        if self.progress.unreadable_reason:
            return ConversationStatus.UNREADABLE
        if self.progress.beyond_visible or self.progress.unplaced:
            return ConversationStatus.TRUNCATED_BY_PLATFORM
        return ConversationStatus.COMPLETE

    @property
    def reason(self) -> str | None:
        """Why the conversation is not complete; None when it is."""
        if self.progress.unreadable_reason:
            return self.progress.unreadable_reason
        if self.progress.beyond_visible:
            return (
                f"Instagram shows only the {INSTAGRAM_VISIBLE_MESSAGES} newest messages of a conversation: "
                f"{self.progress.beyond_visible} older ones are known by id without content"
            )
        if self.progress.unplaced:
            return f"{self.progress.unplaced} messages came without an id or a time, so that they belong nowhere"
        return None

    def ledger_row(self) -> Row:
        """The conversation's row, final once its messages are read."""
        progress = self.progress
        return {
            "platform": self._scope.platform,
            "page_id": self._scope.page_id,
            "conversation_id": progress.id,
            "updated_time": progress.updated_time,
            "participants": progress.participants,
            "message_count": progress.message_count,
            "messages_extracted": progress.extracted,
            "messages_unavailable": progress.unavailable,
            "oldest_message_time": progress.oldest,
            "newest_message_time": progress.newest,
            "window_since": self._scope.since or None,
            "window_until": self._scope.until,
            "status": self.status.value,
            "reason": self.reason,
            "extracted_time": self._scope.extracted_time,
        }

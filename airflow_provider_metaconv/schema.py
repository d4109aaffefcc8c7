"""The tables, one entry per column: the field to request from Graph, the value in files, and the warehouse column.

To add a field, add a ``Column`` here. The ``fields=`` query of the Graph API, the rows in files and the warehouse's DDL
are all derived from these tuples, so they cannot diverge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MESSENGER = "MESSENGER"
INSTAGRAM = "INSTAGRAM"
PLATFORMS = (MESSENGER, INSTAGRAM)

Row = dict[str, Any]


class ColumnType(StrEnum):
    """The type of a value, independent of file formats and warehouses."""

    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    """A time in UTC: an ISO 8601 string with the offset ``+00:00`` in NDJSON, a UTC timestamp in Parquet."""
    JSON = "json"
    """A nested value: native JSON in NDJSON, a JSON string in Parquet, the warehouse's JSON type in tables."""


class ConversationStatus(StrEnum):
    """How completely a conversation's window was extracted."""

    COMPLETE = "complete"
    TRUNCATED_BY_PLATFORM = "truncated_by_platform"
    UNREADABLE = "unreadable"


class WindowStatus(StrEnum):
    """Whether every list of a window was fully read. A partial window counts as not covered."""

    COMPLETE = "complete"
    PARTIAL = "partial"


class ReasonCode(StrEnum):
    """Why something is missing, as a code for queries; the column ``reason`` explains it to people."""

    INSTAGRAM_LIMIT = "instagram_limit"
    """Instagram returns the content of only the 20 newest messages of a conversation."""
    CONTENT_UNAVAILABLE = "content_unavailable"
    """Messages were deleted or unsent: Meta returns only their IDs and times."""
    UNPLACED_MESSAGES = "unplaced_messages"
    """Messages have no ID or no time, so they cannot be assigned to a window."""
    REFUSED = "refused"
    """Meta refuses to return this conversation."""
    UNEXPECTED_RESPONSE = "unexpected_response"
    """Meta responds with something other than the requested conversation."""
    PAGING = "paging"
    """The conversation's message pages loop, or their cursors are refused."""
    LIST_REFUSED = "list_refused"
    """Meta refuses the list of conversations, or a part of it."""


def without_content(messages: int) -> str:
    """Return the ``reason`` for ``ReasonCode.CONTENT_UNAVAILABLE``."""
    return f"{messages} messages are known by id without content: deleted or unsent"


class ContentStatus(StrEnum):
    """Whether Meta returned a message's content, best first. A less complete row never replaces a better one."""

    AVAILABLE = "available"
    UNSUPPORTED = "unsupported"
    """Meta reports that the API cannot return this message (``is_unsupported``)."""
    UNAVAILABLE = "unavailable"
    """Only the ID and the time are known: deleted, or older than Instagram's 20 newest messages of a thread."""


class Sensitivity(StrEnum):
    """What a value reveals about a person. Privacy policies decide by it."""

    NONE = "none"
    PERSON_ID = "person id"
    """Identifies a person, and is the same in every column: a Page-scoped or Instagram-scoped ID."""
    CONVERSATION_ID = "conversation id"
    MESSAGE_ID = "message id"
    OBJECT_ID = "object id"
    """Identifies an attachment, a story or a shared object."""
    NAME = "name"
    """Names a person, or a file that a person chose."""
    CONTENT = "content"
    """What a person wrote."""
    LINK = "link"
    """Leads to media, a story, a profile or a shared page."""
    UNKNOWN = "unknown"
    """Can be anything: fields that a user chose."""


MORE_PARTICIPANTS = "(more, whom Meta does not return)"
"""The name of the entry that takes the place of participants that could not be read."""

Positions = Mapping[str, "Sensitivity | Positions"]
"""The sensitivity of each key of a JSON object, or of the objects of a list. Keys that are not listed are unknown."""


def flat_sensitivities(sensitivity: Sensitivity | Positions) -> Iterator[Sensitivity]:
    """Yield the sensitivity of a value, or of each of its positions."""
    if isinstance(sensitivity, Sensitivity):
        yield sensitivity
    else:
        for inner in sensitivity.values():
            yield from flat_sensitivities(inner)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    ``graph_field`` is the field to request from Graph, empty if the extractor computes the value. ``platforms`` are
    those whose nodes are documented to have the field; it is not requested from others. ``sensitivity`` is what the
    value reveals about a person: of a JSON column, by position.
    """

    name: str
    type: ColumnType
    description: str
    graph_field: str = ""
    platforms: tuple[str, ...] = PLATFORMS
    required: bool = False
    sensitivity: Sensitivity | Positions = field(default=Sensitivity.NONE, compare=False)


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its columns and the key that makes a row unique."""

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of all columns, in the order of the files and the warehouse."""
        return tuple(column.name for column in self.columns)

    @property
    def identifying_columns(self) -> tuple[str, ...]:
        """The columns that have, or can have, IDs of people or conversations."""
        wanted = {Sensitivity.PERSON_ID, Sensitivity.CONVERSATION_ID, Sensitivity.UNKNOWN}
        return tuple(column.name for column in self.columns if wanted & set(flat_sensitivities(column.sensitivity)))

    def graph_fields(self, platform: str) -> tuple[str, ...]:
        """Return the fields to request from Graph, without duplicates, in column order."""
        wanted = (c.graph_field for c in self.columns if c.graph_field and platform in c.platforms)
        return tuple(dict.fromkeys(wanted))


def field_name(field: str) -> str:
    """Return the name of a Graph field without its arguments and subfields.

    >>> field_name("shares{link,name}")
    'shares'
    """
    return field.partition("{")[0].partition(".")[0]


_TEXT, _INTEGER, _BOOLEAN, _TIMESTAMP, _JSON = ColumnType
_NONE, _PERSON, _CONVERSATION, _MESSAGE, _OBJECT, _NAME, _CONTENT, _LINK, _UNKNOWN = Sensitivity

_PEOPLE: Positions = {"id": _PERSON, "name": _NAME}
_SIZES: Positions = dict.fromkeys(
    ("width", "height", "max_width", "max_height", "image_type", "render_as_sticker"), _NONE
)
_ATTACHMENTS: Positions = {
    "id": _OBJECT,
    "mime_type": _NONE,
    "name": _NAME,
    "size": _NONE,
    "image_data": {**_SIZES, "url": _LINK, "preview_url": _LINK},
    "video_data": {
        **dict.fromkeys(("width", "height", "length", "video_type", "rotation"), _NONE),
        "url": _LINK,
        "preview_url": _LINK,
    },
    "file_url": _LINK,
    "generic_template": {"title": _CONTENT, "subtitle": _CONTENT, "media_url": _LINK},
}
_SHARES: Positions = {"id": _OBJECT, "link": _LINK, "name": _CONTENT, "description": _CONTENT}
_STORY: Positions = {"mention": {"id": _OBJECT, "link": _LINK}, "reply_to": {"id": _OBJECT, "link": _LINK}}
_REACTIONS: Positions = {
    "reaction": _NONE,
    "emoji": _NONE,
    "users": {"id": _PERSON, "name": _NAME, "username": _NAME},
}

MESSAGES = Table(
    name="messages",
    description="One row per message of a Facebook Page's conversations on Messenger and Instagram.",
    key=("platform", "page_id", "message_id"),
    columns=(
        Column("platform", _TEXT, "MESSENGER or INSTAGRAM, as in Meta's API.", required=True),
        Column("page_id", _TEXT, "ID of the Facebook Page that was read.", required=True),
        Column("conversation_id", _TEXT, "ID of the message's conversation.", required=True, sensitivity=_CONVERSATION),
        Column("message_id", _TEXT, "ID of the message.", "id", required=True, sensitivity=_MESSAGE),
        Column("created_time", _TIMESTAMP, "When the message was sent, in UTC.", "created_time", required=True),
        Column(
            "direction",
            _TEXT,
            "inbound (to the Page), outbound (from the Page), or null if the sender is unknown.",
            "from",
        ),
        Column("sender_id", _TEXT, "Page-scoped or Instagram-scoped ID of the sender.", "from", sensitivity=_PERSON),
        Column("sender_name", _TEXT, "Name of the sender; the username on Instagram.", "from", sensitivity=_NAME),
        Column("recipients", _JSON, "The recipients: a list of {id, name}.", "to", sensitivity=_PEOPLE),
        Column(
            "text",
            _TEXT,
            "Text of the message; empty if it consists of media or a sticker only.",
            "message",
            sensitivity=_CONTENT,
        ),
        Column(
            "attachments",
            _JSON,
            "List of attachments as Graph returns them; links to media expire.",
            "attachments.limit(100)",
            sensitivity=_ATTACHMENTS,
        ),
        Column(
            "shares",
            _JSON,
            "List of shared links, posts or products.",
            "shares{link,name,description,id,template}",
            sensitivity=_SHARES,
        ),
        Column(
            "story",
            _JSON,
            "The Instagram story that the message replies to, or that mentions the account.",
            "story",
            (INSTAGRAM,),
            sensitivity=_STORY,
        ),
        Column("reactions", _JSON, "List of {reaction, users}.", "reactions", sensitivity=_REACTIONS),
        Column(
            "reply_to",
            _JSON,
            "The message that this one replies to: {mid, is_self_reply}.",
            "reply_to",
            sensitivity={"mid": _MESSAGE, "is_self_reply": _NONE},
        ),
        Column("sticker", _TEXT, "Link to the sticker's image.", "sticker", (MESSENGER,), sensitivity=_LINK),
        Column("tags", _JSON, "List of Meta's tag names, such as inbox, read, source:web.", "tags", (MESSENGER,)),
        Column("extra", _JSON, "The fields of extra_fields: {field: value}; null without any.", sensitivity=_UNKNOWN),
        Column(
            "content_status",
            _TEXT,
            "available, unsupported (by the API) or unavailable (deleted, or older than Instagram's 20 newest).",
            "is_unsupported",
            (INSTAGRAM,),
            required=True,
        ),
        Column(
            "extracted_time",
            _TIMESTAMP,
            "When the extraction of this version began, in UTC; the later of two equally complete versions is kept.",
        ),
    ),
)

CONVERSATIONS = Table(
    name="conversations",
    description="One row per conversation: what was extracted over all windows, and what is missing.",
    key=("platform", "page_id", "conversation_id"),
    columns=(
        Column("platform", _TEXT, "MESSENGER or INSTAGRAM, as in Meta's API.", required=True),
        Column("page_id", _TEXT, "ID of the Facebook Page that was read.", required=True),
        Column("conversation_id", _TEXT, "ID of the conversation.", "id", required=True, sensitivity=_CONVERSATION),
        Column("updated_time", _TIMESTAMP, "Time of its last message when it was extracted, in UTC.", "updated_time"),
        Column(
            "participants",
            _JSON,
            "The participants, including the Page: a list of {id, name}.",
            "participants.limit(100)",
            sensitivity=_PEOPLE,
        ),
        Column("message_count", _INTEGER, "Number of messages over all time, according to Meta.", "message_count"),
        Column(
            "unread_count",
            _INTEGER,
            "Number of messages that nobody has read in the Page's inbox, when it was extracted.",
            "unread_count",
            (MESSENGER,),
        ),
        Column("can_reply", _BOOLEAN, "Whether the Page could reply when it was extracted.", "can_reply", (MESSENGER,)),
        Column(
            "is_subscribed",
            _BOOLEAN,
            "Whether the Page was subscribed to it when it was extracted.",
            "is_subscribed",
            (MESSENGER,),
        ),
        Column(
            "link",
            _TEXT,
            "Path of the conversation in the Page's inbox, below https://www.facebook.com.",
            "link",
            (MESSENGER,),
            sensitivity=_LINK,
        ),
        Column(
            "folder",
            _TEXT,
            "Messenger folder whose list had it last; null: read from no list of a named folder.",
        ),
        Column("folder_time", _TIMESTAMP, "When the extraction that read that list began, in UTC."),
        Column("extra", _JSON, "The fields of extra_fields: {field: value}; null without any.", sensitivity=_UNKNOWN),
        Column(
            "messages_extracted",
            _INTEGER,
            "Messages with content: of this window in files, of all windows in the warehouse.",
            required=True,
        ),
        Column(
            "messages_unavailable",
            _INTEGER,
            "Messages without content: of this window in files, of all windows in the warehouse.",
            required=True,
        ),
        Column("oldest_message_time", _TIMESTAMP, "Time of the oldest extracted message, in UTC."),
        Column("newest_message_time", _TIMESTAMP, "Time of the newest extracted message, in UTC."),
        Column(
            "window_since",
            _TIMESTAMP,
            "Start of the last window that has the conversation, in UTC; null: from the first message.",
        ),
        Column("window_until", _TIMESTAMP, "End of the last window that has the conversation, in UTC."),
        Column(
            "status",
            _TEXT,
            "complete, truncated_by_platform or unreadable: of this window in files, of all windows in the warehouse.",
            required=True,
        ),
        Column("reason_code", _TEXT, "Code for what is missing, as in conversation_gaps; null if nothing is."),
        Column("reason", _TEXT, "What is missing and why; null if nothing is."),
        Column(
            "extracted_time",
            _TIMESTAMP,
            "When the extraction of this version began, in UTC; the later of two versions is kept.",
        ),
    ),
)

CONVERSATION_GAPS = Table(
    name="conversation_gaps",
    description="One row per conversation and window with something missing, and which window closed the gap.",
    key=("platform", "page_id", "folders", "user_id", "window_id", "conversation_id"),
    columns=(
        Column("platform", _TEXT, "MESSENGER or INSTAGRAM, as in Meta's API.", required=True),
        Column("page_id", _TEXT, "ID of the Facebook Page that was read.", required=True),
        Column("folders", _TEXT, "As in extraction_windows.", required=True),
        Column("user_id", _TEXT, "As in extraction_windows.", required=True, sensitivity=_PERSON),
        Column("window_id", _TEXT, "As in extraction_windows.", required=True),
        Column("conversation_id", _TEXT, "ID of the conversation.", required=True, sensitivity=_CONVERSATION),
        Column("window_since", _TIMESTAMP, "Start of the window, in UTC; null: from the first message."),
        Column("window_until", _TIMESTAMP, "End of the window, in UTC."),
        Column(
            "status",
            _TEXT,
            "truncated_by_platform, unreadable, or complete if only deleted messages lack their content.",
            required=True,
        ),
        Column("reason_code", _TEXT, "Code for what is missing, for queries.", required=True),
        Column("reason", _TEXT, "What is missing and why, for people.", required=True),
        Column("messages_known", _INTEGER, "Messages of the window that Meta listed, with or without content."),
        Column("messages_extracted", _INTEGER, "Messages of the window that were extracted with content."),
        Column("messages_unavailable", _INTEGER, "Messages of the window that were listed without content."),
        Column(
            "closed_by_window", _TEXT, "window_id of the later window that read all of it; null while the gap is open."
        ),
        Column("extracted_time", _TIMESTAMP, "When the extraction that found the gap began, in UTC."),
    ),
)

EXTRACTION_WINDOWS = Table(
    name="extraction_windows",
    description="One row per Page, platform, folders and window: whether every list was fully read.",
    key=("platform", "page_id", "folders", "user_id", "window_id"),
    columns=(
        Column("platform", _TEXT, "MESSENGER or INSTAGRAM, as in Meta's API.", required=True),
        Column("page_id", _TEXT, "ID of the Facebook Page that was read.", required=True),
        Column(
            "folders", _TEXT, "Messenger folders, sorted, separated by commas; empty: Meta's default.", required=True
        ),
        Column(
            "user_id",
            _TEXT,
            "The only person whose conversation was read; empty: everybody.",
            required=True,
            sensitivity=_PERSON,
        ),
        Column("window_id", _TEXT, "The window's name, such as begin_20261120T000000Z.", required=True),
        Column("window_since", _TIMESTAMP, "Start of the window, in UTC; null: from the first message."),
        Column("window_until", _TIMESTAMP, "End of the window, in UTC."),
        Column("status", _TEXT, "complete, or partial if a list could not be fully read.", required=True),
        Column("reason_code", _TEXT, "Code for why it is partial; null if it is complete."),
        Column("reason", _TEXT, "Which list could not be read and why; null if it is complete."),
        Column(
            "conversations",
            _INTEGER,
            "Conversations with messages in the window, or that could not be read.",
            required=True,
        ),
        Column("messages", _INTEGER, "Messages in the window's files, with or without content.", required=True),
        Column("messages_unavailable", _INTEGER, "Messages in the window's files without content.", required=True),
        Column("incomplete_conversations", _INTEGER, "Conversations that are not complete.", required=True),
        Column("calls", _INTEGER, "API calls of all attempts.", required=True),
        Column("rate_limit_waits", _INTEGER, "Number of waits for a rate limit.", required=True),
        Column("rate_limit_wait_seconds", _INTEGER, "Total seconds of these waits.", required=True),
        Column("left_out_fields", _JSON, "List of fields that Meta refused; their columns are null."),
        Column(
            "privacy_policy",
            _TEXT,
            "The privacy policy of the window's rows; null: full, by an early release.",
        ),
        Column("privacy_key_id", _TEXT, "Fingerprint of the key of their pseudonyms; null if there are none."),
        Column("started_time", _TIMESTAMP, "When the first attempt began, in UTC."),
        Column("finished_time", _TIMESTAMP, "When the last attempt ended, in UTC."),
        Column(
            "extracted_time",
            _TIMESTAMP,
            "When the extraction of this version began, in UTC; the later of two versions is kept.",
        ),
    ),
)

TABLES = (MESSAGES, CONVERSATIONS, CONVERSATION_GAPS, EXTRACTION_WINDOWS)

VERSION_COLUMN = "extracted_time"
"""The column that tells which of two versions of a row is later. Alone, it is no reason to update a message."""


def table_named(name: str) -> Table:
    """Return the table with that name; raises ``KeyError`` if it does not exist."""
    return {table.name: table for table in TABLES}[name]

"""Conversion of Graph nodes to rows. Meta's paging links are dropped, because they contain the token."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from airflow_provider_metaconv.extract.extra_fields import NO_EXTRA_FIELDS, ExtraFields
from airflow_provider_metaconv.schema import ContentStatus, Row
from airflow_provider_metaconv.window import Window, iso, row_time

_AVAILABLE = ContentStatus.AVAILABLE.value
_UNSUPPORTED = ContentStatus.UNSUPPORTED.value
_UNAVAILABLE = ContentStatus.UNAVAILABLE.value
_CONTENT = frozenset(
    {"from", "to", "message", "attachments", "shares", "story", "sticker", "reactions", "reply_to", "is_unsupported"}
)


@dataclass(frozen=True, slots=True)
class ExtractionContext:
    """The values that all rows of an extraction share: the Page, the window, and the extraction time.

    ``since`` and ``until`` bound the messages that are read, including the lookback. ``own_ids`` and ``own_usernames``
    are those under which the business itself sends messages. ``extra_fields`` fill the column ``extra``.
    """

    platform: str
    page_id: str
    own_ids: frozenset[str]
    window: Window
    extracted_time: str = field(default_factory=lambda: iso(datetime.now(UTC)))
    own_usernames: frozenset[str] = frozenset()
    extra_fields: ExtraFields = NO_EXTRA_FIELDS
    since: str = field(init=False)
    until: str = field(init=False)

    def __post_init__(self) -> None:
        reads_since = self.window.reads_since
        object.__setattr__(self, "since", "" if reads_since is None else iso(reads_since))
        object.__setattr__(self, "until", iso(self.window.until))


@dataclass(slots=True)
class Batch:
    """Rows that are ready to be written: messages, and ledger rows of finished conversations."""

    messages: list[Row] = field(default_factory=list)
    conversations: list[Row] = field(default_factory=list)


def text(value: Any) -> str | None:
    """Convert a value for a text column: strings and null unchanged, anything else to JSON, so that nothing is lost."""
    if value is None or type(value) is str:
        return value
    return json.dumps(value, ensure_ascii=False)


def identifier(value: Any) -> str | None:
    """Return a message ID, which is a string or a number; None for anything else."""
    return str(value) if type(value) in (str, int) and value != "" else None


def count(value: Any) -> int | None:
    """Convert a value for an integer column; None if it is not a count."""
    return value if type(value) is int and 0 <= value < 2**63 else None


def flag(value: Any) -> bool | None:
    """Convert a value for a boolean column; None if it is neither true nor false."""
    return value if type(value) is bool else None


def effective_time(node: Mapping[str, Any]) -> str | None:
    """Return a conversation's effective time: its ``updated_time``, or that of a newer message nested in it."""
    updated = row_time(node.get("updated_time"))
    edge = node.get("messages")
    rows = edge.get("data") if isinstance(edge, dict) else None
    if not isinstance(rows, list):
        return updated
    newest = [time for row in rows[:3] if isinstance(row, dict) and (time := row_time(row.get("created_time")))]
    return max([*newest, updated] if updated is not None else newest, default=None)


def people(edge: Any) -> list[dict[str, Any]] | None:
    """Return ``{id, name}`` of all people in a Graph list, without Meta's internal e-mail aliases."""
    rows = _rows(edge)
    return (
        None
        if rows is None
        else [{"id": text(p.get("id")), "name": text(_name(p))} for p in rows if isinstance(p, dict)]
    )


def _name(person: dict[str, Any]) -> Any:
    # People have a name on Messenger, and a username on Instagram.
    return person.get("name") or person.get("username")


def _rows(edge: Any) -> list[Any] | None:
    """Return the rows of a nested edge, which Graph returns as ``{"data": [...]}``, a bare list or a bare object."""
    if edge is None:
        return None
    if isinstance(edge, dict):
        if "data" not in edge and edge.keys() <= {"paging", "summary"}:
            return None
        edge = edge.get("data", edge)
    return edge if isinstance(edge, list) else [edge]


def _without_paging(value: Any) -> Any:
    # Called for every value of every message. Comparing exact types is the fastest check for parsed JSON.
    kind = type(value)
    if kind is dict:
        return {key: _without_paging(inner) for key, inner in value.items() if key != "paging"}
    if kind is list:
        return [_without_paging(inner) for inner in value]
    return value


def _nested(edge: Any) -> list[Any] | None:
    """Return the rows of a nested edge in the form in which they are written."""
    # Most messages have no such edge.
    return None if edge is None else _without_paging(_rows(edge))


def extra(node: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any] | None:
    """Return the values of these fields by name; None if the node has none of them."""
    found = {name: _without_paging(value) for name in names if (value := node.get(name)) is not None}
    return found or None


def _content_status(node: Mapping[str, Any]) -> str:
    if "is_unsupported" in node and str(node["is_unsupported"]).lower() == "true":
        return _UNSUPPORTED
    return _UNAVAILABLE if _CONTENT.isdisjoint(node) else _AVAILABLE


def message_row(
    node: Mapping[str, Any], context: ExtractionContext, conversation_id: str, message_id: str, created_time: str
) -> Row:
    """Return the row of a Graph message node. Missing fields are null, and unknown fields are left out."""
    get = node.get
    sender = get("from")
    sender = sender if isinstance(sender, dict) else {}
    sender_id = text(sender.get("id"))
    tags = _rows(get("tags"))
    return {
        "platform": context.platform,
        "page_id": context.page_id,
        "conversation_id": conversation_id,
        "message_id": message_id,
        "created_time": created_time,
        "direction": _direction(sender_id, sender, context),
        "sender_id": sender_id,
        "sender_name": text(_name(sender)),
        "recipients": people(get("to")),
        "text": text(get("message")),
        "attachments": _nested(get("attachments")),
        "shares": _nested(get("shares")),
        "story": _without_paging(get("story")),
        "reactions": _nested(get("reactions")),
        "reply_to": _without_paging(get("reply_to")),
        "sticker": text(get("sticker")),
        "tags": None if tags is None else [tag.get("name") if isinstance(tag, dict) else tag for tag in tags],
        "extra": extra(node, context.extra_fields.messages) if context.extra_fields.messages else None,
        "content_status": _content_status(node),
        "extracted_time": context.extracted_time,
    }


def _direction(sender_id: str | None, sender: Mapping[str, Any], context: ExtractionContext) -> str | None:
    if sender_id in context.own_ids or text(sender.get("username")) in context.own_usernames:
        # The business sends messages under several IDs, but with the same username.
        return "outbound"
    return None if sender_id is None else "inbound"

"""Graph nodes to rows: what a table's row holds, and nothing of Meta's paging, whose links carry the token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_metaconv.records import ContentStatus, Row

_AVAILABLE = ContentStatus.AVAILABLE.value
_UNSUPPORTED = ContentStatus.UNSUPPORTED.value
_UNAVAILABLE = ContentStatus.UNAVAILABLE.value
_CONTENT = frozenset(
    {"from", "to", "message", "attachments", "shares", "story", "sticker", "reactions", "reply_to", "is_unsupported"}
)


def text(value: Any) -> str | None:
    """A value for a text column: texts as they are, null as null, anything unexpected as JSON rather than lost."""
    if value is None or type(value) is str:
        return value
    return json.dumps(value, ensure_ascii=False)


def count(value: Any) -> int | None:
    """A value for an integer column: null for what is no count."""
    return value if type(value) is int and 0 <= value < 2**63 else None


def people(edge: Any) -> list[dict[str, Any]] | None:
    """The ``{id, name}`` of everybody in a Graph list; Meta's internal e-mail aliases are left out."""
    rows = _rows(edge)
    return (
        None
        if rows is None
        else [{"id": text(p.get("id")), "name": text(_name(p))} for p in rows if isinstance(p, dict)]
    )


def _name(person: dict[str, Any]) -> Any:
    # Messenger people have a name, Instagram people a username.
    return person.get("name") or person.get("username")


def _rows(edge: Any) -> list[Any] | None:
    """The rows of a nested edge; Graph shows some as ``{"data": [...]}``, in places as a bare list or object."""
    if edge is None:
        return None
    if isinstance(edge, dict):
        edge = edge.get("data", edge)
    return edge if isinstance(edge, list) else [edge]


def _without_paging(value: Any) -> Any:
    # Every value of every message passes here: the exact types of parsed JSON are the fastest question to ask.
    kind = type(value)
    if kind is dict:
        return {key: _without_paging(inner) for key, inner in value.items() if key != "paging"}
    if kind is list:
        return [_without_paging(inner) for inner in value]
    return value


def _content_status(node: Mapping[str, Any]) -> str:
    if "is_unsupported" in node and str(node["is_unsupported"]).lower() == "true":
        return _UNSUPPORTED
    return _UNAVAILABLE if _CONTENT.isdisjoint(node) else _AVAILABLE


def message_row(
    node: Mapping[str, Any],
    *,
    platform: str,
    page_id: str,
    conversation_id: str,
    own_ids: frozenset[str],
    created_time: str,
    extracted_time: str,
) -> Row:
    """The row of a Graph message node; fields that it lacks are null, fields unknown here are left out.

    ``own_ids`` are the ids under which the business itself writes: the Page's and its Instagram account's.
    """
    get = node.get
    sender = get("from")
    sender = sender if isinstance(sender, dict) else {}
    sender_id = text(sender.get("id"))
    tags = _rows(get("tags"))
    return {
        "platform": platform,
        "page_id": page_id,
        "conversation_id": conversation_id,
        "message_id": text(node["id"]),
        "created_time": created_time,
        "direction": None if sender_id is None else "outbound" if sender_id in own_ids else "inbound",
        "sender_id": sender_id,
        "sender_name": text(_name(sender)),
        "recipients": people(get("to")),
        "text": text(get("message")),
        "attachments": _without_paging(_rows(get("attachments"))),
        "shares": _without_paging(_rows(get("shares"))),
        "story": _without_paging(get("story")),
        "reactions": _without_paging(_rows(get("reactions"))),
        "reply_to": _without_paging(get("reply_to")),
        "sticker": text(get("sticker")),
        "tags": None if tags is None else [tag.get("name") if isinstance(tag, dict) else tag for tag in tags],
        "content_status": _content_status(node),
        "extracted_time": extracted_time,
    }

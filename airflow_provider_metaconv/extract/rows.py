"""Graph nodes to rows: what a table's row holds, and nothing of Meta's paging, whose links carry the token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_metaconv.records import ContentStatus, Row


def people(edge: Any) -> list[dict[str, Any]] | None:
    """The ``{id, name}`` of everybody in a Graph people list; Meta's internal e-mail aliases are left out."""
    people = listed(edge)
    return None if people is None else [{"id": p.get("id"), "name": _name(p)} for p in people if isinstance(p, Mapping)]


def _name(person: Mapping[str, Any]) -> Any:
    # Messenger people have a name, Instagram people a username.
    return person.get("name") or person.get("username")


def listed(edge: Any) -> list[Any] | None:
    """The rows of a nested edge without its paging, whose ``next`` link carries the token.

    Graph shows some edges as ``{"data": [...]}``, and in places as a bare list or a bare object.
    """
    if edge is None:
        return None
    if isinstance(edge, Mapping):
        edge = edge.get("data", [edge])
    rows = edge if isinstance(edge, list) else [edge]
    return [_without_paging(row) for row in rows]


def _without_paging(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_paging(v) for k, v in value.items() if k != "paging"}
    if isinstance(value, list):
        return [_without_paging(item) for item in value]
    return value


_CONTENT = ("from", "to", "message", "attachments", "shares", "story", "sticker", "reactions", "reply_to")


def _content_status(node: Mapping[str, Any]) -> str:
    if str(node.get("is_unsupported", "")).lower() == "true":
        return ContentStatus.UNSUPPORTED.value
    has_content = any(name in node for name in _CONTENT)
    return (ContentStatus.AVAILABLE if has_content else ContentStatus.UNAVAILABLE).value


def message_row(
    node: Mapping[str, Any],
    *,
    platform: str,
    page_id: str,
    conversation_id: str,
    own_ids: frozenset[str],
    created_time: str,
) -> Row:
    """The row of a Graph message node; fields that it lacks are null, fields unknown here are left out.

    ``own_ids`` are the ids under which the business itself writes: the Page's and its Instagram account's.
    """
    sender = node.get("from")
    sender = sender if isinstance(sender, Mapping) else {}
    sender_id = sender.get("id")
    direction = None if sender_id is None else "outbound" if sender_id in own_ids else "inbound"
    tags = listed(node.get("tags"))
    return {
        "platform": platform,
        "page_id": page_id,
        "conversation_id": conversation_id,
        "message_id": node["id"],
        "created_time": created_time,
        "direction": direction,
        "sender_id": sender_id,
        "sender_name": _name(sender),
        "recipients": people(node.get("to")),
        "text": node.get("message"),
        "attachments": listed(node.get("attachments")),
        "shares": listed(node.get("shares")),
        "story": _without_paging(node.get("story")),
        "reactions": listed(node.get("reactions")),
        "reply_to": _without_paging(node.get("reply_to")),
        "sticker": node.get("sticker"),
        "tags": None if tags is None else [t.get("name") if isinstance(t, Mapping) else t for t in tags],
        "content_status": _content_status(node),
    }

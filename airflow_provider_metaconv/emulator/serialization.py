"""Serialization of conversations and messages: Graph's compact ASCII JSON, one function per field."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any

from .errors import no_such_field
from .models import Message, Thread
from .pagination import (
    MESSAGES_CAP,
    NO_SHAPES,
    Link,
    Shapes,
    Window,
    envelope,
    message_cursor,
    plain_page,
    read_window,
    slice_messages,
    to_base64,
    until_time,
)
from .requests import Field, Selection, parse_fields

_SECONDS = tuple(f"{second:02d}+0000" for second in range(60))
FIRST_ATTACHMENT = to_base64("0")
DEFAULT_MESSAGE_FIELDS = parse_fields("id,created_time")
PEOPLE_FIELDS = frozenset({"id", "name", "email", "username", "user_id"})
ATTACHMENT_FIELDS = frozenset(
    {"id", "mime_type", "name", "size", "image_data", "video_data", "file_url", "generic_template"}
)
SHARE_FIELDS = frozenset({"id", "link", "name", "description", "template"})
CHILDREN: Mapping[str, tuple[str, frozenset[str]]] = {
    "from": ("User", PEOPLE_FIELDS),
    "to": ("User", PEOPLE_FIELDS),
    "attachments": ("MessageAttachment", ATTACHMENT_FIELDS),
    "shares": ("MessageShare", SHARE_FIELDS),
}
CONTENT_FIELDS = frozenset({"attachments", "shares", "story", "reactions", "reply_to", "sticker", "is_unsupported"})
DEFAULT_THREAD_FIELDS = parse_fields("id,updated_time")
SNIPPET_LENGTH = 80
PEOPLE_EDGES = frozenset({"participants", "senders", "former_participants"})


to_json = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
text_to_json = encode_basestring_ascii


def pick(value: Any, selection: Selection) -> Any:
    """Return the selected keys of a value, within lists and ``data`` envelopes; all keys without a selection."""
    if not selection:
        return value
    if isinstance(value, list):
        return [pick(each, selection) for each in value]
    if isinstance(value, Mapping):
        if isinstance(value.get("data"), list):
            return {"data": pick(value["data"], selection)}
        return {each.name: pick(value[each.name], each.children) for each in selection if each.name in value}
    return value


def pick_node(value: Mapping[str, Any], selection: Selection) -> Any:
    """Return the selected keys of a node, and its ID in any case."""
    picked = pick(value, selection)
    return picked if "id" in picked or "id" not in value else {**picked, "id": value["id"]}


@lru_cache(maxsize=65_536)
def _minute(minute_number: int) -> str:
    return datetime.fromtimestamp(minute_number * 60, tz=UTC).strftime("%Y-%m-%dT%H:%M:")


def graph_time(epoch: int) -> str:
    """Return epoch seconds in Graph's format, ``2026-11-20T09:30:39+0000``."""
    # One strftime per message would cost more than the rest of its row, so it is cached per minute.
    minute, second = divmod(epoch, 60)
    return _minute(minute) + _SECONDS[second]


@dataclass(frozen=True)
class Context:
    """What rendering needs of the call: the base URL and token of links, and how rows and pages look."""

    base_url: str
    token: str
    old_rows_have_time: bool = True
    shapes: Shapes = NO_SHAPES


MessageRender = Callable[[Thread, Message, Field, Context], str]


def _people(thread: Thread, part: tuple[str, bool], selection: Selection) -> str:
    """Return the sender or the recipients; ``part`` is ``from`` or ``to``, and whether the Page is the sender."""
    known = thread.rendered.get((part, selection))
    if known is None:
        name, from_page = part
        page = thread.page.person(thread.platform)
        person = page if (name == "from") == from_page else thread.customer
        node = pick_node(person, selection)
        known = to_json(node if name == "from" else {"data": [node]})
        thread.rendered[part, selection] = known
    return known


def _from(thread: Thread, message: Message, field: Field, _: Context) -> str:
    if message.sender is not None:
        return to_json(pick_node(message.sender, field.children))
    return _people(thread, ("from", message.from_page), field.children)


def _to(thread: Thread, message: Message, field: Field, _: Context) -> str:
    return _people(thread, ("to", message.from_page), field.children)


def _tags(thread: Thread, message: Message, _field: Field, _context: Context) -> str:
    if thread.is_instagram:
        return ""
    source = ("chat", "web", "mobile")[message.sequence % 3]
    state = "sent" if message.from_page else "read"
    return f'{{"data":[{{"name":"inbox"}},{{"name":"{state}"}},{{"name":"source:{source}"}}]}}'


def _carried(_: Thread, message: Message, field: Field, _context: Context) -> str:
    if field.name not in message.content:
        return ""
    return to_json(pick(message.content[field.name], field.children))


def _reactions(_: Thread, message: Message, field: Field, _context: Context) -> str:
    rows = message.content.get("reactions")
    return to_json({"data": pick(rows, field.children)}) if rows else ""


def _shares(_: Thread, message: Message, field: Field, _context: Context) -> str:
    rows = message.content.get("shares")
    if not rows:
        return ""
    # Graph returns empty shares unless their sub-fields are requested by name.
    return to_json({"data": pick(rows, field.children) if field.children else [{} for _ in rows]})


def _attachments(_: Thread, message: Message, field: Field, context: Context) -> str:
    rows = message.content.get("attachments")
    if not rows:
        return ""
    if isinstance(rows, Mapping):  # a complete edge, such as one without data
        return to_json(rows)
    parameters = {"fields": field.children_text} if field.children_text else {}
    link = Link(f"{context.base_url}/{message.id}/attachments", context.token, parameters)
    return to_json(attachments_page(rows, field.children, link))


def attachments_page(rows: list[Mapping[str, Any]], selection: Selection, link: Link) -> dict[str, Any]:
    """Return the attachments of one message; ``next`` is present even on the last page."""
    last = to_base64(str(len(rows) - 1))
    cursors = {"before": FIRST_ATTACHMENT, "after": last}
    data = [pick_node(row, selection) for row in rows]
    return {"data": data, "paging": {"cursors": cursors, "next": link.to(25, "after", last)}}


MESSAGE_FIELDS: Mapping[str, MessageRender] = {
    "id": lambda _thread, message, _field, _context: f'"{message.id}"',
    "created_time": lambda _thread, message, _field, _context: f'"{graph_time(message.created_time)}"',
    "from": _from,
    "to": _to,
    "message": lambda _thread, message, _field, _context: text_to_json(message.text),
    "attachments": _attachments,
    "shares": _shares,
    "story": _carried,
    "reactions": _reactions,
    "reply_to": _carried,
    "sticker": _carried,
    "tags": _tags,
    "is_unsupported": _carried,
    "thread_id": lambda thread, *_: f'"{thread.id}"' if thread.is_instagram else "",
}


class MessageWriter:
    """Serializes messages with one selection of fields."""

    def __init__(self, selection: Selection) -> None:
        check_fields(selection, MESSAGE_FIELDS, "UnifiedMessage")
        if not any(each.name == "id" for each in selection):
            selection = (*selection, Field("id"))
        self._parts = [(f'"{each.name}":', MESSAGE_FIELDS[each.name], each) for each in selection]
        # Most messages carry only text, and skip the content fields.
        self._plain_parts = [part for part in self._parts if part[2].name not in CONTENT_FIELDS]
        self._wants_time = any(each.name == "created_time" for each in selection)

    def write(self, thread: Thread, message: Message, context: Context) -> str:
        """Return the JSON of one message, without the fields that have no data."""
        parts = []
        for prefix, render, field in self._parts if message.content else self._plain_parts:
            value = render(thread, message, field, context)
            if value:
                parts.append(prefix + value)
        return "{" + ",".join(parts) + "}"

    def write_light(self, message: Message, context: Context) -> str:
        """Return the JSON of a message whose details Instagram does not return."""
        if self._wants_time and context.old_rows_have_time:
            return f'{{"id":"{message.id}","created_time":"{graph_time(message.created_time)}"}}'
        return f'{{"id":"{message.id}"}}'

    def write_page(self, thread: Thread, start: int, end: int, context: Context) -> list[str]:
        """Return the JSON of the messages ``start`` to ``end`` (excluded) of a thread, newest first."""
        detailed = thread.first_detailed
        return [
            self.write_light(message, context)
            if index < detailed or message.deleted
            else self.write(thread, message, context)
            for index, message in zip(range(end - 1, start - 1, -1), reversed(thread.messages[start:end]), strict=True)
        ]


@lru_cache(maxsize=256)
def message_writer(selection: Selection) -> MessageWriter:
    """Return the writer for a selection; raises (#100) for a field that messages do not have."""
    return MessageWriter(selection or DEFAULT_MESSAGE_FIELDS)


def check_fields(selection: Selection, known: Mapping[str, Any], node_type: str) -> None:
    """Raise (#100) for the first unknown field, or unknown sub-field of people, attachments and shares."""
    for each in selection:
        if each.name not in known:
            raise no_such_field(each.name, node_type)
        child_type, child_fields = CHILDREN.get(each.name, ("", None))
        for child in each.children:
            if child_fields is not None and child.name not in child_fields:
                raise no_such_field(child.name, child_type)


ThreadRender = Callable[[Thread, Field, Context], str]


def messages_edge(thread: Thread, field: Field, window: Window, context: Context, until: str | None = None) -> str:
    """Return one page of a thread's messages, newest first; ``until`` applies only to paging without cursors."""
    writer = message_writer(field.children)
    shape = context.shapes.of("messages", thread.id)
    if shape.by_time:
        window = until_time(window, until)
    part = slice_messages(thread.messages, shape.cut(window))
    rows = writer.write_page(thread, part.start, part.end, context)
    cursors = None
    if rows:
        newest, oldest = thread.messages[part.end - 1], thread.messages[part.start]
        cursors = (message_cursor(newest), message_cursor(oldest))
    parameters = {"fields": field.children_text} if field.children_text else {}
    link = Link(f"{context.base_url}/{thread.id}/messages", context.token, parameters)
    return envelope(rows, cursors, link, part, window, shape)


def _nested_messages(thread: Thread, field: Field, context: Context) -> str:
    return messages_edge(thread, field, read_window(dict(field.arguments), MESSAGES_CAP), context)


def participants_page(thread: Thread, field: Field, parameters: Mapping[str, str], context: Context) -> str:
    """Return one page of a conversation's participants; conversations of two people have no paging."""
    rows = thread.rendered.get(("participants", field.children))
    if rows is None:
        page, customer = thread.page.person(thread.platform), thread.customer
        people = ((page, customer) if thread.is_instagram else (customer, page)) + thread.others
        rows = [to_json(pick_node(each, field.children)) for each in people]
        thread.rendered["participants", field.children] = rows
    if not thread.others:
        return f'{{"data":[{",".join(rows)}]}}'
    repeated = {"fields": field.children_text} if field.children_text else {}
    link = Link(f"{context.base_url}/{thread.id}/participants", context.token, repeated)
    return plain_page(rows, link, parameters)


def _participants(thread: Thread, field: Field, context: Context) -> str:
    return participants_page(thread, field, dict(field.arguments), context)


def _senders(thread: Thread, field: Field, _: Context) -> str:
    return to_json({"data": [pick_node(thread.customer, field.children)]})


def _snippet(thread: Thread) -> str:
    newest = thread.messages[-1] if thread.messages else None
    if newest is None or not newest.text:
        return f"{thread.customer['name']} sent an attachment."
    return newest.text[:SNIPPET_LENGTH]


def _unread_count(thread: Thread) -> str:
    return "1" if thread.messages and not thread.messages[-1].from_page else "0"


def _messenger(render: Callable[[Thread], str]) -> ThreadRender:
    """Return a renderer that omits the field for Instagram threads."""
    return lambda thread, _field, _context: "" if thread.is_instagram else render(thread)


THREAD_FIELDS: Mapping[str, ThreadRender] = {
    "id": lambda thread, _field, _context: f'"{thread.id}"',
    "updated_time": lambda thread, _field, _context: f'"{graph_time(thread.updated_time)}"',
    "message_count": lambda thread, _field, _context: str(len(thread.messages)),
    "is_owner": lambda _thread, _field, _context: "true",
    "messages": _nested_messages,
    "participants": _participants,
    "senders": _senders,
    "former_participants": _messenger(lambda _: '{"data":[]}'),
    "link": _messenger(lambda thread: f'"/{thread.page.id}/inbox/{thread.number + 1}/"'),
    "snippet": _messenger(lambda thread: text_to_json(_snippet(thread))),
    "unread_count": _messenger(_unread_count),
    "can_reply": _messenger(lambda thread: "false" if thread.folder == "spam" else "true"),
    "is_subscribed": _messenger(lambda _: "true"),
    "scoped_thread_key": _messenger(lambda thread: f'"{thread.id}"'),
    "folder": _messenger(lambda thread: f'"{thread.folder}"'),
    # Graph accepts these fields and omits them from every row.
    **dict.fromkeys(("name", "subject", "wallpaper", "linked_group", "tags"), lambda *_: ""),
}


def check_people(field: Field) -> None:
    """Raise (#100) for the first unknown sub-field of people."""
    for child in field.children:
        if child.name not in PEOPLE_FIELDS:
            raise no_such_field(child.name, "User")


class ThreadWriter:
    """Serializes conversations with one selection of fields."""

    def __init__(self, selection: Selection) -> None:
        check_fields(selection, THREAD_FIELDS, "UnifiedThread")
        for each in selection:
            if each.name == "messages":
                message_writer(each.children)
                read_window(dict(each.arguments), MESSAGES_CAP)
            if each.name in PEOPLE_EDGES:
                check_people(each)
        if not any(each.name == "id" for each in selection):
            selection = (*selection, Field("id"))
        self._parts = [(f'"{each.name}":', THREAD_FIELDS[each.name], each) for each in selection]

    def write(self, thread: Thread, context: Context) -> str:
        """Return the JSON of one conversation, without the fields that have no data."""
        values = ((prefix, render(thread, field, context)) for prefix, render, field in self._parts)
        return "{" + ",".join(prefix + value for prefix, value in values if value) + "}"


@lru_cache(maxsize=256)
def thread_writer(selection: Selection) -> ThreadWriter:
    """Return the writer for a selection; raises (#100) for a field that conversations do not have."""
    return ThreadWriter(selection or DEFAULT_THREAD_FIELDS)

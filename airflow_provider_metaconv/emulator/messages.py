"""Messages as Graph renders them: one row per field in `MESSAGE_FIELDS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .errors import no_such_field
from .fields import Field, Selection, parse_fields
from .jsontext import pick, pick_node, text_to_json, to_json
from .model import Message, Thread
from .opaque import to_opaque
from .paging import Link
from .shapes import NO_SHAPES, Shapes
from .times import graph_time

FIRST_ATTACHMENT = to_opaque("0")
DEFAULT_FIELDS = parse_fields("id,created_time")


@dataclass(frozen=True)
class Context:
    """What a row needs to know of the call: where links point, whose token they carry, how rows and pages look."""

    base_url: str
    token: str
    old_rows_have_time: bool = True
    shapes: Shapes = NO_SHAPES


Render = Callable[[Thread, Message, Field, Context], str]
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


def _people(thread: Thread, part: tuple[str, bool], selection: Selection) -> str:
    """Return the sender or the recipients; ``part`` is from or to, and whether the Page wrote."""
    known = thread.rendered.get((part, selection))
    if known is None:
        name, from_page = part
        page = thread.page.person(thread.platform)
        person = page if (name == "from") == from_page else thread.customer
        node = pick_node(person, selection)
        known = to_json(node if name == "from" else {"data": [node]})
        thread.rendered[part, selection] = known
    return known


def _id(_: Thread, message: Message, _field: Field, _context: Context) -> str:
    return f'"{message.id}"'


def _created_time(_: Thread, message: Message, _field: Field, _context: Context) -> str:
    return f'"{graph_time(message.created_time)}"'


def _text(_: Thread, message: Message, _field: Field, _context: Context) -> str:
    return text_to_json(message.text)


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
    # Graph says nothing useful about a share unless its sub-fields are asked for by name.
    return to_json({"data": pick(rows, field.children) if field.children else [{} for _ in rows]})


def _attachments(_: Thread, message: Message, field: Field, context: Context) -> str:
    rows = message.content.get("attachments")
    if not rows:
        return ""
    if isinstance(rows, Mapping):  # an edge as it is, such as one without data
        return to_json(rows)
    parameters = {"fields": field.children_text} if field.children_text else {}
    link = Link(f"{context.base_url}/{message.id}/attachments", context.token, parameters)
    return to_json(attachments_page(rows, field.children, link))


def attachments_page(rows: list[Mapping[str, Any]], selection: Selection, link: Link) -> dict[str, Any]:
    """Return the attachments of one message; ``next`` is there even when there is nothing more."""
    last = to_opaque(str(len(rows) - 1))
    cursors = {"before": FIRST_ATTACHMENT, "after": last}
    data = [pick_node(row, selection) for row in rows]
    return {"data": data, "paging": {"cursors": cursors, "next": link.to(25, "after", last)}}


def _nothing(_: Thread, _message: Message, _field: Field, _context: Context) -> str:
    return ""


MESSAGE_FIELDS: Mapping[str, Render] = {
    "id": _id,
    "created_time": _created_time,
    "from": _from,
    "to": _to,
    "message": _text,
    "attachments": _attachments,
    "shares": _shares,
    "story": _carried,
    "reactions": _reactions,
    "reply_to": _carried,
    "sticker": _carried,
    "tags": _tags,
    "is_unsupported": _carried,
    "thread_id": _nothing,
}
CONTENT_FIELDS = frozenset(
    {"attachments", "shares", "story", "reactions", "reply_to", "sticker", "is_unsupported", "thread_id"}
)


class MessageWriter:
    """Writes messages with one selection of fields."""

    def __init__(self, selection: Selection) -> None:
        check_fields(selection, MESSAGE_FIELDS, "UnifiedMessage")
        if not any(each.name == "id" for each in selection):
            selection = (*selection, Field("id"))
        self._parts = [(f'"{each.name}":', MESSAGE_FIELDS[each.name], each) for each in selection]
        # Most messages carry nothing but text; for them the fields of content need not be tried.
        self._plain_parts = [part for part in self._parts if part[2].name not in CONTENT_FIELDS]
        self._wants_time = any(each.name == "created_time" for each in selection)

    def write(self, thread: Thread, message: Message, context: Context) -> str:
        """Return the JSON of one message; a field without data is left out."""
        parts = []
        for prefix, render, field in self._parts if message.content else self._plain_parts:
            value = render(thread, message, field, context)
            if value:
                parts.append(prefix + value)
        return "{" + ",".join(parts) + "}"

    def write_light(self, message: Message, context: Context) -> str:
        """Return what is left of a message whose details Instagram does not hand over."""
        if self._wants_time and context.old_rows_have_time:
            return f'{{"id":"{message.id}","created_time":"{graph_time(message.created_time)}"}}'
        return f'{{"id":"{message.id}"}}'

    def write_page(self, thread: Thread, start: int, end: int, context: Context) -> list[str]:
        """Return the JSON of the messages between two places of a thread, newest first."""
        detailed = thread.first_detailed
        return [
            self.write_light(message, context)
            if index < detailed or message.deleted
            else self.write(thread, message, context)
            for index, message in zip(range(end - 1, start - 1, -1), reversed(thread.messages[start:end]), strict=True)
        ]


@lru_cache(maxsize=256)
def message_writer(selection: Selection) -> MessageWriter:
    """Return the writer of one selection; raises (#100) for a field that messages do not have."""
    return MessageWriter(selection or DEFAULT_FIELDS)


def check_fields(selection: Selection, known: Mapping[str, Any], node_type: str) -> None:
    """Raise (#100) for the first field, or sub-field of people and attachments, that does not exist."""
    for each in selection:
        if each.name not in known:
            raise no_such_field(each.name, node_type)
        child_type, child_fields = CHILDREN.get(each.name, ("", None))
        for child in each.children:
            if child_fields is not None and child.name not in child_fields:
                raise no_such_field(child.name, child_type)

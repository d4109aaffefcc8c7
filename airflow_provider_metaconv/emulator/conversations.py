"""Conversations as Graph renders them: one row per field in `THREAD_FIELDS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from .errors import no_such_field
from .fields import Field, Selection, parse_fields
from .jsontext import pick_node, text_to_json, to_json
from .messages import PEOPLE_FIELDS, Context, check_fields, message_writer
from .model import Thread
from .paging import (
    MESSAGES_CAP,
    Link,
    Window,
    envelope,
    message_cursor,
    read_window,
    slice_messages,
    until_time,
)
from .short_lists import plain_page
from .times import graph_time

DEFAULT_FIELDS = parse_fields("id,updated_time")
SNIPPET_LENGTH = 80
Render = Callable[[Thread, Field, Context], str]


def messages_edge(thread: Thread, field: Field, window: Window, context: Context, until: str | None = None) -> str:
    """Return one page of a thread's messages with its paging, newest first; ``until`` counts without cursors only."""
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


def _messages(thread: Thread, field: Field, context: Context) -> str:
    return messages_edge(thread, field, read_window(dict(field.arguments), MESSAGES_CAP), context)


def participants_page(thread: Thread, field: Field, parameters: Mapping[str, str], context: Context) -> str:
    """Return one page of the people of a conversation; those of two have no paging."""
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


def _messenger(render: Callable[[Thread], str]) -> Render:
    """Return a field that only Messenger threads have."""
    return lambda thread, _field, _context: "" if thread.is_instagram else render(thread)


def _nothing(_: Thread, _field: Field, _context: Context) -> str:
    return ""


THREAD_FIELDS: Mapping[str, Render] = {
    "id": lambda thread, _field, _context: f'"{thread.id}"',
    "updated_time": lambda thread, _field, _context: f'"{graph_time(thread.updated_time)}"',
    "message_count": lambda thread, _field, _context: str(len(thread.messages)),
    "is_owner": lambda _thread, _field, _context: "true",
    "messages": _messages,
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
    "name": _nothing,
    "subject": _nothing,
    "wallpaper": _nothing,
    "linked_group": _nothing,
    "tags": _nothing,
}
PEOPLE_EDGES = frozenset({"participants", "senders", "former_participants"})


def check_people(field: Field) -> None:
    """Raise (#100) for the first sub-field that people do not have."""
    for child in field.children:
        if child.name not in PEOPLE_FIELDS:
            raise no_such_field(child.name, "User")


class ThreadWriter:
    """Writes conversations with one selection of fields."""

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
        """Return the JSON of one conversation; a field without data is left out."""
        values = ((prefix, render(thread, field, context)) for prefix, render, field in self._parts)
        return "{" + ",".join(prefix + value for prefix, value in values if value) + "}"


@lru_cache(maxsize=256)
def thread_writer(selection: Selection) -> ThreadWriter:
    """Return the writer of one selection; raises (#100) for a field that conversations do not have."""
    return ThreadWriter(selection or DEFAULT_FIELDS)

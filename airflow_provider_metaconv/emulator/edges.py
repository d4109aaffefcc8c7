"""The Graph routes: one function per route, a `Call` and its `Reader` in, the JSON text of the answer out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .calls import Call
from .conversations import check_people, messages_edge, participants_page, thread_writer
from .errors import MESSAGE_GONE, GraphError, error_body, invalid_parameter, known_error
from .fields import Field, Selection, parse_fields
from .jsontext import to_json
from .listing import conversation_page
from .messages import ATTACHMENT_FIELDS, Context, attachments_page, check_fields, message_writer
from .opaque import from_opaque
from .paging import (
    MESSAGES_CAP,
    Link,
    envelope,
    read_window,
    thread_cursor,
)
from .tokens import Token, page_only, permitted
from .world import World


@dataclass(frozen=True)
class Reader:
    """Who reads what: the world, the caller's token, and what rows and pages look like."""

    world: World
    token: Token
    context: Context


def conversations(call: Call, reader: Reader) -> str:
    """Return one page of a Page's conversations, newest ``updated_time`` first."""
    page_id = _own_page(call, reader)
    writer = thread_writer(_selection(call))
    shape = reader.context.shapes.of("conversations")
    page = conversation_page(call, reader.world, shape)
    rows = [writer.write(thread, reader.context) for thread in page.threads]
    cursors = (thread_cursor(page.threads[0]), thread_cursor(page.threads[-1])) if page.threads else None
    repeated = ("platform", "folder", "user_id", "fields")
    parameters = {name: call.parameters[name] for name in repeated if name in call.parameters}
    link = Link(f"{call.base_url}/{page_id}/conversations", reader.token.value, parameters)
    return envelope(rows, cursors, link, page.part, page.window, shape)


def conversation(call: Call, reader: Reader) -> str:
    """Return one conversation."""
    _own_page(call, reader)
    writer = thread_writer(_selection(call))
    return writer.write(reader.world.threads[call.object_id], reader.context)


def messages(call: Call, reader: Reader) -> str:
    """Return one page of a conversation's messages, newest first."""
    _own_page(call, reader)
    field = Field("messages", (), _selection(call), call.parameters.get("fields", ""))
    message_writer(field.children)
    window = read_window(call.parameters, MESSAGES_CAP)
    thread = reader.world.threads[call.object_id]
    return messages_edge(thread, field, window, reader.context, call.parameters.get("until"))


def message(call: Call, reader: Reader) -> str:
    """Return one message; 9000001 for one whose details are gone."""
    _own_page(call, reader)
    thread, found = reader.world.messages[call.object_id]
    writer = message_writer(_selection(call))
    if found.deleted or thread.place(found) < thread.first_detailed:
        raise GraphError(400, error_body(9000001, MESSAGE_GONE))
    return writer.write(thread, found, reader.context)


def attachments(call: Call, reader: Reader) -> str:
    """Return the attachments of one message; behind the last one there is an empty page."""
    _own_page(call, reader)
    found = reader.world.messages[call.object_id][1]
    selection = _selection(call)
    if isinstance(found.content.get("attachments"), Mapping):
        return to_json(found.content["attachments"])
    check_fields(selection, dict.fromkeys(ATTACHMENT_FIELDS), "MessageAttachment")
    rows = list(found.content.get("attachments", ()))
    after = call.parameters.get("after")
    if after is not None:
        try:
            rows = rows[int(from_opaque(after)) + 1 :]
        except ValueError:
            raise invalid_parameter("Invalid cursors values") from None
    if not rows:
        return '{"data":[]}'
    parameters = {name: call.parameters[name] for name in ("fields",) if name in call.parameters}
    link = Link(f"{call.base_url}/{call.object_id}/attachments", reader.token.value, parameters)
    return to_json(attachments_page(rows, selection, link))


def participants(call: Call, reader: Reader) -> str:
    """Return one page of the people of a conversation."""
    _own_page(call, reader)
    field = Field("participants", (), _selection(call), call.parameters.get("fields", ""))
    check_people(field)
    return participants_page(reader.world.threads[call.object_id], field, call.parameters, reader.context)


def _own_page(call: Call, reader: Reader) -> str:
    error = page_only(reader.token, call.page_id or "")
    error = error or permitted(reader.token, call.platform)
    if error is not None:
        raise error
    if call.page_id is None:
        raise known_error("190/page_token")
    return call.page_id


def _selection(call: Call) -> Selection:
    text = call.parameters.get("fields", "")
    return parse_fields(text) if text.strip() else ()

"""The Graph routes: one function per route, a `Call` and its `Reader` in, the JSON text of the answer out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .calls import Call
from .conversations import messages_edge, thread_writer
from .errors import MESSAGE_GONE, GraphError, error_body, invalid_parameter, known_error
from .faults import Reading
from .fields import Field, Selection, parse_fields
from .jsontext import to_json
from .messages import ATTACHMENT_FIELDS, Context, attachments_page, check_fields, message_writer
from .model import FOLDERS, INSTAGRAM, Thread
from .opaque import from_opaque, to_opaque
from .paging import (
    CONVERSATIONS_CAP,
    MESSAGES_CAP,
    Link,
    Slice,
    Window,
    envelope,
    read_window,
    slice_threads,
    thread_cursor,
)
from .tokens import Token, page_only, permitted
from .world import World


@dataclass(frozen=True)
class Reader:
    """Who reads what: the world, the caller's token, and the rules that may refuse a reading."""

    world: World
    token: Token
    refuse: Callable[[Reading], None]
    context: Context


def conversations(call: Call, reader: Reader) -> str:
    """Return one page of a Page's conversations, newest ``updated_time`` first."""
    page_id = _own_page(call, reader)
    if call.platform is None:
        raise invalid_parameter("Param platform must be one of {MESSENGER, INSTAGRAM}")
    selection = _selection(call)
    writer = thread_writer(selection)
    window = read_window(call.parameters, CONVERSATIONS_CAP)
    threads = _listed(call, page_id, call.platform, reader.world)
    part = slice_threads(threads, window)
    chosen = threads[part.start : part.end][::-1]
    identifiers = tuple(thread.id for thread in chosen)
    reader.refuse(Reading(identifiers, window.limit, _nested_limit(selection), is_list=True))
    rows = [writer.write(thread, reader.context) for thread in chosen]
    cursors = (thread_cursor(chosen[0]), thread_cursor(chosen[-1])) if chosen else None
    repeated = ("platform", "folder", "user_id", "fields")
    parameters = {name: call.parameters[name] for name in repeated if name in call.parameters}
    link = Link(f"{call.base_url}/{page_id}/conversations", reader.token.value, parameters)
    return envelope(rows, cursors, link, part, window.limit)


def _listed(call: Call, page_id: str, platform: str, world: World) -> list[Thread]:
    user_id = call.parameters.get("user_id")
    if user_id is not None:
        thread = world.conversation_with(page_id, platform, user_id)
        return [] if thread is None else [thread]
    folder = call.parameters.get("folder", "inbox").lower()
    if platform != INSTAGRAM and folder not in FOLDERS:
        raise invalid_parameter(f"Param folder must be one of {{{', '.join(FOLDERS)}}}")
    return world.conversations(page_id, platform, folder)


def conversation(call: Call, reader: Reader) -> str:
    """Return one conversation."""
    _own_page(call, reader)
    selection = _selection(call)
    writer = thread_writer(selection)
    reader.refuse(Reading((call.object_id,), 1, _nested_limit(selection), is_list=False))
    return writer.write(reader.world.threads[call.object_id], reader.context)


def messages(call: Call, reader: Reader) -> str:
    """Return one page of a conversation's messages, newest first."""
    _own_page(call, reader)
    field = Field("messages", (), _selection(call), call.parameters.get("fields", ""))
    message_writer(field.children)
    window = read_window(call.parameters, MESSAGES_CAP)
    reader.refuse(Reading((call.object_id,), window.limit, None, is_list=False))
    return messages_edge(reader.world.threads[call.object_id], field, window, reader.context)


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


def _nested_limit(selection: Selection) -> int | None:
    for each in selection:
        if each.name == "messages":
            return read_window(dict(each.arguments), MESSAGES_CAP).limit
    return None


def plain_page(rows: list[str], link: Link, parameters: Mapping[str, str]) -> str:
    """Return one page of a short list whose cursors are plain numbers, such as ``/me/accounts``."""
    window = read_window(parameters, CONVERSATIONS_CAP)
    start = _start(window)
    end = min(len(rows), start + window.limit)
    part = Slice(start, end, end < len(rows), earlier=start > 0)
    cursors = (to_opaque(str(start)), to_opaque(str(end))) if rows[start:end] else None
    return envelope(rows[start:end], cursors, link, part, window.limit)


def _start(window: Window) -> int:
    try:
        if window.after is not None:
            return int(from_opaque(window.after))
        return 0 if window.before is None else max(0, int(from_opaque(window.before)) - window.limit)
    except ValueError:
        raise invalid_parameter("Invalid cursors values") from None

"""What a call asks for and would read, worked out only as far as a fault wants to know."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from .calls import Call
from .errors import GraphError
from .fields import Selection, parse_fields
from .listing import conversation_page
from .model import MESSENGER, Thread
from .paging import DEFAULT_LIMIT, MESSAGES_CAP, read_window, slice_messages
from .shapes import Shapes
from .world import World

READING_ROUTES = frozenset({"conversations", "conversation", "messages"})
LIGHT_FIELDS = frozenset({"id", "created_time"})
NODE_TYPES = {
    "conversations": "UnifiedThread",
    "conversation": "UnifiedThread",
    "messages": "UnifiedMessage",
    "message": "UnifiedMessage",
    "participants": "User",
    "senders": "User",
    "from": "User",
    "to": "User",
    "attachments": "MessageAttachment",
    "shares": "MessageShare",
}


class Reading:
    """What one call is about; a malformed part of the call counts as nothing, the ordinary answer refuses it."""

    def __init__(self, call: Call, world: World, shapes: Shapes) -> None:
        self._call = call
        self._world = world
        self._shapes = shapes

    @property
    def is_reading(self) -> bool:
        """Whether conversations or messages are read at all."""
        return self._call.route in READING_ROUTES

    @property
    def is_list(self) -> bool:
        """Whether it is a page of the list of conversations."""
        return self._call.route == "conversations"

    @property
    def folder(self) -> str | None:
        """The Messenger folder of a list, None for anything else."""
        if not self.is_list or self._call.platform != MESSENGER:
            return None
        return self._call.parameters.get("folder", "inbox").lower()

    @property
    def limit(self) -> int:
        """The rows asked for, as they were asked for; 1 for what is no list."""
        if self._call.route == "conversation":
            return 1
        return _number(self._call.parameters.get("limit"))

    @cached_property
    def selection(self) -> Selection:
        """The fields asked for."""
        text = self._call.parameters.get("fields", "")
        try:
            return parse_fields(text) if text.strip() else ()
        except GraphError:
            return ()

    @cached_property
    def nested_limit(self) -> int | None:
        """The nested messages asked for, None where none are."""
        for each in self.selection:
            if each.name == "messages" and self._call.route != "messages":
                return _number(dict(each.arguments).get("limit"))
        return None

    def node_with(self, field: str) -> str | None:
        """Return the type of node that a field is asked of, None when nobody asks for it."""
        return next((node for name, node in _named(self.selection, self._call.route) if name == field), None)

    @cached_property
    def threads(self) -> list[Thread]:
        """The conversations of the answer."""
        if not self.is_list:
            thread = self._world.threads.get(self._call.object_id)
            return [] if thread is None else [thread]
        try:
            return conversation_page(self._call, self._world, self._shapes.of("conversations")).threads
        except GraphError:
            return []

    def contains(self, thread_id: str, reaches: frozenset[str]) -> bool:
        """Whether the answer is about a conversation, where such a thing is felt."""
        if not self._is_felt(reaches):
            return False
        if self.is_list:
            return any(thread.id == thread_id for thread in self.threads)
        if self._call.object_id == thread_id:
            return True
        found = self._world.messages.get(self._call.object_id)
        return found is not None and found[0].id == thread_id

    def has_old_messages(self, reaches: frozenset[str], *, ids_too: bool) -> bool:
        """Whether the answer holds messages of which the platform gives no details, and details are asked for."""
        if not self.is_reading or not self._is_felt(reaches):
            return False
        nested = next((each for each in self.selection if each.name == "messages"), None)
        own = self._call.route == "messages"
        if not own and nested is None:
            return False
        asked = self.selection if own or nested is None else nested.children
        if not ids_too and {each.name for each in asked} <= LIGHT_FIELDS:
            return False
        arguments = self._call.parameters if own or nested is None else dict(nested.arguments)
        try:
            window = read_window(arguments, MESSAGES_CAP)
            return any(
                slice_messages(thread.messages, self._shapes.of("messages", thread.id).cut(window)).start
                < thread.first_detailed
                for thread in self.threads
            )
        except GraphError:
            return False

    def _is_felt(self, reaches: frozenset[str]) -> bool:
        if not self.is_list:
            return "alone" in reaches
        return "lists" in reaches or ("nested_lists" in reaches and self.nested_limit is not None)


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else DEFAULT_LIMIT


def _named(selection: Selection, parent: str) -> Iterator[tuple[str, str]]:
    for each in selection:
        yield each.name, NODE_TYPES.get(parent, "Page")
        yield from _named(each.children, each.name)

"""Graph calls: the route and parameters of a request, its field list, and the data it would read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from .errors import GraphError, error_body, invalid_parameter, no_such_object, unknown_path
from .models import FOLDERS, INSTAGRAM, MESSENGER, PLATFORMS, Thread, World
from .pagination import (
    CONVERSATIONS_CAP,
    DEFAULT_LIMIT,
    MESSAGES_CAP,
    PageShape,
    Shapes,
    Slice,
    Window,
    read_window,
    slice_messages,
    slice_threads,
)
from .tokens import SYSTEM_USER_ID, USER_ID

NEWEST_VERSION = 26
OLDEST_VERSION = 20
CONVERSATION_ROUTES = frozenset({"conversations", "conversation", "messages", "participants", "message", "attachments"})
_VERSION_LIKE = re.compile(r"v?\d+\.\d+")
_VERSION = re.compile(r"v(\d+)\.0")
_TOKEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*|[{},.])\s*")
_ARGUMENT = re.compile(r"\(\s*([^()]*?)\s*\)")
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


@dataclass(frozen=True)
class Call:
    """A Graph call; ``page_id`` is the Page whose data it requests, None for calls about the caller."""

    route: str
    object_id: str
    page_id: str | None
    platform: str | None
    parameters: Mapping[str, str]
    target: str
    version: str
    base_url: str
    token: str | None

    @property
    def is_conversation_api(self) -> bool:
        """Whether the call counts against the limits of the Conversations API."""
        return self.route in CONVERSATION_ROUTES


@dataclass(frozen=True)
class Request:
    """A request as it came in over HTTP; ``target`` is its path and query, ``origin`` its scheme and host."""

    path: str
    target: str
    parameters: Mapping[str, str]
    token: str | None
    origin: str


def read_call(request: Request, world: World, token_page_id: str | None) -> Call:
    """Return the call that a request makes; raises 2500 for an unknown path and 100/33 for an unknown object."""
    version, segments = _split(request.path)
    if not segments or len(segments) > 2:
        raise unknown_path(request.path)
    object_id, edge = segments[0], segments[1] if len(segments) == 2 else None
    parameters = request.parameters

    def call(route: str, page_id: str | None, platform: str | None) -> Call:
        base_url = f"{request.origin}/{version}"
        return Call(route, object_id, page_id, platform, parameters, request.target, version, base_url, request.token)

    if object_id == "me" and token_page_id is not None and edge not in ("accounts", "permissions"):
        object_id = token_page_id
    if object_id in ("debug_token", "app") and edge is None:
        return call(object_id, None, None)
    if object_id in ("me", USER_ID, SYSTEM_USER_ID) and edge in (None, "accounts", "permissions"):
        return call(edge or "me", None, None)
    if object_id in world.pages and edge in (None, "conversations"):
        return call(edge or "page", object_id, _platform(parameters) if edge else None)
    if object_id in world.threads and edge in (None, "messages", "participants"):
        thread = world.threads[object_id]
        return call(edge or "conversation", thread.page.id, thread.platform)
    if object_id in world.messages and edge in (None, "attachments"):
        thread = world.messages[object_id][0]
        return call(edge or "message", thread.page.id, thread.platform)
    if object_id == "me" and edge == "conversations":
        return call("conversations", None, _platform(parameters))
    raise no_such_object(object_id)


def _split(path: str) -> tuple[str, list[str]]:
    segments = [segment for segment in path.split("/") if segment]
    if not segments or not _VERSION_LIKE.fullmatch(segments[0]):
        return f"v{NEWEST_VERSION}.0", segments
    match = _VERSION.fullmatch(segments[0])
    if match is None or not OLDEST_VERSION <= int(match[1]) <= NEWEST_VERSION:
        raise unknown_path("/" + "/".join(segments[1:] or segments))
    return segments[0], segments[1:]


def _platform(parameters: Mapping[str, str]) -> str | None:
    """Return the requested platform, None for an unknown one, which is rejected only after the token check."""
    name = parameters.get("platform", MESSENGER).upper()
    return name if name in PLATFORMS else None


@dataclass(frozen=True)
class Field:
    """One requested field with its arguments and sub-fields; ``children_text`` is the sub-fields as written."""

    name: str
    arguments: tuple[tuple[str, str], ...] = ()
    children: tuple[Field, ...] = ()
    children_text: str = field(default="", compare=False)

    def __hash__(self) -> int:
        # Selections are looked up for every thread, and hashing the children each time would be slow.
        return hash((self.name, self.children_text))


Selection = tuple[Field, ...]


@lru_cache(maxsize=1024)
def parse_fields(text: str) -> Selection:
    """Parse a ``fields=`` value; like Graph, raises 2500 for a malformed one."""
    return _Parser(text).whole()


class _Parser:
    """A recursive descent parser for one field list."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def whole(self) -> Selection:
        selection = self._list()
        if self._position < len(self._text):
            raise self._error(f"Expected end of string instead of '{self._text[self._position]}'.")
        return selection

    def _list(self) -> Selection:
        items = {}
        while True:
            item = self._item()
            items[item.name] = item  # of a repeated field the last one wins
            if not self._accept(","):
                return tuple(items.values())

    def _item(self) -> Field:
        name = self._name()
        arguments = []
        while self._accept("."):
            arguments.append(self._argument())
        start = self._position
        if not self._accept("{"):
            return Field(name, tuple(arguments))
        children = self._list()
        if not self._accept("}"):
            raise self._error("Expected '}'.")
        text = self._text[start : self._position].strip()[1:-1].strip()
        return Field(name, tuple(arguments), children, text)

    def _argument(self) -> tuple[str, str]:
        name = self._name()
        match = _ARGUMENT.match(self._text, self._position)
        if match is None:
            raise self._error("Expected '('.")
        self._position = match.end()
        return name, match[1]

    def _name(self) -> str:
        match = _TOKEN.match(self._text, self._position)
        if match is None or match[1] in "{},.":
            raise self._error("Expected name.")
        self._position = match.end()
        return match[1]

    def _accept(self, symbol: str) -> bool:
        match = _TOKEN.match(self._text, self._position)
        if match is None or match[1] != symbol:
            return False
        self._position = match.end()
        return True

    def _error(self, expected: str) -> GraphError:
        message = f'Syntax error "{expected}" at character {self._position}: {self._text}'
        return GraphError(400, error_body(2500, message))


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """One page of a list of conversations: the requested window, the part of the list, its threads newest first."""

    window: Window
    part: Slice
    threads: list[Thread]


def conversation_page(call: Call, world: World, shape: PageShape) -> ConversationPage:
    """Return the page that a call requests; raises (#100) for a bad platform, folder, limit or cursor."""
    if call.platform is None or call.page_id is None:
        raise invalid_parameter("Param platform must be one of {MESSENGER, INSTAGRAM}")
    window = read_window(call.parameters, CONVERSATIONS_CAP)
    threads = _listed(call, call.page_id, call.platform, world)
    part = slice_threads(threads, shape.cut(window))
    return ConversationPage(window, part, threads[part.start : part.end][::-1])


def _listed(call: Call, page_id: str, platform: str, world: World) -> list[Thread]:
    user_id = call.parameters.get("user_id")
    if user_id is not None:
        thread = world.conversation_with(page_id, platform, user_id)
        return [] if thread is None else [thread]
    folder = call.parameters.get("folder", "inbox").lower()
    if platform != INSTAGRAM and folder not in FOLDERS:
        raise invalid_parameter(f"Param folder must be one of {{{', '.join(FOLDERS)}}}")
    return world.conversations(page_id, platform, folder)


class Reading:
    """The data that a call requests and would read. Malformed parameters count as absent; handlers reject them."""

    def __init__(self, call: Call, world: World, shapes: Shapes) -> None:
        self._call = call
        self._world = world
        self._shapes = shapes

    @property
    def is_reading(self) -> bool:
        """Whether the call reads conversations or messages."""
        return self._call.route in READING_ROUTES

    @property
    def is_list(self) -> bool:
        """Whether the call reads a list of conversations."""
        return self._call.route == "conversations"

    @property
    def folder(self) -> str | None:
        """The Messenger folder of a list; None for any other call."""
        if not self.is_list or self._call.platform != MESSENGER:
            return None
        return self._call.parameters.get("folder", "inbox").lower()

    @property
    def limit(self) -> int:
        """The requested number of rows, uncapped; 1 for a single conversation."""
        if self._call.route == "conversation":
            return 1
        return _number(self._call.parameters.get("limit"))

    @cached_property
    def selection(self) -> Selection:
        """The requested fields."""
        text = self._call.parameters.get("fields", "")
        try:
            return parse_fields(text) if text.strip() else ()
        except GraphError:
            return ()

    @cached_property
    def nested_limit(self) -> int | None:
        """The requested number of nested messages, None without nested messages."""
        for each in self.selection:
            if each.name == "messages" and self._call.route != "messages":
                return _number(dict(each.arguments).get("limit"))
        return None

    def node_with(self, field: str) -> str | None:
        """Return the node type on which a field is requested, None if it is not requested."""
        return next((node for name, node in _named(self.selection, self._call.route) if name == field), None)

    @cached_property
    def threads(self) -> list[Thread]:
        """The conversations in the response."""
        if not self.is_list:
            thread = self._world.threads.get(self._call.object_id)
            return [] if thread is None else [thread]
        try:
            return conversation_page(self._call, self._world, self._shapes.of("conversations")).threads
        except GraphError:
            return []

    def contains(self, thread_id: str, reaches: frozenset[str]) -> bool:
        """Whether the response contains a conversation and the call is of a kind listed in ``reaches``."""
        if not self._is_felt(reaches):
            return False
        if self.is_list:
            return any(thread.id == thread_id for thread in self.threads)
        if self._call.object_id == thread_id:
            return True
        found = self._world.messages.get(self._call.object_id)
        return found is not None and found[0].id == thread_id

    def has_old_messages(self, reaches: frozenset[str], *, ids_too: bool) -> bool:
        """Whether details are requested of messages for which Instagram has none; with ``ids_too``, any field."""
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

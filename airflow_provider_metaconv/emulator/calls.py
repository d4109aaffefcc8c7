"""One Graph call as the emulator understands it: which route, whose data, which parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import no_such_object, unknown_path
from .model import MESSENGER, PLATFORMS
from .tokens import SYSTEM_USER_ID, USER_ID
from .world import World

NEWEST_VERSION = 26
OLDEST_VERSION = 20
CONVERSATION_ROUTES = frozenset({"conversations", "conversation", "messages", "participants", "message", "attachments"})
_VERSION_LIKE = re.compile(r"v?\d+\.\d+")
_VERSION = re.compile(r"v(\d+)\.0")


@dataclass(frozen=True)
class Call:
    """A Graph call; ``page_id`` is the Page whose data it asks for, None for calls about the caller."""

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
    """What came in over HTTP."""

    path: str
    target: str
    parameters: Mapping[str, str]
    token: str | None
    origin: str


def read_call(request: Request, world: World, token_page_id: str | None) -> Call:
    """Return the call a request makes; raises 2500 for a path and 100/33 for an object that does not exist."""
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
    """Return the platform asked for; an unknown one is refused later, after the token."""
    name = parameters.get("platform", MESSENGER).upper()
    return name if name in PLATFORMS else None

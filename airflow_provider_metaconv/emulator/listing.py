"""Which conversations one page of a Page's list shows."""

from __future__ import annotations

from dataclasses import dataclass

from .calls import Call
from .errors import invalid_parameter
from .model import FOLDERS, INSTAGRAM, Thread
from .paging import CONVERSATIONS_CAP, PageShape, Slice, Window, read_window, slice_threads
from .world import World


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """One page of the list: what was asked for, which part of the list it is, the threads newest first."""

    window: Window
    part: Slice
    threads: list[Thread]


def conversation_page(call: Call, world: World, shape: PageShape) -> ConversationPage:
    """Return the page a list call shows; raises (#100) for a bad platform, folder, limit or cursor."""
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

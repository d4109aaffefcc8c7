"""What there really is to read, so that a client's result can be compared with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from math import ceil

from .model import FOLDERS, PLATFORMS, Thread
from .times import to_exact_epoch
from .world import World

Bound = datetime | str | float | None
ALL_FOLDERS = "all"


@dataclass(frozen=True)
class Truth:
    """The messages of one window that a complete walk finds now.

    ``messages`` counts every listed message; ``unavailable`` those of them whose details Instagram does not hand
    over; ``conversations`` the threads with at least one message of the window.
    """

    page_id: str
    platform: str
    conversations: int
    messages: int
    unavailable: int
    message_ids: frozenset[str]
    unavailable_ids: frozenset[str]


def truth(
    world: World, page_id: str, platform: str, since: Bound = None, until: Bound = None, folder: str = "inbox"
) -> Truth:
    """Return what there is with ``since <= created_time < until``; ``folder="all"`` looks into every folder."""
    platform = platform.upper()
    if page_id not in world.pages or platform not in PLATFORMS or folder not in (*FOLDERS, ALL_FOLDERS):
        raise ValueError(f"there is no Page {page_id} with platform {platform} and folder {folder}")
    message_ids: set[str] = set()
    unavailable: set[str] = set()
    conversations = 0
    with world.lock:
        for thread in _threads(world, page_id, platform, folder):
            found = list(_window(thread, since, until))
            conversations += bool(found)
            message_ids.update(identifier for identifier, _ in found)
            unavailable.update(identifier for identifier, is_there in found if not is_there)
    return Truth(
        page_id,
        platform,
        conversations,
        len(message_ids),
        len(unavailable),
        frozenset(message_ids),
        frozenset(unavailable),
    )


def _threads(world: World, page_id: str, platform: str, folder: str) -> list[Thread]:
    if folder == ALL_FOLDERS:
        return world.all_conversations(page_id, platform)
    return world.conversations(page_id, platform, folder)


def _window(thread: Thread, since: Bound, until: Bound) -> Iterator[tuple[str, bool]]:
    """Yield each message id of the window and whether its details are handed over."""
    # Messages have whole seconds, so a bound within a second means the next one.
    start = 0 if since is None else thread.older_than((ceil(to_exact_epoch(since)), -1))
    end = len(thread.messages) if until is None else thread.older_than((ceil(to_exact_epoch(until)), -1))
    for index in range(start, end):
        message = thread.messages[index]
        yield message.id, index >= thread.first_detailed and not message.deleted

"""Messages that arrive while somebody reads: each moves its thread to the top of the list."""

from __future__ import annotations

from datetime import datetime
from random import Random

from .generate import Author, make_thread, seeded
from .model import PLATFORMS, Page, Thread
from .times import to_epoch
from .world import World

FROM_PAGE_SHARE = 0.4


def arrive(
    world: World,
    messages: int,
    seed: int,
    created_time: datetime | str | float | None,
    page_id: str | None,
    platform: str | None,
    new_thread_share: float,
) -> list[str]:
    """Add messages to the world and return their ids; see `World.arrive`."""
    pages, platforms = _choices(world, page_id, platform)
    random = seeded("arrivals", seed)
    author = Author(random)
    moment = world.now + 1 if created_time is None else to_epoch(created_time)
    identifiers = []
    for _ in range(messages):
        page, chosen = random.choice(pages), random.choice(platforms)
        thread, is_new = _thread(world, random, page, chosen, new_thread_share)
        from_page = not is_new and random.random() < FROM_PAGE_SHARE
        message = author.write(thread, moment, from_page=from_page)
        if is_new:
            thread.add(message)
            world.add_thread(thread)
        else:
            world.add_message(thread, message)
        world.now = max(world.now, moment)
        identifiers.append(message.id)
        moment += random.randint(0, 1)
    return identifiers


def _choices(world: World, page_id: str | None, platform: str | None) -> tuple[list[Page], tuple[str, ...]]:
    if page_id is not None and page_id not in world.pages:
        raise ValueError(f"there is no Page {page_id}")
    if platform is not None and platform.upper() not in PLATFORMS:
        raise ValueError(f"there is no platform {platform}")
    pages = list(world.pages.values()) if page_id is None else [world.pages[page_id]]
    return pages, PLATFORMS if platform is None else (platform.upper(),)


def _thread(world: World, random: Random, page: Page, platform: str, new_thread_share: float) -> tuple[Thread, bool]:
    known = world.conversations(page.id, platform)
    if known and random.random() >= new_thread_share:
        return random.choice(known), False
    number = len(world.all_conversations(page.id, platform))
    thread = make_thread(random, page, platform, number)
    while thread.id in world.threads:  # hand-made worlds choose their own ids
        number += 1
        thread = make_thread(random, page, platform, number)
    thread.folder = "inbox"
    return thread, True

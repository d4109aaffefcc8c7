"""Generation of a world from a seed: who writes what to which Page, and when."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from .attachments import INSTAGRAM_KINDS, MESSENGER_KINDS, Content, Origin
from .model import INSTAGRAM, MESSENGER, NOTHING, PLATFORMS, Message, Page, Thread, message_id, thread_id
from .rhythm import Window, message_times
from .settings import WorldSettings
from .sizes import shares, thread_sizes
from .texts import HUGE_TEXT, ODD_TEXTS, PAGE_NAMES, USERNAMES, ordinary_text, person_name
from .world import World

CONTENT_SHARE = 0.16
ODD_SHARE = 0.03
DELETED_SHARE = 0.004
TIED_SHARE = 0.04
HUGE_EVERY, HUGE_FIRST = 17_011, 701
OTHER_FOLDERS = ("page_done", "spam", "other")
PLATFORM_WEIGHTS = (0.62, 0.38)


def seeded(*seed: object) -> Random:
    """Return a source of repeatable choices; nothing here is a secret."""
    return Random(":".join(map(str, seed)))  # noqa: S311


def generate(settings: WorldSettings) -> World:
    """Return the world of these settings; it has exactly the number of messages asked for."""
    now = int(settings.now.timestamp())
    random = seeded("world", settings.seed)
    pages = [make_page(number) for number in range(settings.pages)]
    author = Author(random, settings.odd_texts, settings.contents)
    window = Window(now - int(settings.days * 86_400), now)
    threads = []
    page_weights = [1 / (1 + 0.6 * number) for number in range(settings.pages)]
    for page, page_messages in zip(pages, shares(settings.messages, page_weights), strict=True):
        counts = shares(page_messages, PLATFORM_WEIGHTS)
        for platform, count in zip(PLATFORMS, counts, strict=True):
            threads += _threads(author, page, platform, count, window)
    return World.from_threads(pages, threads, now)


def make_page(number: int, page_id: str | None = None, name: str | None = None) -> Page:
    """Return the n-th Page of a world, with its Instagram account."""
    page_id = page_id or str(100 + number)
    name = name or PAGE_NAMES[number % len(PAGE_NAMES)] + ("" if number < len(PAGE_NAMES) else f" {number}")
    instagram_id = f"1784140{int(page_id) if page_id.isdigit() else number:010d}"
    return Page(page_id, name, instagram_id, f"emulated_shop_{page_id}")


def make_customer(random: Random, page: Page, platform: str, number: int) -> dict[str, str]:
    """Return the n-th customer of a Page, as the platform shows people."""
    scope = sum(map(ord, page.id)) % 900
    if platform == INSTAGRAM:
        username = f"{random.choice(USERNAMES)}.{number}"
        return {"username": username, "id": str(5_200_000_000_000_000 + scope * 10**10 + number)}
    customer_id = str(7_100_000_000_000_000 + scope * 10**10 + number)
    return {"name": person_name(random), "email": f"{customer_id}@facebook.com", "id": customer_id}


@dataclass
class Author:
    """Writes messages; odd texts and contents take turns, so that each of them occurs."""

    random: Random
    odd_texts: bool = True
    contents: bool = True
    written: int = 0
    _odd: Iterator[str] = field(default_factory=lambda: itertools.cycle(ODD_TEXTS))
    _kinds: dict[str, Iterator[str]] = field(
        default_factory=lambda: {
            MESSENGER: itertools.cycle(MESSENGER_KINDS),
            INSTAGRAM: itertools.cycle(INSTAGRAM_KINDS),
        }
    )

    def write(self, thread: Thread, created_time: int, *, from_page: bool) -> Message:
        """Return the thread's next message, without adding it."""
        self.written += 1
        sequence = thread.next_sequence
        text = self._text(from_page=from_page)
        content = self._content(thread, sequence)
        deleted = thread.is_instagram and self.random.random() < DELETED_SHARE
        if "message" in content:
            text = ""
        identifier = message_id(thread, sequence)
        return Message(identifier, created_time, sequence, from_page, text, content, deleted)

    def _text(self, *, from_page: bool) -> str:
        if self.odd_texts and self.written % HUGE_EVERY == HUGE_FIRST:
            return HUGE_TEXT
        if self.odd_texts and self.random.random() < ODD_SHARE:
            return next(self._odd)
        return ordinary_text(self.random, from_page=from_page)

    def _content(self, thread: Thread, sequence: int) -> Content:
        # Every 100 kB text stands in a message without content, so that it is not emptied.
        if not self.contents or self.written % HUGE_EVERY == HUGE_FIRST:
            return NOTHING
        if self.random.random() >= CONTENT_SHARE:
            return NOTHING
        kinds = INSTAGRAM_KINDS if thread.is_instagram else MESSENGER_KINDS
        earlier = message_id(thread, max(0, sequence - 1 - self.written % 4))
        origin = Origin(10**12 + self.written, thread.platform, thread.customer, earlier)
        return kinds[next(self._kinds[thread.platform])](origin)


def _threads(author: Author, page: Page, platform: str, count: int, window: Window) -> list[Thread]:
    """Return the threads of one Page on one platform, some of them updated in the very same second."""
    random = author.random
    threads = []
    previous_end = None
    for number, size in enumerate(thread_sizes(random, count, largest=platform == MESSENGER)):
        times = message_times(random, size, window)
        if previous_end is not None and random.random() < TIED_SHARE:
            shift = previous_end - times[-1][0]
            if times[0][0] + shift >= window.start:
                times = [(moment + shift, from_page) for moment, from_page in times]
        previous_end = times[-1][0]
        thread = make_thread(random, page, platform, number)
        for moment, from_page in times:
            thread.messages.append(author.write(thread, moment, from_page=from_page))
        threads.append(thread)
    return threads


def make_thread(random: Random, page: Page, platform: str, number: int) -> Thread:
    """Return the n-th thread of a Page, still empty; a few Messenger threads lie outside the inbox."""
    customer = make_customer(random, page, platform, number)
    elsewhere = platform == MESSENGER and number % 40 == 39
    folder = OTHER_FOLDERS[number // 40 % len(OTHER_FOLDERS)] if elsewhere else "inbox"
    return Thread(thread_id(page, platform, number), page, platform, number, customer, folder)

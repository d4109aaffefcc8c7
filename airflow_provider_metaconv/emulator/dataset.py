"""Datasets: worlds generated from a seed, hand-made worlds, and messages that arrive later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Any

from .corpus import (
    CONTENT_KINDS,
    PAGE_NAMES,
    USERNAMES,
    Author,
    Content,
    Origin,
    person_name,
)
from .models import (
    FOLDERS,
    INSTAGRAM,
    MESSENGER,
    PLATFORMS,
    Message,
    Page,
    Thread,
    World,
    message_id,
    thread_id,
    to_epoch,
)
from .settings import DEFAULT_NOW, WorldSettings

TIED_SHARE = 0.04
OTHER_FOLDERS = ("page_done", "spam", "other")
PLATFORM_WEIGHTS = (0.62, 0.38)
SMALL_WEIGHTS = (20, 18, 14, 11, 9, 8, 6, 5, 5, 4)  # of 1, 2, … 10 messages
DAY = 86_400
# The weight of each hour of the day, UTC: quiet nights, busy noons and evenings.
HOURS = (2, 1, 1, 1, 1, 2, 4, 7, 11, 14, 15, 15, 16, 14, 12, 12, 12, 13, 15, 17, 16, 11, 7, 4)
CUMULATED_HOURS = tuple(accumulate(HOURS))
TYPICAL_REPLY_SECONDS = 1_500.0
SAME_SECOND_SHARE = 0.05
FROM_PAGE_SHARE = 0.4


def seeded(*seed: object) -> Random:
    """Return a reproducible random generator; not for secrets."""
    return Random(":".join(map(str, seed)))  # noqa: S311


def generate(settings: WorldSettings) -> World:
    """Return the world generated from the settings, with exactly as many messages as they say."""
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
    """Return the n-th Page of a world with its Instagram account."""
    page_id = page_id or str(100 + number)
    name = name or PAGE_NAMES[number % len(PAGE_NAMES)] + ("" if number < len(PAGE_NAMES) else f" {number}")
    instagram_id = f"1784140{int(page_id) if page_id.isdigit() else number:010d}"
    return Page(page_id, name, instagram_id, f"emulated_shop_{page_id}")


def make_customer(random: Random, page: Page, platform: str, number: int) -> dict[str, str]:
    """Return the n-th customer of a Page, with the fields that the platform returns."""
    scope = sum(map(ord, page.id)) % 900
    if platform == INSTAGRAM:
        username = f"{random.choice(USERNAMES)}.{number}"
        return {"username": username, "id": str(5_200_000_000_000_000 + scope * 10**10 + number)}
    customer_id = str(7_100_000_000_000_000 + scope * 10**10 + number)
    return {"name": person_name(random), "email": f"{customer_id}@facebook.com", "id": customer_id}


def _threads(author: Author, page: Page, platform: str, count: int, window: Window) -> list[Thread]:
    """Return the threads of a Page on one platform, some of them with the same ``updated_time``."""
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
    """Return the n-th thread of a Page, without messages; a few Messenger threads are not in the inbox."""
    customer = make_customer(random, page, platform, number)
    elsewhere = platform == MESSENGER and number % 40 == 39
    folder = OTHER_FOLDERS[number // 40 % len(OTHER_FOLDERS)] if elsewhere else "inbox"
    return Thread(thread_id(page, platform, number), page, platform, number, customer, folder)


def shares(total: int, weights: Sequence[float]) -> list[int]:
    """Divide a total by weights into whole numbers with exactly that sum."""
    whole = sum(weights)
    parts = [int(total * weight / whole) for weight in weights]
    parts[0] += total - sum(parts)
    return parts


def thread_sizes(random: Random, total: int, *, largest: bool) -> list[int]:
    """Return thread sizes that sum to the total, in random order: most threads are short, a few are very long.

    About a sixth of the messages are in threads of hundreds and a sixth in threads of dozens; with ``largest`` one
    thread has more than 1,000 messages if the total permits.
    """
    sizes = []
    rest = total
    if largest and total >= 7_000:
        sizes.append(random.randint(1_050, min(1_800, total // 5)))
        rest -= sizes[0]
    for low, high, share in ((110, 450, 6), (21, 95, 6)):
        budget = rest // share
        while budget > high:
            sizes.append(random.randint(low, high))
            budget -= sizes[-1]
            rest -= sizes[-1]
    while rest > 0:
        sizes.append(min(rest, random.choices(range(1, 11), SMALL_WEIGHTS)[0]))
        rest -= sizes[-1]
    random.shuffle(sizes)
    return sizes


@dataclass(frozen=True)
class Window:
    """The time that the world covers, in epoch seconds: start included, end excluded."""

    start: int
    end: int

    def inside(self, moment: int) -> int:
        """Return the time, wrapped around into the window."""
        return self.start + (moment - self.start) % (self.end - self.start)


def message_times(random: Random, size: int, window: Window) -> list[tuple[int, bool]]:
    """Return the time of each message of a thread and whether the Page wrote it, oldest first.

    People write by day rather than by night, in bursts, and are answered minutes to hours later.
    """
    times: list[tuple[int, bool]] = []
    while len(times) < size:
        times += _session(random, window)
    # Exchanges of one thread may overlap, so their messages are sorted by time.
    return sorted(times[:size], key=lambda each: each[0])


def _session(random: Random, window: Window) -> list[tuple[int, bool]]:
    """Return one exchange: one or more messages of the customer, and usually an answer."""
    moment = window.inside(_start(random, window))
    session = [(moment, False)]
    while random.random() < 0.35:
        moment += 0 if random.random() < SAME_SECOND_SHARE * 3 else int(random.expovariate(1 / 45))
        session.append((moment, False))
    if random.random() < 0.85:
        moment += 20 + int(TYPICAL_REPLY_SECONDS * random.lognormvariate(0, 1.3))
        session.append((moment, True))
        while random.random() < 0.3:
            moment += 0 if random.random() < SAME_SECOND_SHARE else int(random.expovariate(1 / 90))
            session.append((moment, random.random() < 0.6))
    return _within(random, session, window)


def _within(random: Random, session: list[tuple[int, bool]], window: Window) -> list[tuple[int, bool]]:
    """Return the exchange; if it runs past the end, it is moved back, by up to two hours more than needed."""
    back = session[-1][0] - (window.end - 1)
    if back <= 0:
        return session
    back += random.randrange(7_200)
    first, last = window.start, window.end - 1
    return [(min(max(moment - back, first), last), from_page) for moment, from_page in session]


def _start(random: Random, window: Window) -> int:
    day = random.randrange(window.start // DAY, window.end // DAY + 1)
    hour = random.choices(range(24), cum_weights=CUMULATED_HOURS)[0]
    return day * DAY + hour * 3_600 + random.randrange(3_600)


@dataclass(frozen=True)
class MessageSpec:
    """One message; ``content`` is a kind from `CONTENT_KINDS` or the Graph fields themselves.

    ``sender_id`` gives the sender another ID, with the same name or username.
    """

    created_time: datetime | str | float
    text: str = "hello"
    from_page: bool = False
    content: str | Mapping[str, Any] | None = None
    deleted: bool = False
    message_id: str | None = None
    sender_id: str | None = None


@dataclass(frozen=True)
class ThreadSpec:
    """One conversation; fields left out are made up.

    ``participants`` counts everyone, including the customer and the Page. ``updated_time`` replaces the newest
    message's time, in the response and for sorting, until a newer message arrives.
    """

    platform: str = MESSENGER
    messages: Sequence[MessageSpec] = ()
    thread_id: str | None = None
    folder: str = "inbox"
    customer_name: str | None = None
    customer_id: str | None = None
    participants: int = 2
    updated_time: datetime | str | float | None = None


@dataclass(frozen=True)
class PageSpec:
    """One Page with its conversations on both platforms."""

    page_id: str = "100"
    threads: Sequence[ThreadSpec] = ()
    name: str | None = None


def build_world(pages: Sequence[PageSpec], now: datetime = DEFAULT_NOW) -> World:
    """Return a world of exactly these Pages, threads and messages; raises ValueError for an invalid one."""
    made = [make_page(number, spec.page_id, spec.name) for number, spec in enumerate(pages)]
    threads = [
        _built_thread(page, number, thread_spec)
        for page, spec in zip(made, pages, strict=True)
        for number, thread_spec in enumerate(spec.threads)
    ]
    newest = max((thread.updated_time for thread in threads if thread.messages), default=0)
    return World.from_threads(made, threads, max(newest, to_epoch(now)))


def uniform_world(
    threads: int = 1000,
    messages_per_thread: int = 8,
    platform: str = MESSENGER,
    page_id: str = "100",
    now: datetime = DEFAULT_NOW,
    spacing_seconds: int = 60,
) -> World:
    """Return one Page with threads of equal length and predictable times.

    Thread i (from 0) has its j-th newest message ``(i + j + 1) * spacing_seconds`` before now.
    """
    specs = []
    for number in range(threads):
        times = [now - timedelta(seconds=spacing_seconds * (number + back + 1)) for back in range(messages_per_thread)]
        messages = [
            MessageSpec(moment, f"message {number}-{back}", from_page=back % 2 == 0 and messages_per_thread > 1)
            for back, moment in enumerate(times)
        ]
        specs.append(ThreadSpec(platform, messages))
    return build_world([PageSpec(page_id, specs)], now)


def _built_thread(page: Page, number: int, spec: ThreadSpec) -> Thread:
    platform = spec.platform.upper()
    if platform not in PLATFORMS or spec.folder not in FOLDERS:
        raise ValueError(f"platform must be one of {PLATFORMS} and folder one of {FOLDERS}, not {spec}")
    customer = make_customer(seeded("customer", page.id, number), page, platform, number)
    if spec.customer_name is not None:
        customer["name" if platform == MESSENGER else "username"] = spec.customer_name
    if spec.customer_id is not None:
        customer["id"] = spec.customer_id
    identifier = spec.thread_id or thread_id(page, platform, number)
    thread = Thread(identifier, page, platform, number, customer, spec.folder)
    thread.others = tuple(
        make_customer(seeded("participant", page.id, number, other), page, platform, 10**6 * (number + 1) + other)
        for other in range(spec.participants - 2)
    )
    for sequence, message_spec in enumerate(sorted(spec.messages, key=lambda each: to_epoch(each.created_time))):
        thread.add(_built_message(thread, sequence, message_spec))
    if spec.updated_time is not None:
        thread.listed_time = to_epoch(spec.updated_time)
    return thread


def _built_message(thread: Thread, sequence: int, spec: MessageSpec) -> Message:
    content = _built_content(thread, sequence, spec.content)
    text = content.get("message", spec.text)
    identifier = spec.message_id or message_id(thread, sequence)
    created_time = to_epoch(spec.created_time)
    sender = None
    if spec.sender_id is not None:
        known = thread.page.person(thread.platform) if spec.from_page else thread.customer
        sender = {**known, "id": spec.sender_id}
    return Message(identifier, created_time, sequence, spec.from_page, text, content, spec.deleted, sender)


def _built_content(thread: Thread, sequence: int, content: str | Mapping[str, Any] | None) -> Content:
    if not isinstance(content, str):
        return content or {}
    if content not in CONTENT_KINDS:
        raise ValueError(f"unknown content kind {content!r}; known kinds: {', '.join(CONTENT_KINDS)}")
    earlier = message_id(thread, max(0, sequence - 1))
    number = 10**12 + thread.number * 10**5 + sequence
    return CONTENT_KINDS[content](Origin(number, thread.platform, thread.customer, earlier))


def arrive(
    world: World,
    messages: int,
    seed: int,
    created_time: datetime | str | float | None,
    page_id: str | None,
    platform: str | None,
    new_thread_share: float,
    latest: float | None,
) -> list[str]:
    """Add messages to the world and return their IDs; see `World.arrive`."""
    pages, platforms = _choices(world, page_id, platform)
    random = seeded("arrivals", seed)
    author = Author(random)
    moment = world.now + 1 if created_time is None else to_epoch(created_time)
    identifiers = []
    for _ in range(messages):
        moment = moment if latest is None else min(moment, int(latest))
        page, chosen = random.choice(pages), random.choice(platforms)
        thread, is_new = _receiving_thread(world, random, page, chosen, new_thread_share)
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
        raise ValueError(f"Page {page_id} does not exist")
    if platform is not None and platform.upper() not in PLATFORMS:
        raise ValueError(f"platform must be one of {', '.join(PLATFORMS)}, not {platform}")
    pages = list(world.pages.values()) if page_id is None else [world.pages[page_id]]
    return pages, PLATFORMS if platform is None else (platform.upper(),)


def _receiving_thread(
    world: World, random: Random, page: Page, platform: str, new_thread_share: float
) -> tuple[Thread, bool]:
    known = world.conversations(page.id, platform)
    if known and random.random() >= new_thread_share:
        return random.choice(known), False
    number = len(world.all_conversations(page.id, platform))
    thread = make_thread(random, page, platform, number)
    while thread.id in world.threads:  # hand-made worlds may use any ID
        number += 1
        thread = make_thread(random, page, platform, number)
    thread.folder = "inbox"
    return thread, True

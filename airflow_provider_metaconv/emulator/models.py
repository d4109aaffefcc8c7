"""The world the emulator serves: Pages, threads and messages, in the order Graph lists them, and what a walk finds."""

from __future__ import annotations

import hashlib
import threading
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import ceil
from typing import Any

from .pagination import to_base64
from .settings import WorldSettings

MESSENGER = "MESSENGER"
INSTAGRAM = "INSTAGRAM"
PLATFORMS = (MESSENGER, INSTAGRAM)
FOLDERS = ("inbox", "page_done", "spam", "other", "pending")
INSTAGRAM_DETAILED_MESSAGES = 20
NOTHING: Mapping[str, Any] = {}
ALL_FOLDERS = "all"


def to_epoch(value: datetime | str | float) -> int:
    """Return a time as whole epoch seconds; see `to_exact_epoch`."""
    return int(to_exact_epoch(value))


def to_exact_epoch(value: datetime | str | float) -> float:
    """Return an aware datetime, an ISO 8601 text with a zone or epoch seconds as epoch seconds.

    Raises ValueError for a time without a zone.
    """
    if isinstance(value, int | float):
        return float(value)
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if moment.tzinfo is None:
        raise ValueError(f"the time {value} has no zone: add one, such as +00:00")
    return moment.timestamp()


@dataclass(frozen=True, slots=True)
class Message:
    """One message; ``content`` holds what it carries besides text, ``deleted`` means only the id is left."""

    id: str
    created_time: int
    sequence: int
    from_page: bool
    text: str
    content: Mapping[str, Any] = field(default_factory=dict)
    deleted: bool = False
    # Who wrote it, where that is neither the Page nor the customer as the thread knows them.
    sender: Mapping[str, str] | None = None

    @property
    def key(self) -> tuple[int, int]:
        """The place in the thread: by time, then by arrival."""
        return self.created_time, self.sequence


@dataclass(frozen=True, slots=True)
class Page:
    """A Page and its Instagram account; both read their messages with the Page's token."""

    id: str
    name: str
    instagram_id: str
    instagram_username: str

    def person(self, platform: str) -> dict[str, str]:
        """Return how the Page appears among participants and senders."""
        if platform == INSTAGRAM:
            return {"username": self.instagram_username, "id": self.instagram_id}
        return {"name": self.name, "email": f"{self.id}@facebook.com", "id": self.id}


@dataclass(eq=False, slots=True)
class Thread:
    """A conversation of one customer with one Page; its messages are kept oldest first."""

    id: str
    page: Page
    platform: str
    number: int
    customer: Mapping[str, str]
    folder: str = "inbox"
    messages: list[Message] = field(default_factory=list)
    # Further people of a group, beside the customer and the Page.
    others: tuple[Mapping[str, str], ...] = ()
    # The updated_time to show and to sort by, where it is not the newest message's.
    listed_time: int | None = None
    vanished: int = 0
    # JSON of its people, kept here because every message repeats it.
    rendered: dict[object, Any] = field(default_factory=dict)

    @property
    def is_instagram(self) -> bool:
        """Whether the thread lives on Instagram."""
        return self.platform == INSTAGRAM

    @property
    def updated_time(self) -> int:
        """The time of the newest message, unless another one is listed."""
        return self.messages[-1].created_time if self.listed_time is None else self.listed_time

    @property
    def next_sequence(self) -> int:
        """The number of the next message to arrive; numbers of vanished ones are not given again."""
        return len(self.messages) + self.vanished

    @property
    def key(self) -> tuple[int, str]:
        """The place in the list of conversations: by time, then by id."""
        return self.updated_time, self.id

    def add(self, message: Message) -> None:
        """Put a message at its place in time; a newer one than is listed lists the thread anew."""
        if self.listed_time is not None and message.created_time >= self.listed_time:
            self.listed_time = None
        if not self.messages or self.messages[-1].key < message.key:
            self.messages.append(message)
        else:
            insort(self.messages, message, key=lambda each: each.key)

    def unsend(self, message: Message, *, vanish: bool) -> Message | None:
        """Remove a message, or only its content, and return what remains; ``updated_time`` stays as it is."""
        index = self.place(message)
        if not vanish:
            self.messages[index] = replace(message, text="", content=NOTHING, deleted=True)
            return self.messages[index]
        self.listed_time = self.updated_time
        del self.messages[index]
        self.vanished += 1
        return None

    def place(self, message: Message) -> int:
        """Return how many messages of the thread are older than this one."""
        return bisect_left(self.messages, message.key, key=lambda each: each.key)

    def older_than(self, key: tuple[int, int]) -> int:
        """Return how many messages lie before a place in time."""
        return bisect_left(self.messages, key, key=lambda each: each.key)

    @property
    def first_detailed(self) -> int:
        """The index from which details are handed over: Instagram keeps to the 20 newest messages."""
        return max(0, len(self.messages) - INSTAGRAM_DETAILED_MESSAGES) if self.is_instagram else 0


def thread_id(page: Page, platform: str, number: int) -> str:
    """Return the id of a Page's n-th thread, shaped as Meta's."""
    if platform == INSTAGRAM:
        name = 340282366841710300949128000000000000000 + number
        return to_base64(f"ig_dm:1:IGMessageThread:{page.instagram_id}:{name}")
    digest = hashlib.blake2b(f"{page.id}:{number}".encode(), digest_size=7).digest()
    return f"t_{10**15 + int.from_bytes(digest) % (9 * 10**15)}"


def message_id(thread: Thread, sequence: int) -> str:
    """Return the id of a thread's n-th message, shaped as Meta's."""
    digest = hashlib.blake2b(f"{thread.id}:{sequence}".encode(), digest_size=30)
    if thread.is_instagram:
        item = int.from_bytes(digest.digest()[:12])
        name = f"ig_dm_item:1:IGMessageID:{thread.page.instagram_id}:{thread.number}:{item}"
        return to_base64(name)
    return f"m_{digest.hexdigest()}"


class World:
    """Everything there is to read, kept in order while messages arrive; use `lock` to read it consistently."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.lock = threading.RLock()
        self.pages: dict[str, Page] = {}
        self.threads: dict[str, Thread] = {}
        self.messages: dict[str, tuple[Thread, Message]] = {}
        self._lists: dict[tuple[str, str, str], list[Thread]] = {}
        self._customers: dict[tuple[str, str, str], Thread] = {}

    @staticmethod
    def generate(settings: WorldSettings) -> World:
        """Return the world of these settings, the same one every time."""
        from .dataset import generate  # the generator builds on this module

        return generate(settings)

    @staticmethod
    def from_threads(pages: Iterable[Page], threads: Iterable[Thread], now: int) -> World:
        """Return a world of ready-made Pages and threads; threads without messages are left out."""
        world = World(now)
        for page in pages:
            world.add_page(page)
        for thread in threads:
            if thread.messages:
                world.add_thread(thread)
        return world

    def add_page(self, page: Page) -> None:
        """Add a Page without threads."""
        self.pages[page.id] = page
        for platform in PLATFORMS:
            for folder in FOLDERS:
                self._lists[page.id, platform, folder] = []

    def add_thread(self, thread: Thread) -> None:
        """Add a thread that has at least one message."""
        if thread.id in self.threads:
            raise ValueError(f"there is already a thread {thread.id}")
        self.threads[thread.id] = thread
        self._customers[thread.page.id, thread.platform, thread.customer["id"]] = thread
        for message in thread.messages:
            self.messages[message.id] = (thread, message)
        insort(self._list_of(thread), thread, key=lambda each: each.key)

    def add_message(self, thread: Thread, message: Message) -> None:
        """Add a message to a known thread, which moves in the list when it is the newest one."""
        with self.lock:
            listed = self._list_of(thread)
            del listed[bisect_left(listed, thread.key, key=lambda each: each.key)]
            thread.add(message)
            insort(listed, thread, key=lambda each: each.key)
            self.messages[message.id] = (thread, message)
            self.now = max(self.now, message.created_time)

    def post(
        self,
        thread_id: str,
        text: str = "new",
        created_time: datetime | str | float | None = None,
        *,
        from_page: bool = False,
    ) -> str:
        """Add one message to a thread, by default a second after everything there is, and return its id.

        With an older ``created_time`` it is a message that is listed late.
        """
        with self.lock:
            thread = self.threads[thread_id]
            sequence = thread.next_sequence
            moment = self.now + 1 if created_time is None else to_epoch(created_time)
            message = Message(message_id(thread, sequence), moment, sequence, from_page, text)
            self.add_message(thread, message)
        return message.id

    def unsend(self, message_id: str, *, vanish: bool = True) -> None:
        """Take a message back: it vanishes, or its id and time remain; its thread keeps its place in the list.

        Raises ValueError for a message that does not exist.
        """
        with self.lock:
            if message_id not in self.messages:
                raise ValueError(f"there is no message {message_id}")
            thread, message = self.messages.pop(message_id)
            rest = thread.unsend(message, vanish=vanish)
            if rest is not None:
                self.messages[message_id] = (thread, rest)

    def conversations(self, page_id: str, platform: str, folder: str = "inbox") -> list[Thread]:
        """Return the threads of one list, oldest ``updated_time`` first; Instagram has no folders."""
        return self._lists[page_id, platform, "inbox" if platform == INSTAGRAM else folder]

    def all_conversations(self, page_id: str, platform: str) -> list[Thread]:
        """Return the threads of every folder."""
        return [thread for folder in FOLDERS for thread in self._lists[page_id, platform, folder]]

    def conversation_with(self, page_id: str, platform: str, customer_id: str) -> Thread | None:
        """Return the thread with one customer, None when there is none."""
        return self._customers.get((page_id, platform, customer_id))

    def _list_of(self, thread: Thread) -> list[Thread]:
        folder = "inbox" if thread.platform == INSTAGRAM else thread.folder
        return self._lists[thread.page.id, thread.platform, folder]

    def arrive(
        self,
        messages: int = 1,
        seed: int = 1,
        created_time: datetime | str | float | None = None,
        page_id: str | None = None,
        platform: str | None = None,
        new_thread_share: float = 0.3,
        latest: float | None = None,
    ) -> list[str]:
        """Let messages arrive in known and new threads and return their ids; the same seed repeats itself.

        The first arrives at ``created_time``, which defaults to one second after everything there is; each
        following one at the same second or the next, and none after ``latest`` (epoch seconds).
        """
        from .dataset import arrive  # the arrivals build on this module

        with self.lock:
            return arrive(self, messages, seed, created_time, page_id, platform, new_thread_share, latest)


Bound = datetime | str | float | None


@dataclass(frozen=True)
class GroundTruth:
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


def ground_truth(
    world: World, page_id: str, platform: str, since: Bound = None, until: Bound = None, folder: str = "inbox"
) -> GroundTruth:
    """Return what there is with ``since <= created_time < until``; ``folder="all"`` looks into every folder."""
    platform = platform.upper()
    if page_id not in world.pages or platform not in PLATFORMS or folder not in (*FOLDERS, ALL_FOLDERS):
        raise ValueError(f"there is no Page {page_id} with platform {platform} and folder {folder}")
    message_ids: set[str] = set()
    unavailable: set[str] = set()
    conversations = 0
    with world.lock:
        for thread in _listed_threads(world, page_id, platform, folder):
            found = list(_window(thread, since, until))
            conversations += bool(found)
            message_ids.update(identifier for identifier, _ in found)
            unavailable.update(identifier for identifier, is_there in found if not is_there)
    return GroundTruth(
        page_id,
        platform,
        conversations,
        len(message_ids),
        len(unavailable),
        frozenset(message_ids),
        frozenset(unavailable),
    )


def _listed_threads(world: World, page_id: str, platform: str, folder: str) -> list[Thread]:
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

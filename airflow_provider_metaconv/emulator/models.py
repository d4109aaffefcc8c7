"""The world that the emulator serves: Pages, threads and messages, and the ground truth about them."""

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
    """Return an aware datetime, an ISO 8601 text with a time zone or epoch seconds as epoch seconds.

    Raises ValueError for a time without a time zone.
    """
    if isinstance(value, int | float):
        return float(value)
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if moment.tzinfo is None:
        raise ValueError(f"the time {value} has no time zone: add one, such as +00:00")
    return moment.timestamp()


@dataclass(frozen=True, slots=True)
class Message:
    """One message; ``content`` holds everything besides its text, ``deleted`` means that only ID and time are left."""

    id: str
    created_time: int
    sequence: int
    from_page: bool
    text: str
    content: Mapping[str, Any] = field(default_factory=dict)
    deleted: bool = False
    # The sender, if not the Page or the customer as the thread lists them.
    sender: Mapping[str, str] | None = None

    @property
    def key(self) -> tuple[int, int]:
        """The sort key within the thread: by time, then by arrival."""
        return self.created_time, self.sequence


@dataclass(frozen=True, slots=True)
class Page:
    """A Page and its Instagram account; the Page's token reads the messages of both."""

    id: str
    name: str
    instagram_id: str
    instagram_username: str

    def person(self, platform: str) -> dict[str, str]:
        """Return the Page as it appears among participants and senders."""
        if platform == INSTAGRAM:
            return {"username": self.instagram_username, "id": self.instagram_id}
        return {"name": self.name, "email": f"{self.id}@facebook.com", "id": self.id}


@dataclass(eq=False, slots=True)
class Thread:
    """A conversation between a customer and a Page; its messages are sorted oldest first."""

    id: str
    page: Page
    platform: str
    number: int
    customer: Mapping[str, str]
    folder: str = "inbox"
    messages: list[Message] = field(default_factory=list)
    # The other people of a group, besides the customer and the Page.
    others: tuple[Mapping[str, str], ...] = ()
    # The updated_time to show and to sort by, if not the newest message's time.
    listed_time: int | None = None
    vanished: int = 0
    # A cache of its people's JSON, which every message repeats.
    rendered: dict[object, Any] = field(default_factory=dict)

    @property
    def is_instagram(self) -> bool:
        """Whether it is an Instagram conversation."""
        return self.platform == INSTAGRAM

    @property
    def updated_time(self) -> int:
        """The time of the newest message, unless ``listed_time`` is set."""
        return self.messages[-1].created_time if self.listed_time is None else self.listed_time

    @property
    def next_sequence(self) -> int:
        """The sequence number of the next message; those of vanished messages are not reused."""
        return len(self.messages) + self.vanished

    @property
    def key(self) -> tuple[int, str]:
        """The sort key in the list of conversations: by time, then by ID."""
        return self.updated_time, self.id

    def add(self, message: Message) -> None:
        """Insert a message by time; one not older than ``listed_time`` resets it."""
        if self.listed_time is not None and message.created_time >= self.listed_time:
            self.listed_time = None
        if not self.messages or self.messages[-1].key < message.key:
            self.messages.append(message)
        else:
            insort(self.messages, message, key=lambda each: each.key)

    def unsend(self, message: Message, *, vanish: bool) -> Message | None:
        """Remove a message, or only its content, and return what remains; ``updated_time`` does not change."""
        index = self.place(message)
        if not vanish:
            self.messages[index] = replace(message, text="", content=NOTHING, deleted=True)
            return self.messages[index]
        self.listed_time = self.updated_time
        del self.messages[index]
        self.vanished += 1
        return None

    def place(self, message: Message) -> int:
        """Return a message's index in the thread."""
        return bisect_left(self.messages, message.key, key=lambda each: each.key)

    def older_than(self, key: tuple[int, int]) -> int:
        """Return the number of messages before a sort key."""
        return bisect_left(self.messages, key, key=lambda each: each.key)

    @property
    def first_detailed(self) -> int:
        """The index of the first message with details: Instagram returns them for the 20 newest messages only."""
        return max(0, len(self.messages) - INSTAGRAM_DETAILED_MESSAGES) if self.is_instagram else 0


def thread_id(page: Page, platform: str, number: int) -> str:
    """Return the ID of a Page's n-th thread, in Meta's format."""
    if platform == INSTAGRAM:
        name = 340282366841710300949128000000000000000 + number
        return to_base64(f"ig_dm:1:IGMessageThread:{page.instagram_id}:{name}")
    digest = hashlib.blake2b(f"{page.id}:{number}".encode(), digest_size=7).digest()
    return f"t_{10**15 + int.from_bytes(digest) % (9 * 10**15)}"


def message_id(thread: Thread, sequence: int) -> str:
    """Return the ID of a thread's n-th message, in Meta's format."""
    digest = hashlib.blake2b(f"{thread.id}:{sequence}".encode(), digest_size=30)
    if thread.is_instagram:
        item = int.from_bytes(digest.digest()[:12])
        name = f"ig_dm_item:1:IGMessageID:{thread.page.instagram_id}:{thread.number}:{item}"
        return to_base64(name)
    return f"m_{digest.hexdigest()}"


class World:
    """Pages, threads and messages, kept in Graph's order while messages arrive; hold `lock` for a consistent view."""

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
        """Return the world generated from the settings; equal settings give equal worlds."""
        from .dataset import generate  # imported here, because dataset imports this module

        return generate(settings)

    @staticmethod
    def from_threads(pages: Iterable[Page], threads: Iterable[Thread], now: int) -> World:
        """Return a world of the given Pages and threads, without the threads that have no messages."""
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
        """Add a thread with at least one message; raises ValueError if its ID is already in use."""
        if thread.id in self.threads:
            raise ValueError(f"a thread with ID {thread.id} already exists")
        self.threads[thread.id] = thread
        self._customers[thread.page.id, thread.platform, thread.customer["id"]] = thread
        for message in thread.messages:
            self.messages[message.id] = (thread, message)
        insort(self._list_of(thread), thread, key=lambda each: each.key)

    def add_message(self, thread: Thread, message: Message) -> None:
        """Add a message to a thread of this world, and keep the list of conversations in order."""
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
        """Add one message to a thread, by default one second after the newest message of all, and return its ID.

        With an older ``created_time`` the message is listed late.
        """
        with self.lock:
            thread = self.threads[thread_id]
            sequence = thread.next_sequence
            moment = self.now + 1 if created_time is None else to_epoch(created_time)
            message = Message(message_id(thread, sequence), moment, sequence, from_page, text)
            self.add_message(thread, message)
        return message.id

    def unsend(self, message_id: str, *, vanish: bool = True) -> None:
        """Unsend a message: it vanishes, or only its ID and time remain; its thread keeps its position in the list.

        Raises ValueError if the message does not exist.
        """
        with self.lock:
            if message_id not in self.messages:
                raise ValueError(f"message {message_id} does not exist")
            thread, message = self.messages.pop(message_id)
            rest = thread.unsend(message, vanish=vanish)
            if rest is not None:
                self.messages[message_id] = (thread, rest)

    def conversations(self, page_id: str, platform: str, folder: str = "inbox") -> list[Thread]:
        """Return the threads of one list, oldest ``updated_time`` first; Instagram has no folders."""
        return self._lists[page_id, platform, "inbox" if platform == INSTAGRAM else folder]

    def all_conversations(self, page_id: str, platform: str) -> list[Thread]:
        """Return the threads of all folders."""
        return [thread for folder in FOLDERS for thread in self._lists[page_id, platform, folder]]

    def conversation_with(self, page_id: str, platform: str, customer_id: str) -> Thread | None:
        """Return the thread with a customer, None if there is none."""
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
        """Let messages arrive in existing and new threads and return their IDs; equal seeds give equal messages.

        The first message is dated ``created_time``, by default one second after the newest message of all, and each
        following one the same second or the next. None is dated later than ``latest`` (epoch seconds). Raises
        ValueError for an unknown Page or platform.
        """
        from .dataset import arrive  # imported here, because dataset imports this module

        with self.lock:
            return arrive(self, messages, seed, created_time, page_id, platform, new_thread_share, latest)


Bound = datetime | str | float | None


@dataclass(frozen=True)
class GroundTruth:
    """The messages of a time window that a complete read finds now.

    ``messages`` is the number of all messages, ``unavailable`` of those whose details Instagram does not return,
    ``conversations`` of the threads with at least one message in the window.
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
    """Return the messages with ``since <= created_time < until``; ``folder="all"`` includes every folder.

    Raises ValueError for an unknown Page, platform or folder.
    """
    platform = platform.upper()
    if page_id not in world.pages or platform not in PLATFORMS or folder not in (*FOLDERS, ALL_FOLDERS):
        raise ValueError(f"unknown Page {page_id}, platform {platform} or folder {folder}")
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
    """Yield the ID of each message in the window and whether its details are available."""
    # Messages have whole seconds, so bounds are rounded up to the next second.
    start = 0 if since is None else thread.older_than((ceil(to_exact_epoch(since)), -1))
    end = len(thread.messages) if until is None else thread.older_than((ceil(to_exact_epoch(until)), -1))
    for index in range(start, end):
        message = thread.messages[index]
        yield message.id, index >= thread.first_detailed and not message.deleted

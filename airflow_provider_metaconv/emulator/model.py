"""The things of the world as values: people, messages, threads and Pages."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, insort
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .opaque import to_opaque

MESSENGER = "MESSENGER"
INSTAGRAM = "INSTAGRAM"
PLATFORMS = (MESSENGER, INSTAGRAM)
FOLDERS = ("inbox", "page_done", "spam", "other", "pending")
INSTAGRAM_DETAILED_MESSAGES = 20
NOTHING: Mapping[str, Any] = {}


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
        return to_opaque(f"ig_dm:1:IGMessageThread:{page.instagram_id}:{name}")
    digest = hashlib.blake2b(f"{page.id}:{number}".encode(), digest_size=7).digest()
    return f"t_{10**15 + int.from_bytes(digest) % (9 * 10**15)}"


def message_id(thread: Thread, sequence: int) -> str:
    """Return the id of a thread's n-th message, shaped as Meta's."""
    digest = hashlib.blake2b(f"{thread.id}:{sequence}".encode(), digest_size=30)
    if thread.is_instagram:
        item = int.from_bytes(digest.digest()[:12])
        name = f"ig_dm_item:1:IGMessageID:{thread.page.instagram_id}:{thread.number}:{item}"
        return to_opaque(name)
    return f"m_{digest.hexdigest()}"

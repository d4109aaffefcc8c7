"""The world the emulator serves: Pages, their threads and messages, in the order Graph lists them."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .model import FOLDERS, INSTAGRAM, PLATFORMS, Message, Page, Thread, message_id
from .times import to_epoch

if TYPE_CHECKING:
    from datetime import datetime

    from .settings import WorldSettings

Key = tuple[int, str]


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
        from .generate import generate  # the generator builds on this module

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
    ) -> list[str]:
        """Let messages arrive in known and new threads and return their ids; the same seed repeats itself.

        The first arrives at ``created_time``, which defaults to one second after everything there is; each
        following one at the same second or the next.
        """
        from .arrivals import arrive  # the arrivals build on this module

        with self.lock:
            return arrive(self, messages, seed, created_time, page_id, platform, new_thread_share)

"""Small hand-made worlds: say which messages there are, and nothing else has to be said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .attachments import CONTENT_KINDS, Content, Origin
from .generate import make_customer, make_page, seeded
from .model import FOLDERS, MESSENGER, PLATFORMS, Message, Page, Thread, message_id, thread_id
from .settings import DEFAULT_NOW
from .times import to_epoch
from .world import World


@dataclass(frozen=True)
class MessageSpec:
    """One message; ``content`` is a kind from `CONTENT_KINDS` or the Graph fields themselves.

    With a ``sender_id`` the sender writes under another id, with the same name or username.
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
    """One conversation; what is left out is made up.

    ``participants`` counts everybody, customer and Page included. ``updated_time`` is shown and sorted by instead of
    the newest message's time, until a newer message arrives.
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
    """Return a world of exactly these messages; raises ValueError for what cannot be."""
    made = [make_page(number, spec.page_id, spec.name) for number, spec in enumerate(pages)]
    threads = [
        _thread(page, number, thread_spec)
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
    """Return one Page with equally long threads: the n-th newest message of the n-th newest thread is predictable.

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


def _thread(page: Page, number: int, spec: ThreadSpec) -> Thread:
    platform = spec.platform.upper()
    if platform not in PLATFORMS or spec.folder not in FOLDERS:
        raise ValueError(f"a thread needs a platform of {PLATFORMS} and a folder of {FOLDERS}, not {spec}")
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
        thread.add(_message(thread, sequence, message_spec))
    if spec.updated_time is not None:
        thread.listed_time = to_epoch(spec.updated_time)
    return thread


def _message(thread: Thread, sequence: int, spec: MessageSpec) -> Message:
    content = _content(thread, sequence, spec.content)
    text = content.get("message", spec.text)
    identifier = spec.message_id or message_id(thread, sequence)
    created_time = to_epoch(spec.created_time)
    sender = None
    if spec.sender_id is not None:
        known = thread.page.person(thread.platform) if spec.from_page else thread.customer
        sender = {**known, "id": spec.sender_id}
    return Message(identifier, created_time, sequence, spec.from_page, text, content, spec.deleted, sender)


def _content(thread: Thread, sequence: int, content: str | Mapping[str, Any] | None) -> Content:
    if not isinstance(content, str):
        return content or {}
    if content not in CONTENT_KINDS:
        raise ValueError(f"no content kind {content!r}; there are {', '.join(CONTENT_KINDS)}")
    earlier = message_id(thread, max(0, sequence - 1))
    number = 10**12 + thread.number * 10**5 + sequence
    return CONTENT_KINDS[content](Origin(number, thread.platform, thread.customer, earlier))

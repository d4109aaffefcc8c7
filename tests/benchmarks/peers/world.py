"""The responses of the benchmark server: JSON assembled from prerendered pieces, so that only the client is measured.

It distinguishes only whether (and how many) ``messages`` are nested, and whether more than ids and times are requested.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote, urlsplit

from tests.benchmarks.peers.shapes import Shape, message_id

PAGE_ID = "100"
SINCE = datetime(2026, 11, 20, tzinfo=UTC)
UNTIL = datetime(2026, 11, 20, 1, tzinfo=UTC)
TOKEN = "EAAbenchmark"
MOST_PREPARED = 200_000
"""Up to so many messages are prerendered, about 700 bytes each. For larger Pages, responses are built on demand."""

_NESTED = re.compile(r"\bmessages(?:\.limit\((\d+)\))?")
_TEXTS = [
    "Hello, where is my order? " + "It was due on Monday and nobody answers the telephone. " * (number % 5)
    for number in range(64)
]
_ATTACHMENT = (
    ',"attachments":{"data":[{"id":"7001","mime_type":"image/jpeg","name":"photo.jpg","size":48213,'
    '"image_data":{"width":960,"height":720,"url":"https://cdn.example/photo.jpg"}}]}'
)


class World:
    """One Page of a shape; ``answer`` returns the kind of call and the body for a request target."""

    def __init__(self, shape: Shape, base_url: str) -> None:
        self._shape = shape
        self._base_url = base_url
        self._message_tail = [_message_tail(number) for number in range(320)]
        few = sum(map(shape.length_of, range(shape.threads))) <= MOST_PREPARED
        self._prepared = [self._rendered(thread) for thread in range(shape.threads)] if few else None

    def answer(self, target: str) -> tuple[str, bytes]:
        """The kind of call and its JSON; kinds are list, light, messages, conversation and page."""
        parts = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        path = [part for part in parts.path.split("/") if part and not re.fullmatch(r"v\d+\.\d+", part)]
        fields = query.get("fields", "")
        match path:
            case [page_id, "conversations"] if page_id == PAGE_ID:
                nested = _nested_limit(fields)
                return "list" if nested else "light", self._list(parts.path, query, fields, nested).encode()
            case [thread, "messages"]:
                number = _thread_number(thread)
                text = self._messages(number, int(query.get("after", 0)), int(query.get("limit", 25)), query)
                return "messages", text.encode()
            case [page_id] if page_id == PAGE_ID:
                answer = {"id": PAGE_ID, "name": "Example Page", "access_token": TOKEN}
                return "page", json.dumps(answer, separators=(",", ":")).encode()
            case [thread]:
                return "conversation", self._thread(_thread_number(thread), _nested_limit(fields), query).encode()
        raise LookupError(target)

    def _list(self, path: str, query: dict[str, str], fields: str, nested: int) -> str:
        start, limit = int(query.get("after", 0)), int(query.get("limit", 25))
        end = min(start + limit, self._shape.threads)
        if nested or "participants" in fields:
            rows = [self._thread(number, nested, query) for number in range(start, end)]
        else:
            rows = [f'{{"id":"t_{n}","updated_time":"{_meta_time(self._updated(n))}"}}' for n in range(start, end)]
        return _edge(rows, start, end, self._next(path, query, end) if end < self._shape.threads else "")

    def _thread(self, number: int, nested: int, query: dict[str, str]) -> str:
        messages = f',"messages":{self._messages(number, 0, nested, query)}' if nested else ""
        return (
            f'{{"id":"t_{number}","updated_time":"{_meta_time(self._updated(number))}",'
            f'"message_count":{self._length(number)},"participants":{{"data":[{{"name":"Customer {number}",'
            f'"email":"{9000 + number}@facebook.com","id":"{9000 + number}"}},{{"name":"Example Page",'
            f'"email":"{PAGE_ID}@facebook.com","id":"{PAGE_ID}"}}]}}{messages}}}'
        )

    def _messages(self, thread: int, start: int, limit: int, query: dict[str, str]) -> str:
        length = self._length(thread)
        end = min(start + limit, length)
        rows = (self._rendered(thread) if self._prepared is None else self._prepared[thread])[start:end]
        following = self._next(f"/v26.0/t_{thread}/messages", {**query, "limit": str(limit)}, end)
        return _edge(rows, start, end, following if end < length else "")

    def _rendered(self, thread: int) -> list[str]:
        tails = self._message_tail
        return [
            f'{{"id":"{message_id(thread, number)}","created_time":"{_meta_time(self._created(thread, number))}"'
            + tails[number % len(tails)]
            for number in range(self._length(thread))
        ]

    def _next(self, path: str, query: dict[str, str], after: int) -> str:
        kept = {**query, "access_token": TOKEN, "after": str(after)}
        if path.endswith("/messages") and _NESTED.search(kept.get("fields", "")):
            kept.pop("fields")  # those of the list, not of the messages
        return f"{self._base_url}{path}?" + "&".join(f"{name}={quote(value)}" for name, value in kept.items())

    def _length(self, thread: int) -> int:
        return self._shape.length_of(thread) + (1 if thread < self._shape.fresh else 0)

    def _updated(self, thread: int) -> datetime:
        return self._created(thread, 0)

    def _created(self, thread: int, number: int) -> datetime:
        """Newest first. The extra message of a fresh conversation is in the window, the others are before it."""
        if thread < self._shape.fresh:
            if number == 0:
                return UNTIL - timedelta(seconds=60 + thread)
            number -= 1
        return SINCE - timedelta(seconds=3600 + 60 * thread + 7 * number)


def _thread_number(thread: str) -> int:
    if not thread.startswith("t_"):
        raise LookupError(thread)
    return int(thread[2:])


def _nested_limit(fields: str) -> int:
    found = _NESTED.search(fields)
    return int(found[1] or 25) if found else 0


def _message_tail(number: int) -> str:
    customer, page = '{"name":"Customer","email":"9@facebook.com","id":"9000"}', f'{{"name":"Page","id":"{PAGE_ID}"}}'
    sender, receiver = (page, customer) if number % 2 else (customer, page)
    attachment = _ATTACHMENT if number % 20 == 0 else ""
    tags = '{"data":[{"name":"inbox"},{"name":"read"},{"name":"source:web"}]}'
    text = json.dumps(_TEXTS[number % 64])
    return f',"message":{text},"from":{sender},"to":{{"data":[{receiver}]}},"tags":{tags}{attachment}}}'


def _meta_time(moment: datetime) -> str:
    return f"{moment.isoformat(timespec='seconds')[:19]}+0000"


def _edge(rows: list[str], start: int, end: int, following: str) -> str:
    cursors = f'"paging":{{"cursors":{{"before":"{start}","after":"{end}"}}'
    link = f',"next":{json.dumps(following)}' if following else ""
    return f'{{"data":[{",".join(rows)}],{cursors}{link}}}}}'

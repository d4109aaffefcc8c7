"""The calls of an extraction as values, what each of them asks for, and the threads that send them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from typing import Any, Protocol

import msgspec

from airflow_provider_metaconv.graph.conversations import ConversationsEdge, nested_messages
from airflow_provider_metaconv.graph.errors import Action, GraphError
from airflow_provider_metaconv.graph.pagination import ResultPage
from airflow_provider_metaconv.schema import CONVERSATIONS, MESSAGES, Table

IDS_ONLY = ("id", "updated_time")
MESSAGE_IDS_ONLY = ("id", "created_time")

_NAMED_FIELD = (re.compile(r"field \(?['\"]?(\w+)"), re.compile(r"(\w+)['\"]? field"), re.compile(r"['\"(](\w+)['\")]"))
"""How Meta names a field that it refuses, the surest first: words such as *from* are also words of its sentences."""

Position = dict[str, str]
"""The parameters with which Meta pages on, such as ``{"after": "QVFI…"}``; empty: from the top."""

AT_ONCE: tuple[Action, ...] = ()
"""Nothing is repeated inside the call: less is asked for instead, without waiting."""

IN_PASSING = (Action.RETRY,)
"""What passes by itself is repeated with back-off; for what Meta calls too large, less is asked for at once."""

PATIENTLY = (Action.RETRY, Action.ASK_LESS)
"""Everything is repeated with back-off: nothing smaller is left to ask for."""


SECONDS_TO_END = 1.0


class ListRequest(msgspec.Struct, frozen=True):
    """One page of the list of conversations; ``nested_messages=0`` asks for ids and times alone."""

    position: Position
    limit: int
    nested_messages: int
    retried: tuple[Action, ...] = IN_PASSING

    @property
    def ids_only(self) -> bool:
        """Whether it asks for ids and times alone."""
        return self.nested_messages == 0

    @property
    def is_smallest(self) -> bool:
        """Whether nothing smaller can be asked for at this place."""
        return self.ids_only and self.limit == 1


class ConversationRequest(msgspec.Struct, frozen=True):
    """One conversation by its id, with so many of its newest messages nested."""

    conversation_id: str
    limit: int
    retried: tuple[Action, ...] = IN_PASSING


class MessagesRequest(msgspec.Struct, frozen=True):
    """One page of one conversation's messages, newest first; ``lenient``: rows that are none are counted."""

    conversation_id: str
    position: Position
    limit: int
    ids_only: bool = False
    lenient: bool = False
    retried: tuple[Action, ...] = IN_PASSING


class ParticipantsRequest(msgspec.Struct, frozen=True):
    """One more page of the people in one conversation."""

    conversation_id: str
    position: Position
    retried: tuple[Action, ...] = IN_PASSING
    limit: int = 1


Request = ListRequest | ConversationRequest | MessagesRequest | ParticipantsRequest
Response = ResultPage | Mapping[str, Any]
Outcome = Response | GraphError


def asked_messages(request: Request) -> int:
    """How many messages a call asks for at the most, with all that belongs to them."""
    match request:
        case ListRequest():
            return request.limit * request.nested_messages
        case ConversationRequest():
            return request.limit
        case MessagesRequest():
            return 0 if request.ids_only else request.limit
        case ParticipantsRequest():
            return 0


class Fields:
    """The fields that calls ask for: all that the tables name, but those that Meta refused."""

    def __init__(self, platform: str, left_out: list[str]) -> None:
        self._platform = platform
        self._left_out = left_out

    def of(self, table: Table) -> tuple[str, ...]:
        """What to ask of the nodes of a table."""
        return tuple(field for field in table.graph_fields(self._platform) if field_name(field) not in self._left_out)

    def with_messages(self, limit: int) -> tuple[str, ...]:
        """What to ask of a conversation with its newest messages."""
        return (*self.of(CONVERSATIONS), nested_messages(self.of(MESSAGES), limit))

    def named_in(self, text: str) -> list[str]:
        """The fields that a text of Meta's names as refused and that can be left out."""
        tables = (CONVERSATIONS, MESSAGES)
        names = {field_name(field) for table in tables for field in table.graph_fields(self._platform)}
        names -= {*IDS_ONLY, *MESSAGE_IDS_ONLY}
        for pattern in _NAMED_FIELD:
            if found := names & set(pattern.findall(text)):
                return sorted(found)
        return []


def field_name(field: str) -> str:
    """The name of a field without its arguments and subfields.

    >>> field_name("shares{link,name}")
    'shares'
    """
    return field.partition("{")[0].partition(".")[0]


def fetch(request: Request, edge: ConversationsEdge, fields: Fields) -> Callable[[], Response]:
    """The call that a request describes; what it asks for is read now, in the deciding thread."""
    match request:
        case ListRequest():
            names = IDS_ONLY if request.ids_only else fields.with_messages(request.nested_messages)
            return lambda: edge.conversations(names, request.limit, request.position, retried=request.retried)
        case ConversationRequest():
            names = fields.with_messages(request.limit)
            return lambda: edge.conversation(request.conversation_id, names, retried=request.retried)
        case MessagesRequest():
            names = MESSAGE_IDS_ONLY if request.ids_only else fields.of(MESSAGES)
            where = (request.conversation_id, names, request.limit, request.position)
            return lambda: edge.messages(*where, lenient_rows=request.lenient, retried=request.retried)
        case ParticipantsRequest():
            return lambda: edge.participants(request.conversation_id, request.position, retried=request.retried)


class Dispatcher(Protocol):
    """Sends calls and returns their outcomes in any order; used from one thread."""

    @property
    def has_room(self) -> bool:
        """Whether another call can be sent now."""

    def send(self, request: Request, call: Callable[[], Response]) -> None:
        """Sends a call."""

    def next_outcome(self) -> tuple[Request, Outcome]:
        """Waits for the next outcome; what is no ``GraphError`` is raised."""

    def close(self) -> None:
        """Waits a moment for what is in flight and sends nothing more."""


class ThreadDispatcher:
    """Sends up to ``workers`` calls at once, each from a thread of its own: the threads fetch, and decide nothing."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._running: dict[Future[Response], Request] = {}
        self._done: SimpleQueue[Future[Response]] = SimpleQueue()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="metaconv")

    @property
    def has_room(self) -> bool:
        """Whether another call can be sent now."""
        return len(self._running) < self._workers

    def send(self, request: Request, call: Callable[[], Response]) -> None:
        """Sends a call."""
        future = self._threads.submit(call)
        self._running[future] = request
        future.add_done_callback(self._done.put)

    def next_outcome(self) -> tuple[Request, Outcome]:
        """Waits for the next outcome; what is no ``GraphError`` is raised."""
        future = self._done.get()
        request = self._running.pop(future)
        try:
            return request, future.result()
        except GraphError as error:
            return request, error

    def close(self) -> None:
        """Waits a moment for what is in flight and sends nothing more."""
        # Calls that were told to stop end at once, but for one that looks for its host or connects to it.
        ended = wait(self._running, SECONDS_TO_END)
        self._threads.shutdown(wait=not ended.not_done, cancel_futures=True)

"""The calls of an extraction as values, the fields they request, and the threads that send them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
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
"""How Meta names a refused field, most reliable pattern first: names such as *from* are also ordinary words."""

Position = dict[str, str]
"""The parameters of a position in a list, such as ``{"after": "QVFI…"}``; empty means the top."""

AT_ONCE: tuple[Action, ...] = ()
"""Nothing is retried within the call. Less is requested instead, without waiting."""

IN_PASSING = (Action.RETRY,)
"""Temporary errors are retried with back-off. If Meta calls a request too large, less is requested immediately."""

PATIENTLY = (Action.RETRY, Action.ASK_LESS)
"""Everything is retried with back-off, because nothing smaller can be requested."""


SECONDS_TO_END = 1.0


class ListRequest(msgspec.Struct, frozen=True):
    """One page of the list of conversations; ``nested_messages=0`` requests IDs and times only."""

    position: Position
    limit: int
    nested_messages: int
    retried: tuple[Action, ...] = IN_PASSING

    @property
    def ids_only(self) -> bool:
        """Whether it requests IDs and times only."""
        return self.nested_messages == 0

    @property
    def is_smallest(self) -> bool:
        """Whether nothing smaller can be requested at this position."""
        return self.ids_only and self.limit == 1


class ConversationRequest(msgspec.Struct, frozen=True):
    """One conversation by its ID, with its newest ``limit`` messages nested."""

    conversation_id: str
    limit: int
    retried: tuple[Action, ...] = IN_PASSING


class MessagesRequest(msgspec.Struct, frozen=True):
    """One page of a conversation's messages, newest first; ``lenient`` counts rows that are not messages."""

    conversation_id: str
    position: Position
    limit: int
    ids_only: bool = False
    lenient: bool = False
    retried: tuple[Action, ...] = IN_PASSING


class ParticipantsRequest(msgspec.Struct, frozen=True):
    """One more page of a conversation's participants."""

    conversation_id: str
    position: Position
    retried: tuple[Action, ...] = IN_PASSING
    limit: int = 1


Request = ListRequest | ConversationRequest | MessagesRequest | ParticipantsRequest
Response = ResultPage | Mapping[str, Any]
Outcome = Response | GraphError


def asked_messages(request: Request) -> int:
    """Return the maximum number of messages with content that a call requests."""
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
    """The fields that calls request: all fields of the tables, except those that Meta refuses and those to drop."""

    def __init__(self, platform: str, left_out: list[str], dropped: Collection[str] = ()) -> None:
        self._platform = platform
        self._left_out = left_out
        self._dropped = dropped

    def of(self, table: Table) -> tuple[str, ...]:
        """Return the fields to request for the nodes of a table."""
        wanted = (field for field in table.graph_fields(self._platform) if field not in self._dropped)
        return tuple(field for field in wanted if field_name(field) not in self._left_out)

    def with_messages(self, limit: int) -> tuple[str, ...]:
        """Return the fields to request for a conversation with its newest messages."""
        return (*self.of(CONVERSATIONS), nested_messages(self.of(MESSAGES), limit))

    def named_in(self, text: str) -> list[str]:
        """Return the optional fields that a text from Meta names as refused."""
        tables = (CONVERSATIONS, MESSAGES)
        names = {field_name(field) for table in tables for field in table.graph_fields(self._platform)}
        names -= {*IDS_ONLY, *MESSAGE_IDS_ONLY}
        for pattern in _NAMED_FIELD:
            if found := names & set(pattern.findall(text)):
                return sorted(found)
        return []


def field_name(field: str) -> str:
    """Return the name of a field without its arguments and subfields.

    >>> field_name("shares{link,name}")
    'shares'
    """
    return field.partition("{")[0].partition(".")[0]


def fetch(request: Request, edge: ConversationsEdge, fields: Fields) -> Callable[[], Response]:
    """Return the call that a request describes. Its fields are determined now, in the deciding thread."""
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
    """Sends calls and returns their outcomes in any order. For use from one thread."""

    @property
    def has_room(self) -> bool:
        """Whether another call can be sent now."""

    def send(self, request: Request, call: Callable[[], Response]) -> None:
        """Send a call."""

    def next_outcome(self) -> tuple[Request, Outcome]:
        """Wait for the next outcome; raises any error that is not a ``GraphError``."""

    def close(self) -> None:
        """Wait briefly for the calls in flight, and send nothing more."""


class ThreadDispatcher:
    """Sends up to ``workers`` calls at once, each from its own thread. The threads only fetch; they decide nothing."""

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
        """Send a call."""
        future = self._threads.submit(call)
        self._running[future] = request
        future.add_done_callback(self._done.put)

    def next_outcome(self) -> tuple[Request, Outcome]:
        """Wait for the next outcome; raises any error that is not a ``GraphError``."""
        future = self._done.get()
        request = self._running.pop(future)
        try:
            return request, future.result()
        except GraphError as error:
            return request, error

    def close(self) -> None:
        """Wait briefly for the calls in flight, and send nothing more."""
        # Stopped calls end immediately, except during a DNS lookup or while connecting.
        ended = wait(self._running, SECONDS_TO_END)
        self._threads.shutdown(wait=not ended.not_done, cancel_futures=True)

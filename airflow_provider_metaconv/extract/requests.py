"""The calls of an extraction as values, the fields they request, and the threads that send them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from typing import Any, Protocol

import msgspec

from airflow_provider_metaconv.extract.extra_fields import CONVERSATION_PREFIX, NO_EXTRA_FIELDS, ExtraFields
from airflow_provider_metaconv.graph.conversations import ConversationsEdge, nested_messages
from airflow_provider_metaconv.graph.errors import Action, GraphError
from airflow_provider_metaconv.graph.pagination import ResultPage
from airflow_provider_metaconv.schema import CONVERSATIONS, MESSAGES, Table, field_name

IDS_ONLY = ("id", "updated_time")
MESSAGE_IDS_ONLY = ("id", "created_time")

REQUIRED_FIELDS = frozenset({*IDS_ONLY, *MESSAGE_IDS_ONLY, "from", "to", "message"})
"""Fields that are never left out. Without them, messages would seem complete but say nothing."""

_NAMED_FIELD = (re.compile(r"field \(?['\"]?(\w+)"), re.compile(r"(\w+)['\"]? field"), re.compile(r"['\"(](\w+)['\")]"))
"""How Meta names a refused field, most reliable pattern first: names such as *from* are also ordinary words."""

_NODE_TYPE = re.compile(r"on node type \(\w*?(Thread|Conversation|Message|)\)")
_NODE_TYPES = {"Thread": CONVERSATIONS, "Conversation": CONVERSATIONS, "Message": MESSAGES}

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
    """The fields that calls request: those of the tables and ``extra`` ones, except those to drop and the refused ones.

    ``left_out`` are the refused fields, and grows. A field is named as in the setting ``extra_fields`` if it is an
    extra one, and otherwise by its plain name.
    """

    def __init__(
        self,
        platform: str,
        left_out: list[str],
        dropped: Collection[str] = (),
        extra: ExtraFields = NO_EXTRA_FIELDS,
    ) -> None:
        self._platform = platform
        self._left_out = left_out
        self._dropped = dropped
        self._extra = extra

    def of(self, table: Table) -> tuple[str, ...]:
        """Return the fields to request for the nodes of a table."""
        return tuple(field for name, field in self._named(table) if name not in self._left_out)

    def with_messages(self, limit: int) -> tuple[str, ...]:
        """Return the fields to request for a conversation with its newest messages."""
        return (*self.of(CONVERSATIONS), nested_messages(self.of(MESSAGES), limit))

    def named_in(self, text: str, *, as_subfield: bool = False) -> list[str]:
        """Return the optional fields that a text from Meta names as refused.

        A name on another type of node, such as a shared object, is that of a subfield, and its field is left out. With
        ``as_subfield``, it is one in any case.
        """
        node_type = match[1] if (match := _NODE_TYPE.search(text)) else None
        tables = [_NODE_TYPES[node_type]] if node_type else [CONVERSATIONS, MESSAGES]
        fields = [each for table in tables for each in self._named(table)]
        for pattern in _NAMED_FIELD:
            words = set(pattern.findall(text))
            found = {name for name, field in fields if field_name(field) in words}
            if node_type == "" or as_subfield:
                found = {name for name, field in fields if not words.isdisjoint(_subfields(field))} or found
            if found:
                # Nothing else in the text counts if it names a required field.
                return sorted(found - REQUIRED_FIELDS)
        return []

    def _named(self, table: Table) -> Iterator[tuple[str, str]]:
        """Yield each field of a table's nodes, with the name under which it is left out."""
        for field in table.graph_fields(self._platform):
            if field not in self._dropped:
                yield field_name(field), field
        prefix = CONVERSATION_PREFIX if table == CONVERSATIONS else ""
        yield from ((prefix + field, field) for field in self._extra.of(table))


def _subfields(field: str) -> list[str]:
    return field.partition("{")[2].rstrip("}").split(",")


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

"""The requests of one attempt and the interpretation of responses: ``plan`` and ``apply``. Pure except for its clock.

Facts about this attempt only, such as refused lists and conversations, are kept here and in no checkpoint. The next
attempt requests all of them again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from airflow_provider_metaconv.extract import list_walk
from airflow_provider_metaconv.extract.conversation import ConversationReader, next_request
from airflow_provider_metaconv.extract.conversation_state import depends_on_refusal, is_finished
from airflow_provider_metaconv.extract.known import KnownConversations
from airflow_provider_metaconv.extract.ledger import amend, has_activity_in_window, ledger_row
from airflow_provider_metaconv.extract.list_walk import Node
from airflow_provider_metaconv.extract.page_sizes import BYTES_PER_CALL
from airflow_provider_metaconv.extract.requests import (
    PATIENTLY,
    Fields,
    ListRequest,
    Outcome,
    Request,
    asked_messages,
)
from airflow_provider_metaconv.extract.resumption import LISTING_MARGIN, latest, time_of
from airflow_provider_metaconv.extract.rows import Batch, ExtractionContext, effective_time
from airflow_provider_metaconv.extract.state import (
    Amendment,
    ConversationState,
    Ended,
    ExtractionState,
    VerifyingEnd,
    VerifyingLast,
)
from airflow_provider_metaconv.files.evidence import ListOutcome, WindowEvidence
from airflow_provider_metaconv.graph.errors import (
    Action,
    CursorError,
    ErrorScope,
    FieldRefusedError,
    GraphError,
    LimitTooHighError,
    TooMuchDataError,
)
from airflow_provider_metaconv.graph.pagination import ResultPage
from airflow_provider_metaconv.privacy.suppression import SuppressionList
from airflow_provider_metaconv.window import iso, row_time

logger = logging.getLogger(__name__)


FEWEST_REFUSALS = 3
SECONDS_REFUSED = 600.0
LONGEST_PAUSE = 300.0
"""A list counts as unreadable in this attempt after so many refusals of its smallest call, over so many seconds."""

EARLY_REFUSALS, LATE_REFUSALS = 10, 3
"""A missing permission fails the task if it affects this many conversations, and most of those tried, during the
attempt and at its end."""

CLOCK_MARGIN = timedelta(hours=1)
"""More than the difference between this machine's clock and Meta's."""

MOST_PASSED = 1_000
"""How many conversations without messages in the window are stored for a restart: the first ones, from the top."""

MOST_REFUSED_AGAIN = 8
"""How often a field may be refused that is left out already: more than the calls that were in flight with it."""

PROBE = ListRequest({}, 1, 0, PATIENTLY)
"""Sent before conversations are called unreadable. If even this fails, the conversations are not the cause."""


@dataclass(slots=True)
class _Refusal:
    """The refusals of a list in this attempt: their number, the first one's time, and when to try again."""

    error: GraphError
    since: float
    times: int = 1
    pause_until: float = 0.0
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Partiality:
    """Whether a partial result is acceptable, and the conversations known from earlier runs, for unreadable lists."""

    accepted: bool = False
    known_ids: Callable[[], Iterable[str]] = tuple
    clock: Callable[[], float] = field(default=lambda: 0.0)


class Attempt:
    """One attempt at a window. ``known`` holds the conversations seen so far, and grows.

    ``folders`` are the lists' folders, in the order of ``state.lists``. ``incomplete_before`` says whether an
    earlier extraction reported a conversation as incomplete. Such a conversation always gets a ledger row, even without
    messages in the window.
    """

    def __init__(
        self,
        context: ExtractionContext,
        state: ExtractionState,
        folders: Sequence[str | None],
        known: KnownConversations,
        partiality: Partiality,
        incomplete_before: Callable[[str], bool] = lambda _: False,
        suppressed: SuppressionList | None = None,
        dropped_fields: Collection[str] = (),
    ) -> None:
        self._context = context
        self._state = state
        self._folders = folders
        self._known = known
        self._partiality = partiality
        self._incomplete_before = incomplete_before
        self._suppressed = suppressed or SuppressionList()
        self._reader = ConversationReader(context, state, self._suppressed)
        self._wanted = list_walk.Wanted(context.since, context.until)
        self._bound = context.window.listing_bound(LISTING_MARGIN)
        self._refused: dict[int, _Refusal] = {}
        self._passed = set(state.passed)
        self._asked_last: set[str] = set()
        self._refusals: Counter[str] = Counter()
        self._refused_with: dict[str, GraphError] = {}
        self._finished = 0
        self._opened_known = False
        self._is_probed = False
        self._refused_again: Counter[str] = Counter()
        self.fields = Fields(context.platform, state.left_out_fields, dropped_fields, context.extra_fields)

    @property
    def current_list(self) -> int | None:
        """The number of the list that is being read; None if each one is read or refused."""
        for number, each in enumerate(self._state.lists):
            refusal = self._refused.get(number)
            if not isinstance(each.phase, Ended) and not (refusal and refusal.is_final):
                return number
        return None

    @property
    def asked_list(self) -> int:
        """The number of the list that list requests go to: the current one, or one that was read."""
        if (number := self.current_list) is not None:
            return number
        read = (number for number, each in enumerate(self._state.lists) if isinstance(each.phase, Ended))
        return next(read, 0)

    def plan(self, in_flight: Collection[Request]) -> Iterator[Request]:
        """Yield the requests that are needed and not in flight. Open conversations come before the next list page."""
        busy = {request.conversation_id for request in in_flight if not isinstance(request, ListRequest)}
        list_is_busy = len(busy) < len(in_flight)
        sizes = self._state.page_sizes
        is_open = False
        for conversation in self._state.conversations.values():
            if not conversation.deferred:
                is_open = True
                if conversation.id not in busy:
                    yield next_request(conversation, sizes)
        number = self.current_list
        if number is not None:
            state = self._state.lists[number]
            waits = list_is_busy or self.pause() > 0 or (is_open and list_walk.is_at_pass_start(state))
            request = None if waits else list_walk.next_request(state, sizes)
            if request is not None:
                yield request
        elif not is_open:
            for conversation in self._state.conversations.values():
                if conversation.id not in busy and conversation.id not in self._asked_last:
                    yield next_request(conversation, sizes, last_time=True)
            if not in_flight and self._needs_probe:
                yield PROBE

    @property
    def _needs_probe(self) -> bool:
        """Whether conversations were refused in a way that could also mean that nothing can be read now."""
        passes_by_itself = any(each.deferred and each.may_pass for each in self._state.conversations.values())
        is_list_read = any(isinstance(each.phase, Ended) for each in self._state.lists)
        return passes_by_itself and is_list_read and not self._is_probed

    def pause(self) -> float:
        """Return the seconds for which the current list pauses after a refusal."""
        refusal = None if (number := self.current_list) is None else self._refused.get(number)
        return 0.0 if refusal is None else max(refusal.pause_until - self._partiality.clock(), 0.0)

    def apply(self, request: Request, outcome: Outcome, once_planned: Callable[[], None] = lambda: None) -> Batch:
        """Return the rows of an outcome; raises a ``GraphError`` that ends the attempt.

        ``once_planned`` is called when the next request of a list is known, so that it is sent while rows are built.
        """
        if request == PROBE and self.current_list is None:
            return self._apply_probe(outcome)
        if isinstance(outcome, GraphError):
            return self._apply_refusal(request, outcome)
        if isinstance(request, ListRequest):
            return self._read_list(request, cast(ResultPage, outcome), once_planned)
        conversation = self._state.conversations[request.conversation_id]
        self._note_last_time(conversation)
        return self._advance(conversation, self._reader.accept(conversation, request, outcome))

    def _apply_probe(self, outcome: Outcome) -> Batch:
        if isinstance(outcome, GraphError):
            raise outcome
        self._is_probed = True
        return Batch()

    def _apply_refusal(self, request: Request, error: GraphError) -> Batch:
        if error.action is Action.WAIT or error.scope is ErrorScope.APP:
            raise error
        self._learn_message_size(request, error)
        if self._is_avoidable(request, error):
            return Batch()
        if isinstance(request, ListRequest):
            self._refuse_list(request, error)
            return Batch()
        conversation = self._state.conversations[request.conversation_id]
        self._note_last_time(conversation)
        was_deferred = conversation.deferred
        self._reader.refuse(conversation, request, error, last_time=was_deferred)
        if conversation.deferred and not was_deferred:
            self._note_refusal(error)
        return self._advance(conversation, [])

    def _learn_message_size(self, request: Request, error: GraphError) -> None:
        """Learn the minimum length of messages from a response that was cut off for its size."""
        if isinstance(error, TooMuchDataError) and error.received_bytes:
            self._state.page_sizes.weighed(asked_messages(request), error.received_bytes)

    def _note_last_time(self, conversation: ConversationState) -> None:
        if conversation.deferred:
            self._asked_last.add(conversation.id)

    def _is_avoidable(self, request: Request, error: GraphError) -> bool:
        """Whether the refusal can be avoided by leaving out a field, or by a smaller limit from now on."""
        if isinstance(error, FieldRefusedError):
            return self._leave_out(error)
        if isinstance(error, LimitTooHighError) and not self._is_verification(request):
            nested = request.nested_messages if isinstance(request, ListRequest) else 0
            return self._state.page_sizes.limit_refused(max(request.limit, nested), error.maximum)
        return False

    def _leave_out(self, error: FieldRefusedError) -> bool:
        """Leave out the optional fields that Meta refuses from now on; returns False if it refuses something else."""
        left_out = self._state.left_out_fields
        names = self.fields.named_in(error.field_text)
        if names and set(names) <= set(left_out):
            self._refused_again.update(names)
            if all(self._refused_again[name] <= MOST_REFUSED_AGAIN for name in names):
                # The call was in flight when the field was left out.
                return True
            names = self.fields.named_in(error.field_text, as_subfield=True)
        if new := [name for name in names if name not in left_out]:
            logger.warning("Meta refuses the fields %s, whose columns will be null: %s", ", ".join(new), error)
            left_out.extend(new)
        return bool(new)

    def _is_verification(self, request: Request) -> bool:
        """Whether the request asked for more than usual, to verify whether anything follows a page."""
        number = self.current_list
        is_of_list = isinstance(request, ListRequest) and number is not None
        return is_of_list and isinstance(self._state.lists[cast(int, number)].phase, VerifyingLast | VerifyingEnd)

    def note_written(self, batch: Batch) -> None:
        """Register the conversations of rows that an earlier attempt wrote."""
        for row in batch.conversations:
            stored_id = row["conversation_id"]
            self._known.add_stored(stored_id, time_of(row))
            self._passed.discard(stored_id)
            self._state.passed.pop(stored_id, None)

    # Lists

    def _read_list(self, request: ListRequest, page: ResultPage, once_planned: Callable[[], None]) -> Batch:
        number = cast(int, self.current_list)
        state = self._state.lists[number]
        try:
            nodes = list_walk.accept(state, request, page, self._known, self._state.page_sizes, self._wanted)
        except GraphError as error:
            self._fail_list(number, error)
            return Batch()
        self._refused.pop(number, None)
        self._state.reference = self._state.reference or state.top
        if _text_length(nodes) <= BYTES_PER_CALL:
            # With long messages, only one page is held in memory, and the next request's size depends on their length.
            once_planned()
        batch, folder = Batch(), self._folders[number]
        nodes.reverse()
        while nodes:
            # Removed from the page, so that the page is not fully in memory when the next response arrives.
            self._register(nodes.pop(), request.nested_messages, folder, batch)
        return batch

    def _register(self, node: Node, nested: int, folder: str | None, batch: Batch) -> None:
        conversation_id, time = str(node["id"]), effective_time(node)
        if conversation_id not in self._known:
            self._known[conversation_id] = time
            updated_time = row_time(node.get("updated_time"))
            self._open(ConversationState(conversation_id, updated_time, folder=folder), node, nested, batch)
        elif time is not None and (self._known[conversation_id] or "") < time:
            self._known[conversation_id] = time
            reference = self._state.reference
            is_wanted = reference and self._context.until > reference
            if is_wanted and conversation_id not in self._state.conversations:
                # It has moved since it was read: its new messages count if the window is still open.
                newer_than = "" if self._known.stored_id(conversation_id) in self._passed else reference
                again = ConversationState(conversation_id, time, newer_than=newer_than, folder=folder)
                self._state.conversations[conversation_id] = again

    def _open(self, conversation: ConversationState, node: Node, nested: int, batch: Batch) -> None:
        if self._suppressed.scope_of(self._known.stored_id(conversation.id)):
            self._pass(conversation)
            return
        rows = self._reader.read_listed(conversation, node, nested)
        time = effective_time(node)
        is_old = time is not None and time < self._bound
        if not rows and is_old and not self._incomplete_before(conversation.id):
            # Neither its time nor its newest messages are in the window.
            self._pass(conversation)
            return
        self._state.conversations[conversation.id] = conversation
        self._add(batch, self._advance(conversation, rows))

    def _refuse_list(self, request: ListRequest, error: GraphError) -> None:
        number = cast(int, self.current_list)
        # A single unreadable conversation can make the list that nests its messages fail.
        is_of_nested = not request.ids_only and error.scope in (ErrorScope.CONVERSATION, ErrorScope.PAGE)
        may_pass = isinstance(error, CursorError) or error.action in (Action.RETRY, Action.ASK_LESS)
        if not (is_of_nested or may_pass):
            self._fail_list(number, error)
            return
        logger.debug("The list of conversations is refused at %s: %s", request, error)
        try:
            list_walk.refuse(self._state.lists[number], request, error, self._state.page_sizes)
        except GraphError as failure:
            self._fail_list(number, failure)

    def _fail_list(self, number: int, error: GraphError) -> None:
        """Handle a list that cannot be read now: continue with another one, wait, or raise."""
        now = self._partiality.clock()
        refusal = self._refused.setdefault(number, _Refusal(error, now, times=0))
        refusal.error, refusal.times = error, refusal.times + 1
        is_passing = error.action in (Action.RETRY, Action.ASK_LESS)
        if is_passing and self._partiality.accepted:
            if refusal.times < FEWEST_REFUSALS or now - refusal.since < SECONDS_REFUSED:
                refusal.pause_until = now + min(60.0 * 2 ** (refusal.times - 1), LONGEST_PAUSE)
                logger.warning("Retrying in %.0f s: %s", refusal.pause_until - now, error)
                return
            self._open_known(number, error)
        elif len(self._state.lists) == 1:
            raise error
        refusal.is_final = True
        logger.warning("%s cannot be read: %s", self._named(number), error)

    def _open_known(self, number: int, error: GraphError) -> None:
        known_before = list(self._partiality.known_ids())
        if not known_before and not any(isinstance(each.phase, Ended) for each in self._state.lists):
            raise error
        known = [each for each in known_before if each not in self._known]
        logger.warning("Reading %d conversations known from earlier runs instead of the list", len(known))
        self._opened_known = True
        # No list has shown Meta's time yet, so use our clock, minus more than the two can differ.
        began = datetime.fromisoformat(self._context.extracted_time) - CLOCK_MARGIN
        self._state.reference = self._state.reference or iso(began)
        for conversation_id in known:
            self._known[conversation_id] = None
            self._state.conversations[conversation_id] = ConversationState(conversation_id)

    def _named(self, number: int) -> str:
        folder = self._folders[number]
        return f"The folder {folder}" if folder else "The list of conversations"

    # Conversations

    def _advance(self, conversation: ConversationState, rows: list[dict[str, Any]]) -> Batch:
        batch = Batch(rows)
        if conversation.deferred and conversation.id not in self._asked_last:
            return batch
        if is_finished(conversation):
            self._finish(conversation, batch)
        return batch

    def _finish(self, conversation: ConversationState, batch: Batch) -> None:
        state = self._state
        self._finished += 1
        del state.conversations[conversation.id]
        self._known[conversation.id] = latest(
            self._known.get(conversation.id), conversation.updated_time, conversation.newest
        )
        if conversation.suppressed or self._suppressed.scope_of(self._known.stored_id(conversation.id)):
            self._pass(conversation)
            return
        if conversation.tracked_ids is not None:
            state.reread.add(conversation.id)
        if conversation.deferred or depends_on_refusal(conversation):
            state.doubtful[conversation.id] = conversation.folder
        if conversation.unplaced:
            before_it = state.unplaced.get(conversation.id, 0) if conversation.newer_than else 0
            state.unplaced[conversation.id] = before_it + conversation.unplaced
        if conversation.newer_than:
            # It already has a ledger row.
            before = state.amendments.get(conversation.id, Amendment())
            state.amendments[conversation.id] = amend(before, conversation, self._context.platform)
        elif self._belongs_into_ledger(conversation):
            batch.conversations.append(ledger_row(conversation, self._context))
            stored_id = self._known.stored_id(conversation.id)
            self._passed.discard(stored_id)
            state.passed.pop(stored_id, None)
        else:
            self._pass(conversation)

    def _pass(self, conversation: ConversationState) -> None:
        """Remember a conversation without a row, so that a later attempt does not take it for new."""
        stored_id = self._known.stored_id(conversation.id)
        self._passed.add(stored_id)
        if len(self._state.passed) < MOST_PASSED:
            self._state.passed[stored_id] = self._known.get(conversation.id)

    def _belongs_into_ledger(self, conversation: ConversationState) -> bool:
        was_there = conversation.id in self._state.reread or self._incomplete_before(conversation.id)
        return was_there or has_activity_in_window(conversation, self._context)

    @staticmethod
    def _add(batch: Batch, other: Batch) -> None:
        batch.messages += other.messages
        batch.conversations += other.conversations

    def _note_refusal(self, error: GraphError) -> None:
        """Raise the error if most conversations lack a permission: then it is not about single conversations."""
        if error.action is not Action.FAIL:
            return
        kind = error.kind
        self._refusals[kind] += 1
        self._refused_with[kind] = error
        times = self._refusals[kind]
        if times >= EARLY_REFUSALS and 2 * times > self._finished + self._refusals.total():
            raise error

    def conclude(self) -> Batch:
        """Return the ledger rows of conversations that were refused until the end of the attempt.

        Raises a permission error if most of all conversations were refused with it.
        """
        refused = [each for each in self._state.conversations.values() if each.deferred]
        if self._refusals:
            kind, times = self._refusals.most_common(1)[0]
            times = min(times, len(refused))
            if times >= LATE_REFUSALS and 2 * times > self._finished + len(refused):
                raise self._refused_with[kind]
        batch = Batch()
        for conversation in refused:
            self._finish(conversation, batch)
        return batch

    def evidence(self) -> WindowEvidence:
        """Return what was read of the lists; raises if none was read and no known conversations replace them.

        A list that is neither fully read nor refused, or an open conversation, is a bug in this program, so there is no
        evidence then.
        """
        if self._state.conversations:
            raise RuntimeError(f"{len(self._state.conversations)} conversations are not fully read")
        unread = {n for n, each in enumerate(self._state.lists) if not isinstance(each.phase, Ended)}
        if unread - self._refused.keys():
            raise RuntimeError("a list is neither fully read nor refused")
        outcomes = [self._outcome(number) for number in range(len(self._state.lists))]
        if not any(outcome.is_read for outcome in outcomes) and not self._opened_known:
            raise next(iter(self._refused.values())).error
        return WindowEvidence(tuple(outcomes))

    def _outcome(self, number: int) -> ListOutcome:
        phase, folder = self._state.lists[number].phase, self._folders[number]
        if isinstance(phase, Ended):
            return ListOutcome(folder, proof=phase.evidence.proof)
        return ListOutcome(folder, reason=str(self._refused[number].error))

    @property
    def refusal(self) -> GraphError | None:
        """Why a list was not read in this attempt; None if all were."""
        return next((refusal.error for refusal in self._refused.values() if refusal.is_final), None)


def _text_length(nodes: Iterable[Node]) -> int:
    """Return the total length of the texts nested in a page of conversations. Their rows are hardly longer."""
    edges = (node.get("messages") for node in nodes)
    lists = (edge.get("data") for edge in edges if isinstance(edge, dict))
    rows = (row for each in lists if isinstance(each, list) for row in each)
    return sum(len(text) for row in rows if isinstance(row, dict) and isinstance(text := row.get("message"), str))

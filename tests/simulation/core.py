"""The only module that calls the extraction core: one attempt, from the connection's token to the manifest."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal

from airflow_provider_metaconv.erase.erase import read_suppressed
from airflow_provider_metaconv.extract import list_walk
from airflow_provider_metaconv.extract.attempt import PROBE
from airflow_provider_metaconv.extract.extra_fields import ExtraFields
from airflow_provider_metaconv.extract.extraction import (
    ExtractionResult,
    Settings,
    extract_conversations,
    known_conversations,
)
from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.extract.requests import (
    PATIENTLY,
    ConversationRequest,
    ListRequest,
    MessagesRequest,
    Outcome,
    ParticipantsRequest,
    Request,
    Response,
)
from airflow_provider_metaconv.extract.rows import ExtractionContext
from airflow_provider_metaconv.extract.state import (
    CatchingUp,
    Reading,
    Rewinding,
    SkippingOne,
    VerifyingCursor,
    VerifyingEnd,
    VerifyingLast,
)
from airflow_provider_metaconv.files.errors import FilesError, ManifestError, StorageRefusedError
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.graph.auth import Credentials, page_identity
from airflow_provider_metaconv.graph.client import GraphClient
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.graph.errors import Action, GraphError
from airflow_provider_metaconv.graph.limits import Pacer
from airflow_provider_metaconv.privacy.rows import RowPrivacy
from airflow_provider_metaconv.window import Window
from tests.simulation.clock import VirtualClock
from tests.simulation.transport import ORIGIN, TOKEN, SimulatedSession

WORKERS = 4
WAIT_MARGIN_SECONDS = 5.0

LIST_PHASES = tuple(
    each.__name__
    for each in (Reading, SkippingOne, Rewinding, VerifyingCursor, VerifyingLast, VerifyingEnd, CatchingUp)
)
PHASES = (TOKEN, *LIST_PHASES, "probe", "conversation", "messages", "ids", "step over", "people", "last time")
"""The purposes of the core's calls."""

EXTRA_FIELDS = ExtraFields.parse(["thread_id", "conversations.is_owner"])

# As in retry_policy.py, which needs Airflow.
_FINAL = (ManifestError, StorageRefusedError)


@dataclass(frozen=True, slots=True)
class Task:
    """An operator's arguments; ``accepts_partial`` is ``on_incomplete="warn"``, ``not_before`` the cutoff."""

    platform: str
    page_id: str
    folders: Sequence[str | None]
    since: datetime | None
    until: datetime
    sizes: tuple[int, int, int] | None
    accepts_partial: bool = True
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """How an attempt ended, in Airflow's terms; ``wait_seconds`` is for a reschedule.

    ``gaps`` are those of a published partial result, whether the task accepts it or not.
    """

    kind: Literal["success", "reschedule", "retry", "fail", "killed", "endless", "broken"]
    error: str = ""
    wait_seconds: float = 0.0
    gaps: tuple[str, ...] = ()


class OneThread:
    """A ``Dispatcher`` without threads: calls in flight are answered one at a time, in random order.

    ``note`` is called with the phase of each call before it is sent.
    """

    def __init__(self, note: Callable[[str], None], planned: list[str], workers: int) -> None:
        self._note = note
        self._planned = planned
        self._workers = workers
        self._waiting: list[tuple[Request, str, Callable[[], Response]]] = []

    @property
    def has_room(self) -> bool:
        return len(self._waiting) < self._workers

    def send(self, request: Request, call: Callable[[], Response]) -> None:
        self._waiting.append((request, self._phase(request), call))

    def next_outcome(self) -> tuple[Request, Outcome]:
        request, phase, call = self._waiting.pop(random.randrange(len(self._waiting)))
        self._note(phase)
        try:
            return request, call()
        except GraphError as error:
            return request, error

    def close(self) -> None:
        """Does nothing: calls without a response were never sent."""

    def _phase(self, request: Request) -> str:
        if isinstance(request, ListRequest):
            return "probe" if request is PROBE else self._planned[-1]
        if isinstance(request, ParticipantsRequest):
            return "people"
        if request.retried == PATIENTLY:
            return "last time"
        if isinstance(request, ConversationRequest):
            return "conversation"
        assert isinstance(request, MessagesRequest)
        if not request.ids_only:
            return "messages"
        return "step over" if request.limit == 1 else "ids"


@contextlib.contextmanager
def _recorded_phases() -> Iterator[list[str]]:
    """Records the phase of the list for each planned request: the request itself does not have it."""
    planned: list[str] = []
    original = list_walk.next_request

    def noting(state: Any, sizes: Any) -> ListRequest | None:
        planned.append(type(state.phase).__name__)
        return original(state, sizes)

    list_walk.next_request = noting
    try:
        yield planned
    finally:
        list_walk.next_request = original


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a task, in this thread."""

    task: Task
    session: SimulatedSession
    storage: Storage
    clock: VirtualClock
    token: str
    extracted_time: str
    privacy: RowPrivacy

    def run(self) -> AttemptOutcome:
        """Runs the attempt; does not catch ``BaseException``."""
        try:
            result = self._extract()
        except (GraphError, FilesError) as error:
            return _failed(error)
        except Exception as error:  # noqa: BLE001  (any other exception is a finding)
            return AttemptOutcome("broken", f"{type(error).__name__}: {error}")
        return _finished(self.task, result)

    def _extract(self) -> ExtractionResult:
        pacer = Pacer(clock=self.clock, sleep=self.clock.sleep)
        client = GraphClient(
            self.session,
            Credentials(self.token),
            base_url=ORIGIN,
            pacer=pacer,
            clock=self.clock,
            sleep=self.clock.sleep,
        )
        self.storage.check_writable()
        root = self.storage.parent()
        self.session.note_phase(TOKEN)
        identity = page_identity(client.get, self.task.page_id, with_instagram=self.task.platform == "INSTAGRAM")
        client.use_page(identity)
        if not self.privacy.policy.is_full:
            client.hide_people()
        edges = [
            ConversationsEdge(client.get, self.task.page_id, self.task.platform, folder) for folder in self.task.folders
        ]
        usernames = frozenset(filter(None, [identity.instagram_username]))
        window = Window(self.task.since, self.task.until)
        if self.task.not_before is not None:
            window = window.not_before(self.task.not_before)
        with _recorded_phases() as planned:
            return extract_conversations(
                edges,
                ExtractionContext(
                    self.task.platform,
                    self.task.page_id,
                    identity.own_ids,
                    window,
                    self.extracted_time,
                    own_usernames=usernames,
                    extra_fields=EXTRA_FIELDS,
                ),
                self.storage,
                client,
                Settings(
                    sizes=None if self.task.sizes is None else Sizes(*self.task.sizes),
                    workers=WORKERS,
                    accept_partial=self.task.accepts_partial,
                    privacy=self.privacy,
                    suppressed=read_suppressed(root),
                    reload_suppressed=partial(read_suppressed, root),
                    clock=self.clock,
                    sleep=self.clock.sleep,
                    dispatcher=partial(OneThread, self.session.note_phase, planned),
                ),
                known_ids=lambda: known_conversations(self.storage),
            )


def _finished(task: Task, result: ExtractionResult) -> AttemptOutcome:
    """Ends as the operator does: a partial result fails the task unless it is accepted."""
    if result.complete or task.accepts_partial:
        return AttemptOutcome("success", gaps=result.gaps)
    passes = result.refusal is None or result.refusal.action is not Action.FAIL
    return AttemptOutcome("retry" if passes else "fail", f"partial: {'; '.join(result.gaps)}", gaps=result.gaps)


def _failed(error: GraphError | FilesError) -> AttemptOutcome:
    reported = f"{type(error).__name__}: {error}"
    if isinstance(error, GraphError):
        if error.action is Action.WAIT:
            return AttemptOutcome("reschedule", reported, error.retry_after + WAIT_MARGIN_SECONDS)
        return AttemptOutcome("fail" if error.action is Action.FAIL else "retry", reported)
    return AttemptOutcome("fail" if isinstance(error, _FINAL) else "retry", reported)

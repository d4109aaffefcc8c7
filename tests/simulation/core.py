"""The only module that knows the extraction core: one attempt, from the connection's token to the manifest."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import requests

from airflow_provider_metaconv.extract.extraction import Settings, extract_conversations, known_conversations
from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.extract.requests import Answer, Request, Response
from airflow_provider_metaconv.extract.rows import ExtractionContext
from airflow_provider_metaconv.files.errors import FilesError, ManifestError, StorageRefusedError
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.graph.auth import Credentials, page_identity
from airflow_provider_metaconv.graph.client import GraphClient
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.graph.errors import Action, GraphError
from airflow_provider_metaconv.graph.limits import Pacer
from airflow_provider_metaconv.window import Window
from tests.simulation.clock import VirtualClock
from tests.simulation.transport import ORIGIN

WORKERS = 4
WAIT_MARGIN_SECONDS = 5.0

# As in retry_policy.py, which only exists where Airflow does.
_FINAL = (ManifestError, StorageRefusedError)


@dataclass(frozen=True, slots=True)
class Task:
    """What an operator is told."""

    platform: str
    page_id: str
    folders: Sequence[str | None]
    since: datetime | None
    until: datetime
    sizes: tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended, in Airflow's terms; ``wait_seconds`` is for a reschedule."""

    kind: Literal["success", "reschedule", "retry", "fail", "killed", "endless", "broken"]
    error: str = ""
    wait_seconds: float = 0.0


class OneThread:
    """A ``Dispatcher`` without threads: calls in flight are answered one at a time, in an order of chance."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._waiting: list[tuple[Request, Callable[[], Response]]] = []

    @property
    def has_room(self) -> bool:
        return len(self._waiting) < self._workers

    def send(self, request: Request, call: Callable[[], Response]) -> None:
        self._waiting.append((request, call))

    def next_answer(self) -> tuple[Request, Answer]:
        request, call = self._waiting.pop(random.randrange(len(self._waiting)))
        try:
            return request, call()
        except GraphError as error:
            return request, error

    def close(self) -> None:
        """What was not answered was never sent."""


def run_attempt(
    task: Task, session: requests.Session, storage: Storage, clock: VirtualClock, token: str, extracted_time: str
) -> Outcome:
    """Runs one attempt in this thread; lets ``BaseException`` through."""
    try:
        _extract(task, session, storage, clock, token, extracted_time)
    except (GraphError, FilesError) as error:
        return _failed(error)
    except Exception as error:  # noqa: BLE001  (whatever it is, it is a finding)
        return Outcome("broken", f"{type(error).__name__}: {error}")
    return Outcome("success")


def _extract(
    task: Task, session: requests.Session, storage: Storage, clock: VirtualClock, token: str, extracted_time: str
) -> None:
    pacer = Pacer(clock=clock, sleep=clock.sleep)
    client = GraphClient(session, Credentials(token), base_url=ORIGIN, pacer=pacer, clock=clock, sleep=clock.sleep)
    storage.prove_writable()
    identity = page_identity(client.get, task.page_id, with_instagram=task.platform == "INSTAGRAM")
    client.use_page(identity)
    edges = [ConversationsEdge(client.get, task.page_id, task.platform, folder) for folder in task.folders]
    window = Window(task.since, task.until)
    extract_conversations(
        edges,
        ExtractionContext(task.platform, task.page_id, identity.own_ids, window, extracted_time),
        storage,
        client,
        Settings(
            sizes=None if task.sizes is None else Sizes(*task.sizes),
            workers=WORKERS,
            clock=clock,
            sleep=clock.sleep,
            dispatcher=OneThread,
        ),
        known_ids=lambda: known_conversations(storage),
    )


def _failed(error: GraphError | FilesError) -> Outcome:
    reported = f"{type(error).__name__}: {error}"
    if isinstance(error, GraphError):
        if error.action is Action.WAIT:
            return Outcome("reschedule", reported, error.retry_after + WAIT_MARGIN_SECONDS)
        return Outcome("fail" if error.action is Action.FAIL else "retry", reported)
    return Outcome("fail" if isinstance(error, _FINAL) else "retry", reported)

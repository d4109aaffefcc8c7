"""The only module that knows the extraction core: one attempt, from the connection's token to the manifest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import requests

from airflow_provider_metaconv.extract import calls
from airflow_provider_metaconv.extract.known import known_conversations
from airflow_provider_metaconv.extract.ledger import Scope
from airflow_provider_metaconv.extract.run import Settings, extract_conversations
from airflow_provider_metaconv.extract.sizes import Sizes
from airflow_provider_metaconv.extract.window import Window
from airflow_provider_metaconv.files.errors import FilesError, ManifestError, StorageRefusedError
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.graph.auth import Credentials, page_identity
from airflow_provider_metaconv.graph.client import GraphClient
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.graph.errors import (
    BlockedError,
    CursorError,
    GraphError,
    InvalidRequestError,
    PermissionDeniedError,
    RateLimitError,
    TokenError,
)
from airflow_provider_metaconv.graph.pacing import Pacer
from tests.simulation.clock import VirtualClock
from tests.simulation.transport import ORIGIN

WAIT_MARGIN_SECONDS = 5.0

# As in retry_policy.py, which only exists where Airflow does.
_FINAL = (
    TokenError,
    PermissionDeniedError,
    BlockedError,
    InvalidRequestError,
    CursorError,
    ManifestError,
    StorageRefusedError,
)


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


class _InThisThread:
    """Takes the place of the core's pool of threads: a call is answered while it is sent."""

    def __init__(self, *_: object, **__: object) -> None:
        """Takes what the pool takes."""

    def submit(self, fetch: Callable[[], object]) -> Future[object]:
        future: Future[object] = Future()
        try:
            future.set_result(fetch())
        except BaseException as error:  # noqa: BLE001  (as a thread would keep it)
            future.set_exception(error)
        return future

    def shutdown(self, **_: object) -> None:
        """Nothing is in flight."""


def run_attempt(
    task: Task, session: requests.Session, storage: Storage, clock: VirtualClock, token: str, extracted_time: str
) -> Outcome:
    """Runs one attempt in this thread; lets ``BaseException`` through."""
    calls.ThreadPoolExecutor = _InThisThread  # type: ignore[assignment,attr-defined]
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
    client.use_token(identity.token)
    edges = [ConversationsEdge(client.get, task.page_id, task.platform, folder) for folder in task.folders]
    extract_conversations(
        edges,
        Scope(task.platform, task.page_id, identity.own_ids, Window(task.since, task.until), extracted_time),
        storage,
        client.statistics.as_dict,
        Settings(sizes=None if task.sizes is None else Sizes(*task.sizes), workers=1),
        known_ids=lambda: known_conversations(storage),
    )


def _failed(error: Exception) -> Outcome:
    told = f"{type(error).__name__}: {error}"
    if isinstance(error, RateLimitError):
        return Outcome("reschedule", told, error.retry_after + WAIT_MARGIN_SECONDS)
    return Outcome("fail" if isinstance(error, _FINAL) else "retry", told)

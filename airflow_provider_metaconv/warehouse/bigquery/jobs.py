"""Jobs under names that say what they do: sent again, a job is found and not run twice."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import TypeVar, cast

from google.api_core.exceptions import Conflict, GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud.bigquery import LoadJob, QueryJob

from airflow_provider_metaconv.warehouse.bigquery.connection import Connection
from airflow_provider_metaconv.warehouse.bigquery.errors import job_error
from airflow_provider_metaconv.warehouse.bigquery.load_state import JobReference
from airflow_provider_metaconv.warehouse.errors import WarehouseError

AnyJob = TypeVar("AnyJob", LoadJob, QueryJob)

_FIRST_PAUSE, _LONGEST_PAUSE, _PAUSE_GROWTH = 0.1, 10.0, 1.5
_ATTEMPTS_TO_FIND = 6
_SECONDS_TO_CANCEL = 1.0


def submit(
    connection: Connection, send: Callable[[], AnyJob], job_id: str, location: str, not_before: int
) -> AnyJob | None:
    """Send a job, or find the one of that id; none when that one has failed or is older than ``not_before``.

    An id is taken when an earlier try sent the job, or when the answer to this one was lost. A job that is older than
    its staging table (Unix milliseconds) worked on a table of the same name that is gone.
    """
    try:
        return send()
    except (Conflict, NotFound):
        # Not found: what an upload is told whose last answer was lost.
        job = _find(connection, job_id, location)
    usable = job.error_result is None and milliseconds(job.created) >= not_before
    return cast(AnyJob, job) if usable else None


def get_job(connection: Connection, job_id: str, location: str) -> LoadJob | QueryJob:
    """The job of that id as it is now."""
    job = connection.client.get_job(
        job_id, location=location, retry=connection.retry, timeout=connection.seconds_per_answer
    )
    return cast("LoadJob | QueryJob", job)


def wait(connection: Connection, job: LoadJob | QueryJob) -> None:
    """Return once the job is done, well or not; raises ``WarehouseError`` when it is not after ``job_timeout``."""
    deadline = time.monotonic() + connection.job_timeout.total_seconds()
    pause = _FIRST_PAUSE
    while job.state != "DONE":
        if time.monotonic() > deadline:
            _cancel(connection, job)
            raise WarehouseError(
                f"job {job.job_id} is still {job.state} after {connection.job_timeout.total_seconds():g} s: see why in "
                "BigQuery's job history, or raise job_timeout"
            )
        time.sleep(pause)
        pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE)
        job.reload(retry=connection.retry, timeout=connection.seconds_per_answer)


def cancel_all(connection: Connection, jobs: Sequence[JobReference]) -> None:
    """Ask for the end of all these jobs at once, and wait for no more than a moment; never fails."""

    def cancel(job: JobReference) -> None:
        with contextlib.suppress(GoogleAPIError, GoogleAuthError, OSError):
            connection.client.cancel_job(
                job.job_id,
                project=job.project,
                location=job.location,
                retry=None,  # type: ignore[arg-type]
                timeout=_SECONDS_TO_CANCEL,
            )

    threads = ThreadPoolExecutor(len(jobs) or 1, thread_name_prefix="metaconv")
    futures.wait([threads.submit(cancel, job) for job in jobs], _SECONDS_TO_CANCEL)
    threads.shutdown(wait=False, cancel_futures=True)


def raise_if_failed(connection: Connection, job: LoadJob | QueryJob, files: list[str] | None = None) -> None:
    """Raise what the error of a job that is done means; ``files`` are what a load job read."""
    if job.error_result is not None:
        place = replace(connection.place, files=files or [])
        raise job_error(job.error_result, job.errors or [], place) from None


def milliseconds(moment: datetime | None) -> int:
    """A moment as Unix milliseconds, which is what BigQuery counts in."""
    return round(moment.timestamp() * 1000) if moment else 0


def _find(connection: Connection, job_id: str, location: str) -> LoadJob | QueryJob:
    # Right after "already exists" the service may still say "not found".
    for attempt in range(_ATTEMPTS_TO_FIND - 1):
        with contextlib.suppress(NotFound):
            return get_job(connection, job_id, location)
        time.sleep(0.2 * 2**attempt)
    return get_job(connection, job_id, location)


def _cancel(connection: Connection, job: LoadJob | QueryJob) -> None:
    with contextlib.suppress(GoogleAPIError, OSError):
        job.cancel(retry=None, timeout=connection.seconds_per_answer)

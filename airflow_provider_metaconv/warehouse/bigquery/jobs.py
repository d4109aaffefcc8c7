"""BigQuery jobs with deterministic IDs: submitted again, a job is found instead of running twice."""

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

_FIRST_PAUSE, _LONGEST_PAUSE, _PAUSE_GROWTH = 0.1, 10.0, 1.2
_ATTEMPTS_TO_FIND = 6
_SECONDS_TO_CANCEL = 1.0


def submit(
    connection: Connection, send: Callable[[], AnyJob], job_id: str, location: str, not_before: int
) -> AnyJob | None:
    """Send a job, or find the one with that ID. Returns None if that job failed or is older than ``not_before``.

    The ID is taken if an earlier attempt sent the job, or if the response to this request was lost. A job that is older
    than its staging table (``not_before``, Unix milliseconds) loaded a deleted table of the same name.
    """
    try:
        return send()
    except (Conflict, NotFound):
        # NotFound: the response to a resumed upload whose last response was lost.
        job = _find(connection, job_id, location)
    usable = job.error_result is None and milliseconds(job.created) >= not_before
    return cast(AnyJob, job) if usable else None


def get_job(connection: Connection, job_id: str, location: str) -> LoadJob | QueryJob:
    """Return the current state of a job."""
    job = connection.client.get_job(
        job_id, location=location, retry=connection.retry, timeout=connection.seconds_per_answer
    )
    return cast("LoadJob | QueryJob", job)


def wait(connection: Connection, job: LoadJob | QueryJob) -> None:
    """Wait until the job is done, successfully or not; raises ``WarehouseError`` after ``job_timeout``."""
    deadline = time.monotonic() + connection.job_timeout.total_seconds()
    pause = _FIRST_PAUSE
    while job.state != "DONE":
        if time.monotonic() > deadline:
            _cancel(connection, job)
            raise WarehouseError(
                f"job {job.job_id} is still {job.state} after {connection.job_timeout.total_seconds():g} s: check "
                "BigQuery's job history for the cause, or raise job_timeout"
            )
        time.sleep(pause)
        pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE)
        job.reload(retry=connection.retry, timeout=connection.seconds_per_answer)


def cancel_all(connection: Connection, jobs: Sequence[JobReference]) -> None:
    """Request cancellation of all these jobs in parallel, and wait for at most one second. Never raises."""

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
    """Raise the error of a failed job. ``files`` are the files that a load job read."""
    if job.error_result is not None:
        place = replace(connection.place, files=files or [])
        raise job_error(job.error_result, job.errors or [], place) from None


def milliseconds(moment: datetime | None) -> int:
    """Return a time as Unix milliseconds, BigQuery's unit, or 0 for None."""
    return round(moment.timestamp() * 1000) if moment else 0


def _find(connection: Connection, job_id: str, location: str) -> LoadJob | QueryJob:
    # Right after "already exists", the service may still respond "not found".
    for attempt in range(_ATTEMPTS_TO_FIND - 1):
        with contextlib.suppress(NotFound):
            return get_job(connection, job_id, location)
        time.sleep(0.2 * 2**attempt)
    return get_job(connection, job_id, location)


def _cancel(connection: Connection, job: LoadJob | QueryJob) -> None:
    with contextlib.suppress(GoogleAPIError, OSError):
        job.cancel(retry=None, timeout=connection.seconds_per_answer)

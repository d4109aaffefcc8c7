"""The merge: one script in one transaction, retried if a concurrent load was faster."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from google.cloud.bigquery import ArrayQueryParameter, QueryJob, QueryJobConfig, ScalarQueryParameter

from airflow_provider_metaconv.files.errors import RUN_AGAIN
from airflow_provider_metaconv.schema import CONVERSATION_GAPS, TABLES, Table
from airflow_provider_metaconv.warehouse.base import LoadResult, TableResult
from airflow_provider_metaconv.warehouse.bigquery.connection import LABELS, Connection
from airflow_provider_metaconv.warehouse.bigquery.errors import is_concurrent_update
from airflow_provider_metaconv.warehouse.bigquery.jobs import get_job, raise_if_failed, submit, wait
from airflow_provider_metaconv.warehouse.bigquery.load_state import BigQueryStep
from airflow_provider_metaconv.warehouse.bigquery.sql import load_script
from airflow_provider_metaconv.warehouse.bigquery.staging import ATTEMPTS, by_table, digest
from airflow_provider_metaconv.warehouse.errors import PolicyConflictError, SourceFileError, WarehouseBusyError

ATTEMPTS_WHEN_BUSY = 10
"""How often a merge is sent if a concurrent load is faster each time."""

_LONGEST_PAUSE = 30.0

AnyParameter = ArrayQueryParameter | ScalarQueryParameter


def submit_merge(connection: Connection, step: BigQueryStep, mixes_policies: bool) -> BigQueryStep:
    """Send the merge, or find the one that an earlier attempt sent for the same staging tables."""
    script = load_script(connection.quoted, by_table(step.stagings), mixes_policies=mixes_policies)
    prefix = f"metaconv_merge_{digest(connection.name, [staging.name for staging in step.stagings])}"
    for ending in (*map(str, range(step.merge_tries, step.merge_tries + ATTEMPTS)), uuid.uuid4().hex[:12]):
        job_id = f"{prefix}_{ending}"
        send = partial(run_script, connection, script, job_id, step.location)
        if submit(connection, send, job_id, step.location, max(each.created for each in step.stagings)) is not None:
            return replace(step, merge_job=job_id, merge_tries=step.merge_tries + 1)
    raise AssertionError("a random job ID cannot be taken")


def finish_merge(connection: Connection, step: BigQueryStep, mixes_policies: bool) -> BigQueryStep:
    """Return the step with its result, or with another merge sent if a concurrent load was faster.

    Raises ``WarehouseBusyError`` if that happens too often, ``SourceFileError`` for rows without a required value, and
    ``PolicyConflictError`` if files and tables have different privacy policies and it does not mix them.
    """
    job = get_job(connection, str(step.merge_job), step.location)
    wait(connection, job)
    if is_concurrent_update(job.error_result):
        pause_after_conflict(connection, step.merge_tries)
        return submit_merge(connection, step, mixes_policies)
    raise_if_failed(connection, job)
    selection = selected(connection, job)
    if conflicting := selection.pop("conflicting_policies", ""):
        raise PolicyConflictError(str(conflicting).split(", "))
    return replace(step, result=_result(selection, step))


def run_script(
    connection: Connection, script: str, job_id: str, location: str, parameters: Sequence[AnyParameter] = ()
) -> QueryJob:
    """Send a script as a job with that ID."""
    return connection.client.query(
        script,
        QueryJobConfig(labels=LABELS, use_legacy_sql=False, query_parameters=list(parameters)),
        job_id=job_id,
        location=location,
        retry=connection.retry,
        timeout=connection.seconds_per_answer,
        # The job ID prevents a second run. The client library would retry the job with a different ID.
        job_retry=None,
    )


def pause_after_conflict(connection: Connection, tries: int) -> None:
    """Wait for other loads to finish, longer after each try; raises ``WarehouseBusyError`` after too many."""
    if tries >= ATTEMPTS_WHEN_BUSY:
        raise WarehouseBusyError(
            f"other loads changed the tables in {connection.name} at the same time, {tries} times in a row: let the "
            "task retry, and give the tasks that load there a pool with one slot"
        )
    time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.5 * 2**tries)))  # noqa: S311


def selected(connection: Connection, job: object) -> dict[str, Any]:
    """Return the row, mostly of counts, that a script selects at its end."""
    assert isinstance(job, QueryJob)  # noqa: S101
    [row] = job.result(retry=connection.retry, timeout=connection.seconds_per_answer, job_retry=None)
    return dict(row.items())


def _result(counts: Mapping[str, int], step: BigQueryStep) -> LoadResult:
    stagings = by_table(step.stagings)
    rows = {table.name: sum(staging.rows for staging in stagings.get(table, ())) for table in TABLES}
    # Gaps derived from the rows of earlier releases count as staged.
    rows[CONVERSATION_GAPS.name] += counts["conversation_gaps_adopted"]
    return LoadResult({table.name: _table_result(counts, table, rows[table.name]) for table in TABLES})


def _table_result(counts: Mapping[str, int], table: Table, rows: int) -> TableResult:
    distinct, incomplete, updated, inserted = (
        counts[f"{table.name}_{count}"] for count in ("distinct", "incomplete", "updated", "inserted")
    )
    if incomplete:
        raise SourceFileError(f"{incomplete} rows of table {table.name} lack a required value: {RUN_AGAIN}") from None
    return TableResult(rows, inserted, updated, distinct - inserted - updated)

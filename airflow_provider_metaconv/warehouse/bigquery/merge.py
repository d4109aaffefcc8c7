"""The merge: one script in one transaction, tried again when another load was faster."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from google.cloud.bigquery import QueryJob, QueryJobConfig

from airflow_provider_metaconv.files.errors import RUN_AGAIN
from airflow_provider_metaconv.schema import CONVERSATION_GAPS, TABLES, Table
from airflow_provider_metaconv.warehouse.base import LoadResult, TableResult
from airflow_provider_metaconv.warehouse.bigquery.connection import LABELS, Connection
from airflow_provider_metaconv.warehouse.bigquery.errors import is_concurrent_update
from airflow_provider_metaconv.warehouse.bigquery.jobs import get_job, raise_if_failed, submit, wait
from airflow_provider_metaconv.warehouse.bigquery.load_state import BigQueryStep
from airflow_provider_metaconv.warehouse.bigquery.sql import load_script
from airflow_provider_metaconv.warehouse.bigquery.staging import ATTEMPTS, by_table, digest
from airflow_provider_metaconv.warehouse.errors import SourceFileError, WarehouseBusyError

ATTEMPTS_WHEN_BUSY = 10
"""How often a merge is sent when each time another load was faster."""

_LONGEST_PAUSE = 30.0


def submit_merge(connection: Connection, step: BigQueryStep) -> BigQueryStep:
    """The step with its merge sent, or found when an earlier try has sent it for the same staging tables."""
    script = load_script(connection.quoted, by_table(step.stagings))
    prefix = f"metaconv_merge_{digest(connection.name, [staging.name for staging in step.stagings])}"
    for ending in (*map(str, range(step.merge_tries, step.merge_tries + ATTEMPTS)), uuid.uuid4().hex[:12]):
        job_id = f"{prefix}_{ending}"
        send = partial(run_script, connection, script, job_id, step.location)
        if submit(connection, send, job_id, step.location, max(each.created for each in step.stagings)) is not None:
            return replace(step, merge_job=job_id, merge_tries=step.merge_tries + 1)
    raise AssertionError("a name that was made up just now cannot be taken")


def finish_merge(connection: Connection, step: BigQueryStep) -> BigQueryStep:
    """The step with its result, or with another merge sent when a load at the same time was faster.

    Raises ``WarehouseBusyError`` when that happens too often, ``SourceFileError`` for rows without a required value.
    """
    job = get_job(connection, str(step.merge_job), step.location)
    wait(connection, job)
    if is_concurrent_update(job.error_result):
        if step.merge_tries >= ATTEMPTS_WHEN_BUSY:
            raise WarehouseBusyError(
                f"others changed the tables in {connection.name} at the same time, {step.merge_tries} times in a row: "
                "let the task try again, give the tasks that load there a pool with one slot"
            )
        time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.5 * 2**step.merge_tries)))  # noqa: S311
        return submit_merge(connection, step)
    raise_if_failed(connection, job)
    return replace(step, result=_result(selected(connection, job), step))


def run_script(connection: Connection, script: str, job_id: str, location: str) -> QueryJob:
    """Send a script as a job of that id."""
    return connection.client.query(
        script,
        QueryJobConfig(labels=LABELS, use_legacy_sql=False),
        job_id=job_id,
        location=location,
        retry=connection.retry,
        timeout=connection.seconds_per_answer,
        # The job's own id is what keeps it from running twice; the library would try it again under another.
        job_retry=None,
    )


def selected(connection: Connection, job: object) -> dict[str, int]:
    """The one row of counts that a script has selected at its end."""
    assert isinstance(job, QueryJob)  # noqa: S101
    [row] = job.result(retry=connection.retry, timeout=connection.seconds_per_answer, job_retry=None)
    return {name: int(count) for name, count in row.items()}


def _result(counts: Mapping[str, int], step: BigQueryStep) -> LoadResult:
    stagings = by_table(step.stagings)
    rows = {table.name: sum(staging.rows for staging in stagings.get(table, ())) for table in TABLES}
    # What rows of earlier releases say is missing becomes gaps, as if it had been staged.
    rows[CONVERSATION_GAPS.name] += counts["conversation_gaps_adopted"]
    return LoadResult({table.name: _table_result(counts, table, rows[table.name]) for table in TABLES})


def _table_result(counts: Mapping[str, int], table: Table, rows: int) -> TableResult:
    distinct, incomplete, updated, inserted = (
        counts[f"{table.name}_{count}"] for count in ("distinct", "incomplete", "updated", "inserted")
    )
    if incomplete:
        raise SourceFileError(
            f"{incomplete} rows of table {table.name} lack a value that every row must have: {RUN_AGAIN}"
        ) from None
    return TableResult(rows, inserted, updated, distinct - inserted - updated)

"""Staging: load jobs read files into staging tables, all rows or none, and every row is counted."""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

from google.api_core.exceptions import Conflict, GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud.bigquery import LoadJob, LoadJobConfig, SchemaField, SourceFormat
from google.cloud.bigquery import Table as BigQueryTable

from airflow_provider_metaconv.files.errors import RUN_AGAIN
from airflow_provider_metaconv.schema import TABLES, ColumnType, Table, table_named
from airflow_provider_metaconv.warehouse.bigquery.connection import LABELS, Connection
from airflow_provider_metaconv.warehouse.bigquery.jobs import get_job, milliseconds, raise_if_failed, submit, wait
from airflow_provider_metaconv.warehouse.bigquery.load_files import LoadFiles, opened
from airflow_provider_metaconv.warehouse.bigquery.load_state import Staging
from airflow_provider_metaconv.warehouse.bigquery.tables import field
from airflow_provider_metaconv.warehouse.errors import RowCountError

ATTEMPTS = 20
"""How many numbered names to try before a random one. Each failed attempt of a load may have used one."""

_EXPIRES_AFTER = timedelta(hours=24)
_SECONDS_TO_DROP = 20.0
FILES_PER_JOB = 10_000
"""BigQuery's limit on the number of files per load job."""

_FORMATS = {"ndjson": SourceFormat.NEWLINE_DELIMITED_JSON, "parquet": SourceFormat.PARQUET}


def stage(connection: Connection, files: LoadFiles, location: str, token: str) -> Staging:
    """Send the load jobs of these files, or find those that an earlier attempt with the same ``token`` sent.

    Does not wait. All load jobs of a staging table belong to one attempt, so that no rows are missing or duplicated if
    a job is lost.
    """
    identity = digest(connection.name, token, files.identity)
    prefix = f"metaconv_staging_{files.table.name}_{files.file_format}_{identity}"
    for ending in (*map(str, range(ATTEMPTS)), uuid.uuid4().hex[:12]):
        name = f"{prefix}_{ending}"
        created = _make(connection, files, name)
        jobs = _submit_all(connection, files, name, location, created)
        if jobs is not None:
            return Staging(files.table.name, files.file_format, name, created, files.rows, jobs)
        drop(connection, [name])
    raise AssertionError("a random table name cannot be taken")


def staged_rows(connection: Connection, stagings: Iterable[Staging], location: str) -> dict[Table, int]:
    """Wait for the load jobs, and return the number of rows of each table's files.

    Raises ``SourceFileError`` for a damaged file and ``RowCountError`` for an unexpected number of rows.
    """
    counts: dict[Table, int] = {}
    expected: dict[Table, int] = {}
    for staging in stagings:
        table = table_named(staging.table)
        expected[table] = expected.get(table, 0) + staging.rows
        counts[table] = counts.get(table, 0) + sum(_rows_of(connection, job, location) for job in staging.jobs)
    for table, count in counts.items():
        if count != expected[table]:
            raise RowCountError(
                f"the files of table {table.name} hold {count} rows, but their manifests say {expected[table]}: "
                f"{RUN_AGAIN}"
            )
    return counts


def by_table(stagings: Iterable[Staging]) -> dict[Table, list[Staging]]:
    """Group the staging tables by table, in the order of the schema."""
    stagings = list(stagings)
    groups = {table: [each for each in stagings if each.table == table.name] for table in TABLES}
    return {table: group for table, group in groups.items() if group}


def drop(connection: Connection, names: Iterable[str]) -> None:
    """Drop staging tables within a short time limit. Those that remain expire after a day. Never raises."""
    retry = connection.retry.with_timeout(min(_SECONDS_TO_DROP, connection.call_timeout.total_seconds()))
    for name in names:
        with contextlib.suppress(GoogleAPIError, GoogleAuthError, OSError):
            connection.client.delete_table(
                connection.table(name),
                not_found_ok=True,
                retry=retry,
                timeout=connection.seconds_per_answer,
            )


def digest(*parts: object) -> str:
    """Return a short hash of the parts, which must be JSON types."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def _make(connection: Connection, files: LoadFiles, name: str) -> int:
    """Create the staging table unless it exists, and return its creation time in Unix milliseconds."""
    wanted = BigQueryTable(connection.table(name), _schema(files))
    wanted.expires = datetime.now(UTC) + _EXPIRES_AFTER
    wanted.labels = LABELS
    retry, timeout = connection.retry, connection.seconds_per_answer
    try:
        made = connection.client.create_table(wanted, retry=retry, timeout=timeout)
    except Conflict:
        made = connection.client.get_table(connection.table(name), retry=retry, timeout=timeout)
    return milliseconds(made.created)


def _schema(files: LoadFiles) -> list[SchemaField]:
    # No column is REQUIRED here, because BigQuery treats every Parquet column as nullable.
    fields = [field(column, required=False) for column in files.table.columns]
    if files.file_format == "ndjson":
        return fields
    # Nested values are JSON text in Parquet, which BigQuery cannot load into JSON columns.
    texts = {column.name for column in files.table.columns if column.type is ColumnType.JSON}
    return [SchemaField(each.name, "STRING") if each.name in texts else each for each in fields]


def _submit_all(
    connection: Connection, files: LoadFiles, name: str, location: str, created: int
) -> tuple[str, ...] | None:
    jobs: list[str] = []
    for send in _senders(connection, files, name, location):
        job_id = f"{name}_{len(jobs)}"
        if submit(connection, partial(send, job_id), job_id, location, not_before=created) is None:
            return None
        jobs.append(job_id)
    return tuple(jobs)


def _senders(connection: Connection, files: LoadFiles, name: str, location: str) -> Iterator[Callable[[str], LoadJob]]:
    config = LoadJobConfig(
        source_format=_FORMATS[files.file_format],
        schema=_schema(files),
        create_disposition="CREATE_NEVER",
        write_disposition="WRITE_APPEND",
        max_bad_records=0,
        labels=LABELS,
    )
    client, table = connection.client, connection.table(name)

    def from_bucket(uris: tuple[str, ...], job_id: str) -> LoadJob:
        return client.load_table_from_uri(
            uris,
            table,
            job_id=job_id,
            location=location,
            job_config=config,
            retry=connection.retry,
            timeout=connection.seconds_per_answer,
        )

    def from_here(uri: str, job_id: str) -> LoadJob:
        with opened(uri, files.file_format) as stream:
            return client.load_table_from_file(
                stream,
                table,
                job_id=job_id,
                location=location,
                job_config=config,
                timeout=connection.seconds_per_answer,
            )

    for start in range(0, len(files.remote), FILES_PER_JOB):
        yield partial(from_bucket, files.remote[start : start + FILES_PER_JOB])
    for uri in files.local:
        yield partial(from_here, uri)


def _rows_of(connection: Connection, job_id: str, location: str) -> int:
    job = get_job(connection, job_id, location)
    wait(connection, job)
    files = getattr(job, "source_uris", None) or ["a local file"]
    raise_if_failed(connection, job, files)
    return int(getattr(job, "output_rows", 0) or 0)

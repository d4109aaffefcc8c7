"""``BigQueryWarehouse``: stage, check, merge in one transaction; at once, or in steps between which others wait."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from types import TracebackType
from typing import Self

from google.cloud.bigquery import Client, DatasetReference

from airflow_provider_metaconv.schema import TABLES
from airflow_provider_metaconv.warehouse.base import LoadResult, SourceFile
from airflow_provider_metaconv.warehouse.bigquery.connection import Connection
from airflow_provider_metaconv.warehouse.bigquery.errors import one_line_errors
from airflow_provider_metaconv.warehouse.bigquery.jobs import cancel_all, raise_if_failed, wait
from airflow_provider_metaconv.warehouse.bigquery.load_files import LoadFiles, load_files
from airflow_provider_metaconv.warehouse.bigquery.load_state import BigQueryStep, Staging
from airflow_provider_metaconv.warehouse.bigquery.merge import finish_merge, run_script, selected, submit_merge
from airflow_provider_metaconv.warehouse.bigquery.sql import missing_script
from airflow_provider_metaconv.warehouse.bigquery.staging import by_table, drop, stage, staged_rows
from airflow_provider_metaconv.warehouse.bigquery.tables import dataset_location, ensure_tables, existing_columns
from airflow_provider_metaconv.warehouse.errors import WarehouseRefusedError


class BigQueryWarehouse:
    """The tables in one dataset of BigQuery; see ``Warehouse`` for the promises.

    ``dataset`` is a name or ``project.name``; jobs run in the client's project. With ``create_tables`` the dataset (in
    ``location``) and the tables are made when they are not there. ``partition_expiration`` is for messages, of a table
    that is made. A try that has the ``load_id`` of an earlier one goes on with the jobs of that one.
    """

    def __init__(
        self,
        client: Client,
        dataset: str,
        *,
        location: str | None = None,
        create_tables: bool = True,
        partition_expiration: timedelta | None = None,
        load_id: str | None = None,
        job_timeout: timedelta = timedelta(hours=1),
        call_timeout: timedelta = timedelta(minutes=2),
    ) -> None:
        project, _, name = dataset.rpartition(".")
        if not name.replace("_", "").isalnum():
            raise WarehouseRefusedError(f"dataset must be a name such as meta, or project.meta, not {dataset!r}")
        reference = DatasetReference(project or client.project, name)
        self._connection = Connection(client, reference, job_timeout, call_timeout)
        self._location = location
        self._create_tables = create_tables
        self._partition_expiration = partition_expiration
        self._load_id = load_id

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leaves the client open: it is the caller's."""

    def load(self, files: Sequence[SourceFile]) -> LoadResult:
        """Merge all files in one transaction; raises ``WarehouseError`` and then has changed nothing."""
        step = self.begin(files)
        while step.result is None:
            step = self.advance(step)
        return step.result

    def begin(self, files: Sequence[SourceFile]) -> BigQueryStep:
        """Make sure of the tables and send the load jobs; does not wait for them."""
        groups = load_files(files)
        with self._one_line_errors():
            location = dataset_location(self._connection, self._location, self._create_tables)
            ensure_tables(self._connection, self._create_tables, self._partition_expiration)
            stagings = self._stage("load", groups, location)
        step = BigQueryStep(str(self._connection.client.project), location, stagings)
        return step if stagings else replace(step, result=LoadResult.nothing())

    def advance(self, step: BigQueryStep) -> BigQueryStep:
        """Take the next step once ``step.jobs`` are done (or wait for them): check and send the merge, or finish.

        Whatever fails, the staging tables are dropped and nothing was merged. When the task is told to end meanwhile,
        the step's jobs are as well.
        """
        if step.result is not None:
            return step
        with self._one_line_errors(), self._given_up(step):
            if step.merge_job is not None:
                done = finish_merge(self._connection, step)
            elif any(staged_rows(self._connection, step.stagings, step.location).values()):
                return submit_merge(self._connection, step)
            else:
                done = replace(step, result=LoadResult.nothing())
        if done.result is not None:
            self.discard(done)
        return done

    def discard(self, step: BigQueryStep) -> None:
        """Drop the staging tables of a load that will not go on; never fails, they are gone after a day anyhow."""
        drop(self._connection, [staging.name for staging in step.stagings])

    def missing(self, files: Sequence[SourceFile]) -> dict[str, int]:
        """How many of the files' keys each table lacks; writes nothing to the tables."""
        counts = {table.name: 0 for table in TABLES}
        if not (groups := load_files(files)):
            return counts
        with self._one_line_errors():
            location = dataset_location(self._connection, self._location, self._create_tables)
            existing = existing_columns(self._connection)
            stagings = self._stage(f"missing {uuid.uuid4()}", groups, location)
            try:
                staged_rows(self._connection, stagings, location)
                script = missing_script(self._connection.quoted, by_table(stagings), existing)
                job = run_script(self._connection, script, f"metaconv_missing_{uuid.uuid4().hex}", location)
                wait(self._connection, job)
                raise_if_failed(self._connection, job)
                return counts | selected(self._connection, job)
            finally:
                drop(self._connection, [staging.name for staging in stagings])

    def _stage(self, purpose: str, groups: Sequence[LoadFiles], location: str) -> tuple[Staging, ...]:
        token = f"{purpose} {self._load_id or uuid.uuid4()}"
        stagings: list[Staging] = []
        for group in groups:
            with self._given_up(BigQueryStep(str(self._connection.client.project), location, tuple(stagings))):
                stagings.append(stage(self._connection, group, location, token))
        return tuple(stagings)

    @contextlib.contextmanager
    def _given_up(self, step: BigQueryStep) -> Iterator[None]:
        """Leaves nothing at work behind a step that failed or was interrupted."""
        try:
            yield
        except Exception:
            self.discard(step)
            raise
        except BaseException:
            # There is time for no more than that; the staging tables are gone after a day.
            cancel_all(self._connection, step.jobs)
            raise

    def _one_line_errors(self) -> contextlib.AbstractContextManager[None]:
        return one_line_errors(self._connection.place)

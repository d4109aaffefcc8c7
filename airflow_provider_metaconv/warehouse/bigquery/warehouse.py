"""``BigQueryWarehouse``: stage, check and merge in one transaction, in one call or in steps with deferred waiting."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from google.cloud.bigquery import Client, DatasetReference

from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.schema import EXTRACTION_WINDOWS, TABLES, Table
from airflow_provider_metaconv.warehouse.base import LoadResult, SourceFile
from airflow_provider_metaconv.warehouse.bigquery.connection import Connection
from airflow_provider_metaconv.warehouse.bigquery.erasure import Erasure
from airflow_provider_metaconv.warehouse.bigquery.errors import one_line_errors
from airflow_provider_metaconv.warehouse.bigquery.jobs import cancel_all, raise_if_failed, wait
from airflow_provider_metaconv.warehouse.bigquery.load_files import LoadFiles, load_files
from airflow_provider_metaconv.warehouse.bigquery.load_state import BigQueryStep, Staging
from airflow_provider_metaconv.warehouse.bigquery.merge import finish_merge, run_script, selected, submit_merge
from airflow_provider_metaconv.warehouse.bigquery.retention import remove_old
from airflow_provider_metaconv.warehouse.bigquery.sql import missing_script
from airflow_provider_metaconv.warehouse.bigquery.staging import by_table, drop, stage, staged_rows
from airflow_provider_metaconv.warehouse.bigquery.tables import (
    dataset_location,
    ensure_tables,
    existing_columns,
    expire_partitions,
    time_travel,
)
from airflow_provider_metaconv.warehouse.bigquery.views import ensure_views
from airflow_provider_metaconv.warehouse.errors import WarehouseRefusedError
from airflow_provider_metaconv.warehouse.view_options import ViewOptions

logger = logging.getLogger(__name__)


class BigQueryWarehouse:
    """The tables in one BigQuery dataset; see ``Warehouse`` for the guarantees.

    ``dataset`` is ``name`` or ``project.name``; jobs run in the client's project. With ``create_tables``, a missing
    dataset (in ``location``) and missing tables are created. ``partition_expiration`` applies to the messages table
    when it is created. Rows of different privacy policies or keys are mixed only with ``allow_policy_change``. With
    ``views``, a load first creates the analytics views. An attempt with the ``load_id`` of an earlier one continues
    with that attempt's jobs.
    """

    def __init__(
        self,
        client: Client,
        dataset: str,
        *,
        location: str | None = None,
        create_tables: bool = True,
        partition_expiration: timedelta | None = None,
        allow_policy_change: bool = False,
        views: ViewOptions | None = None,
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
        self._allow_policy_change = allow_policy_change
        self._views = views
        self._load_id = load_id

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the client open: it belongs to the caller."""

    def load(self, files: Sequence[SourceFile]) -> LoadResult:
        """Merge all files in one transaction. If it raises ``WarehouseError``, nothing has changed."""
        step = self.begin(files)
        while step.result is None:
            step = self.advance(step)
        return step.result

    def begin(self, files: Sequence[SourceFile]) -> BigQueryStep:
        """Ensure that the tables and views exist, and send the load jobs without waiting for them."""
        groups = load_files(files)
        with self._one_line_errors():
            location = dataset_location(self._connection, self._location, self._create_tables)
            ensure_tables(self._connection, self._create_tables, self._partition_expiration)
            if self._views is not None:
                ensure_views(self._connection, location, self._views)
            stagings = self._stage("load", groups, location)
        step = BigQueryStep(str(self._connection.client.project), location, stagings)
        return step if stagings else replace(step, result=LoadResult.nothing())

    def advance(self, step: BigQueryStep) -> BigQueryStep:
        """Wait for ``step.jobs``, then check the rows and send the merge, or finish the load.

        On an error, the staging tables are dropped and nothing was merged. If the task is killed meanwhile, the step's
        jobs are cancelled.
        """
        if step.result is not None:
            return step
        with self._one_line_errors(), self._cleanup_on_failure(step):
            if step.merge_job is not None:
                done = finish_merge(self._connection, step, self._allow_policy_change)
            elif any(staged_rows(self._connection, step.stagings, step.location).values()):
                return submit_merge(self._connection, step, self._allow_policy_change)
            else:
                done = replace(step, result=LoadResult.nothing())
        if done.result is not None:
            self.discard(done)
        return done

    def discard(self, step: BigQueryStep) -> None:
        """Drop the staging tables of a load that has ended. Never raises; the tables expire after a day anyway."""
        drop(self._connection, [staging.name for staging in step.stagings])

    def missing(self, files: Sequence[SourceFile]) -> dict[str, int]:
        """Return how many of the files' keys each table lacks, by table name. Does not change the tables."""
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

    def policies(self) -> frozenset[tuple[str, str]]:
        """Return the privacy policies of the windows in the tables, each with its key's fingerprint, or ""."""
        with self._one_line_errors():
            erasure, existing = self._erasure(())
            return erasure.policies() if EXTRACTION_WINDOWS in existing else frozenset()

    def conversations_of(self, people: Collection[str]) -> frozenset[str]:
        """Return the IDs of the conversations that one of these people takes part in, as they are stored."""
        with self._one_line_errors():
            erasure, existing = self._erasure(people)
            return erasure.conversations() if existing.keys() - {EXTRACTION_WINDOWS} else frozenset()

    def erase(self, people: Collection[str], conversations: Collection[str], scope: Scope) -> dict[str, int]:
        """Delete people from the tables in one transaction; see ``Warehouse``. If it raises, erase again.

        So many rows that stay, about ten thousand, that they do not fit into one request are changed before it.
        """
        with self._one_line_errors():
            erasure, existing = self._erasure(people, conversations, scope)
            if not existing:
                return {table.name: 0 for table in TABLES}
            ensure_tables(self._connection, self._create_tables, self._partition_expiration)
            return erasure.run()

    def remaining(self, people: Collection[str], conversations: Collection[str], scope: Scope) -> dict[str, int]:
        """Return how many rows ``erase`` would delete or change, by table name. Writes nothing."""
        with self._one_line_errors():
            erasure, _ = self._erasure(people, conversations, scope)
            return erasure.counts()

    def remove_old(self, cutoff: datetime, retention: timedelta, *, was_interrupted: bool = False) -> dict[str, int]:
        """Delete old messages in one transaction; see ``Warehouse``.

        If the table is partitioned by the day of the messages, BigQuery drops later days by itself from then on, should
        this not be called for a day.
        """
        with self._one_line_errors():
            location = dataset_location(self._connection, self._location, create=False)
            if not existing_columns(self._connection):
                return {table.name: 0 for table in TABLES}
            ensure_tables(self._connection, self._create_tables, self._partition_expiration)
            counts = remove_old(self._connection, location, cutoff)
            if not expire_partitions(self._connection, retention):
                logger.info("messages is not partitioned by day, so that BigQuery cannot drop old days by itself")
            return counts

    def limits(self) -> tuple[str, ...]:
        """Return where erased rows can remain that ``erase`` cannot reach, in one sentence each."""
        with self._one_line_errors():
            hours = round(time_travel(self._connection).total_seconds() / 3600)
        name, project = self._connection.name, self._connection.client.project
        return (
            f"Time travel shows erased rows of {name} for {hours} hours, and Google can restore them 7 days longer.",
            f"Snapshots, clones, copies and exports of tables in {name} keep what they have: erase or delete them.",
            f"Results of queries, and tables metaconv_staging_* of killed loads in {name}, expire after 24 hours.",
            f"The job history of project {project} shows erased IDs, as query parameters, for about six months.",
        )

    def _erasure(
        self,
        people: Collection[str],
        conversations: Collection[str] = (),
        scope: Scope = Scope.CONVERSATION,
    ) -> tuple[Erasure, dict[Table, frozenset[str]]]:
        """Return the erasure, and the columns of the tables that exist."""
        location = dataset_location(self._connection, self._location, create=False)
        existing = existing_columns(self._connection)
        return Erasure(self._connection, location, existing, people, conversations, scope), existing

    def _stage(self, purpose: str, groups: Sequence[LoadFiles], location: str) -> tuple[Staging, ...]:
        token = f"{purpose} {self._load_id or uuid.uuid4()}"
        stagings: list[Staging] = []
        for group in groups:
            with self._cleanup_on_failure(
                BigQueryStep(str(self._connection.client.project), location, tuple(stagings))
            ):
                stagings.append(stage(self._connection, group, location, token))
        return tuple(stagings)

    @contextlib.contextmanager
    def _cleanup_on_failure(self, step: BigQueryStep) -> Iterator[None]:
        """Clean up after a step that failed or was interrupted."""
        try:
            yield
        except Exception:
            self.discard(step)
            raise
        except BaseException:
            # A killed task only has time to cancel its jobs. The staging tables expire after a day.
            cancel_all(self._connection, step.jobs)
            raise

    def _one_line_errors(self) -> contextlib.AbstractContextManager[None]:
        return one_line_errors(self._connection.place)

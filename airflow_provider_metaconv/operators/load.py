"""Operators that put extracted files into a warehouse's tables."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSkipException,
    BaseOperator,
    Context,
    conf,
)

from airflow_provider_metaconv.hooks.google_cloud import GCP_CONN_ID, GoogleCloud
from airflow_provider_metaconv.load.load import load_manifests, verified_files
from airflow_provider_metaconv.retry_policy import HAS_RETRY_POLICY, MetaGraphRetryPolicy, fail_at_once
from airflow_provider_metaconv.triggers.bigquery_jobs import POLL_INTERVAL, BigQueryJobsTrigger
from airflow_provider_metaconv.warehouse.base import LoadResult

if TYPE_CHECKING:
    from airflow_provider_metaconv.warehouse.bigquery import BigQueryStep, BigQueryWarehouse

Manifests = Iterable[str | Mapping[str, Any]] | str | Mapping[str, Any]


class MetaConversationsLoadOperator(BaseOperator):
    """Merges the files of any number of manifests into a warehouse's tables, all or nothing; a subclass says where.

    ``manifests`` are manifest paths or URIs, or the extract operators' results as XCom hands them over
    (``extract.output``). Loading twice changes nothing. Without a manifest there is nothing to do, and the task is
    skipped. Returns the counts per table: rows ``staged``, ``inserted``, ``updated``, ``unchanged``.
    """

    template_fields: Sequence[str] = ("manifests",)

    def __init__(self, *, manifests: Manifests, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.manifests = manifests
        if HAS_RETRY_POLICY and self.retry_policy is None:
            self.retry_policy = MetaGraphRetryPolicy()

    @abstractmethod
    def load(self, uris: list[str], context: Context) -> LoadResult:
        """Merge the files of these manifests into the warehouse."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Verifies every file, then merges all of them in one transaction."""
        try:
            uris = manifest_uris(self.manifests)
        except (TypeError, ValueError) as error:
            raise AirflowFailException(str(error)) from None
        if not uris:
            raise AirflowSkipException("There is no manifest to load: no extract task succeeded.")
        with _failing_at_once():
            return self.counts(self.load(uris, context))

    def counts(self, result: LoadResult) -> dict[str, Any]:
        """The result in plain JSON types, as it goes into XCom; it is logged as well."""
        counts = {name: asdict(table) for name, table in result.tables.items()}
        self.log.info("Loaded: %s", counts)
        return counts


class MetaConversationsToDuckDBOperator(MetaConversationsLoadOperator):
    """Merges the files of any number of manifests into the tables of a DuckDB file, all or nothing.

    One process at a time may open a DuckDB file: give the task a pool of one slot.
    """

    template_fields: Sequence[str] = (*MetaConversationsLoadOperator.template_fields, "database", "schema")

    def __init__(self, *, database: str, schema: str = "main", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.database = database
        self.schema = schema

    def load(self, uris: list[str], context: Context) -> LoadResult:
        """Merge in one transaction of the DuckDB file."""
        from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse

        with DuckDBWarehouse(self.database, schema=self.schema) as warehouse:
            return load_manifests(uris, warehouse)


class MetaConversationsToBigQueryOperator(MetaConversationsLoadOperator):
    """Merges the files of any number of manifests into the tables ``messages`` and ``conversations`` of a dataset.

    The manifests may lie in Cloud Storage (BigQuery then reads the files itself) or on this machine (they are sent).
    ``dataset`` is ``dataset`` or ``project.dataset``; ``project_id`` is the project that runs and pays the jobs, by
    default the connection's. Dataset (in ``location``) and tables are made unless ``create_tables`` is false; days of
    messages older than ``partition_expiration`` then go by themselves. With ``deferrable`` no worker is held while
    jobs run.

    A retry goes on with the jobs of the try before. Needs the extra ``google``; the account needs the roles BigQuery
    Data Editor and BigQuery Job User, and Storage Object Viewer on the bucket.
    """

    template_fields: Sequence[str] = (
        *MetaConversationsLoadOperator.template_fields,
        "dataset",
        "project_id",
        "location",
        "gcp_conn_id",
        "impersonation_chain",
    )

    def __init__(
        self,
        *,
        dataset: str,
        project_id: str | None = None,
        location: str | None = None,
        create_tables: bool = True,
        partition_expiration: timedelta | None = None,
        gcp_conn_id: str = GCP_CONN_ID,
        impersonation_chain: str | Sequence[str] | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = POLL_INTERVAL,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.project_id = project_id
        self.location = location
        self.create_tables = create_tables
        self.partition_expiration = partition_expiration
        self.gcp_conn_id = gcp_conn_id
        self.impersonation_chain = impersonation_chain
        self.deferrable = deferrable
        self.poll_interval = poll_interval

    def load(self, uris: list[str], context: Context) -> LoadResult:
        """Stage by load jobs, then merge by one job; raises ``TaskDeferred`` where the triggerer is to wait."""
        cloud = GoogleCloud(self.gcp_conn_id, self.impersonation_chain)
        files = verified_files(uris, cloud.open_storage)
        with self._warehouse(cloud, context) as warehouse:
            if not self.deferrable:
                return warehouse.load(files)
            return self._result_or_defer(warehouse.begin(files))

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Goes on after the triggerer saw the jobs of a step end; ``event`` is that step."""
        from airflow_provider_metaconv.warehouse.bigquery import BigQueryStep

        cloud = GoogleCloud(self.gcp_conn_id, self.impersonation_chain)
        with _failing_at_once(), self._warehouse(cloud, context) as warehouse:
            return self.counts(self._result_or_defer(warehouse.advance(BigQueryStep.from_dict(event))))

    def _result_or_defer(self, step: BigQueryStep) -> LoadResult:
        if step.result is not None:
            return step.result
        self.defer(
            trigger=BigQueryJobsTrigger(
                [[job.project, job.location, job.job_id] for job in step.jobs],
                step.as_dict(),
                self.gcp_conn_id,
                self.impersonation_chain,
                self.poll_interval,
            ),
            method_name="resume",
        )
        raise AssertionError("defer() does not return")

    def _warehouse(self, cloud: GoogleCloud, context: Context) -> BigQueryWarehouse:
        client = cloud.bigquery_client(self.project_id, self.location)
        from airflow_provider_metaconv.warehouse.bigquery import BigQueryWarehouse

        instance = context["ti"]
        return BigQueryWarehouse(
            client,
            self.dataset,
            location=self.location,
            create_tables=self.create_tables,
            partition_expiration=self.partition_expiration,
            # The same in each try of this task instance, so that a retry finds the jobs of the one before.
            load_id=f"{instance.dag_id}.{instance.task_id}.{instance.run_id}.{instance.map_index}",
        )


def manifest_uris(manifests: Manifests) -> list[str]:
    """The manifests' URIs from what users and XCom hand over: one or many, URIs or extract results.

    Raises ``ValueError`` for anything else.
    """
    if isinstance(manifests, str | Mapping):
        manifests = [manifests]
    if isinstance(manifests, Sequence):
        # XComs of mapped tasks are fetched one by one when iterated, and in one go as a slice.
        manifests = manifests[:]
    return [_uri(manifest) for manifest in manifests if manifest is not None]


def _uri(manifest: str | Mapping[str, Any]) -> str:
    uri = manifest.get("manifest") if isinstance(manifest, Mapping) else manifest
    if not isinstance(uri, str) or not uri:
        raise ValueError("manifests holds something that is no manifest: give paths, or the extract tasks' output.")
    return uri


@contextlib.contextmanager
def _failing_at_once() -> Iterator[None]:
    """Says to Airflow 3.1 and 3.2, which have no retry policies, that another try cannot mend an error."""
    try:
        yield
    except Exception as error:
        if not HAS_RETRY_POLICY:
            fail_at_once(error)
        raise

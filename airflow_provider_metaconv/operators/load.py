"""Operators that load extracted files into the tables of a warehouse."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSkipException,
    Asset,
    BaseOperatorLink,
    Context,
    conf,
)

from airflow_provider_metaconv.files.errors import FilesError
from airflow_provider_metaconv.files.storage import open_storage as open_storage_by_scheme
from airflow_provider_metaconv.hooks.google_cloud import GCP_CONN_ID, GoogleCloud
from airflow_provider_metaconv.load.load import LoadError, load_through, verified_files
from airflow_provider_metaconv.load.provenance import provenance
from airflow_provider_metaconv.load.verify import StorageOpener
from airflow_provider_metaconv.observability.coverage_event import COVERAGE_ASSET, coverage_extra
from airflow_provider_metaconv.observability.lineage import TableNamespace, load_lineage
from airflow_provider_metaconv.observability.links import ConversationsTableLink, MessagesTableLink, push_links
from airflow_provider_metaconv.operators.stopping import StoppableOperator, interruptible
from airflow_provider_metaconv.operators.validation import Manifests, given_manifests, manifest_uris
from airflow_provider_metaconv.retry_policy import HAS_RETRY_POLICY, MetaGraphRetryPolicy, fail_fast
from airflow_provider_metaconv.stop import Stop
from airflow_provider_metaconv.triggers.bigquery_jobs import POLL_INTERVAL, BigQueryJobsTrigger
from airflow_provider_metaconv.warehouse.base import LoadResult
from airflow_provider_metaconv.warehouse.errors import SourceFileError
from airflow_provider_metaconv.warehouse.view_options import ViewOptions, ViewOptionsError

if TYPE_CHECKING:
    from airflow_provider_metaconv.warehouse.bigquery import BigQueryStep, BigQueryWarehouse

WRITTEN = ("inserted", "updated")
"""The counts of a table that asset events include."""


class MetaConversationsLoadOperator(StoppableOperator):
    """Merges the files of any number of manifests into a warehouse, all or nothing. Subclasses define the warehouse.

    ``manifests`` are the paths or URIs of manifests, or the extract operators' results from XCom (``extract.output``).
    Loading twice changes nothing. Without manifests, the task is skipped. Rows of different privacy policies or keys
    are mixed in the tables only with ``allow_policy_change``. With ``create_views``, the analytics views are created
    too, or replaced if they have changed; ``view_options`` are ``ViewOptions`` or a mapping with some of its fields.
    Returns the counts per table: rows ``staged``, ``inserted``, ``updated``, ``unchanged``. The events of assets in the
    task's ``outlets`` include the rows written and their provenance, that of ``meta_conversations_coverage`` what the
    coverage page shows.
    """

    template_fields: Sequence[str] = ("manifests", "create_views", "view_options")

    uris: Sequence[str] = ()
    result: LoadResult | None = None

    def __init__(
        self,
        *,
        manifests: Manifests,
        allow_policy_change: bool = False,
        create_views: bool = False,
        view_options: ViewOptions | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.manifests = manifests
        self.allow_policy_change = allow_policy_change
        self.create_views = create_views
        self.view_options = view_options
        if HAS_RETRY_POLICY and self.retry_policy is None:
            self.retry_policy = MetaGraphRetryPolicy()

    @abstractmethod
    def load(self, uris: list[str], context: Context, stop: Stop) -> LoadResult:
        """Merge the files of these manifests into the warehouse, until ``stop`` is requested."""

    @property
    def views(self) -> ViewOptions | None:
        """The options of the views to create, or None; fails the task at once if they are invalid."""
        if not isinstance(self.create_views, bool):  # a template renders a text
            raise AirflowFailException("create_views must be True or False")
        try:
            return ViewOptions.parse(self.view_options) if self.create_views else None
        except ViewOptionsError as error:
            raise AirflowFailException(str(error)) from None

    @abstractmethod
    def storage_opener(self) -> StorageOpener:
        """Return the function that opens the folders of the manifests."""

    @abstractmethod
    def table_namespace(self) -> TableNamespace:
        """Return the OpenLineage namespace of the tables; called once they are loaded."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Verify every file, then merge all of them in one transaction."""
        try:
            self.uris = manifest_uris(self.manifests)
        except (TypeError, ValueError) as error:
            raise AirflowFailException(str(error)) from None
        if not self.uris:
            raise AirflowSkipException("There are no manifests to load: no extract task succeeded.")
        with fail_fast(), self.until_stopped() as stop:
            return self.finish(self.load(self.uris, context, stop), context)

    def finish(self, result: LoadResult, context: Context) -> dict[str, Any]:
        """Log the result, add it to the asset events, and return it in JSON types for XCom."""
        self.result = result
        counts = {name: asdict(table) for name, table in result.tables.items()}
        self.log.info("Loaded: %s", counts)
        assets = [outlet for outlet in self.outlets if isinstance(outlet, Asset)]
        tables = [asset for asset in assets if asset.name != COVERAGE_ASSET]
        if tables:
            extra = {name: {key: count[key] for key in WRITTEN} for name, count in counts.items()} | self._provenance()
            for asset in tables:
                context["outlet_events"][asset].extra.update(extra)
        for asset in assets:
            if asset.name == COVERAGE_ASSET:
                context["outlet_events"][asset].extra.update(coverage_extra(given_manifests(self.manifests)))
        return counts

    def _provenance(self) -> dict[str, Any]:
        try:
            return provenance(self.uris, self.storage_opener())
        except (FilesError, LoadError) as error:
            # The rows are loaded. A manifest that was deleted since must not fail the task.
            self.log.warning("The asset events do not include where the rows come from: %s", error)
            return {}

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return the OpenLineage facets: from the folders of the files to the tables."""
        if self.result is None:
            return None
        return load_lineage(self.uris, self.table_namespace(), self.result)


class MetaConversationsToDuckDBOperator(MetaConversationsLoadOperator):
    """Merges the files of any number of manifests into the tables of a DuckDB file, all or nothing.

    Only one process at a time can open a DuckDB file, so give the task a pool with one slot.
    """

    template_fields: Sequence[str] = (*MetaConversationsLoadOperator.template_fields, "database", "schema")

    def __init__(self, *, database: str, schema: str = "main", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.database = database
        self.schema = schema

    def load(self, uris: list[str], context: Context, stop: Stop) -> LoadResult:
        """Merge the files in one transaction of the DuckDB file."""
        from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse

        with DuckDBWarehouse(
            self.database, schema=self.schema, allow_policy_change=self.allow_policy_change, views=self.views
        ) as warehouse:
            return load_through(
                uris, lambda files: interruptible(partial(warehouse.load, files), warehouse.interrupt, stop)
            )

    def storage_opener(self) -> StorageOpener:
        """Return the function that opens local folders."""
        return open_storage_by_scheme

    def table_namespace(self) -> TableNamespace:
        """Return the namespace of the DuckDB file."""
        return TableNamespace.duckdb(self.database, self.schema)


class MetaConversationsToBigQueryOperator(MetaConversationsLoadOperator):
    """Merges the files of any number of manifests into the tables of a BigQuery dataset, all or nothing.

    Files in Cloud Storage are read by BigQuery itself; local files are uploaded. ``dataset`` is ``dataset`` or
    ``project.dataset``; ``project_id`` is the project that runs and pays for the jobs, by default the connection's.
    A missing dataset (in ``location``) and missing tables are created unless ``create_tables`` is false. A messages
    table created with ``partition_expiration`` drops older daily partitions automatically. With ``deferrable``, no
    worker slot is occupied while jobs run.

    A retry continues with the jobs of the previous attempt. Requires the extra ``google``; the account needs the roles
    BigQuery Data Editor and BigQuery Job User, and Storage Object Viewer on the bucket.
    """

    template_fields: Sequence[str] = (
        *MetaConversationsLoadOperator.template_fields,
        "dataset",
        "project_id",
        "location",
        "gcp_conn_id",
        "impersonation_chain",
    )
    operator_extra_links: Sequence[BaseOperatorLink] = (MessagesTableLink(), ConversationsTableLink())

    full_dataset: str | None = None

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

    def load(self, uris: list[str], context: Context, stop: Stop) -> LoadResult:
        """Stage with load jobs, then merge with one query job; raises ``TaskDeferred`` if ``deferrable``."""
        cloud = GoogleCloud(self.gcp_conn_id, self.impersonation_chain)
        with self._warehouse(cloud, context) as warehouse:
            if not self.deferrable:
                return load_through(uris, warehouse.load, cloud.open_storage)
            return self._result_or_defer(warehouse.begin(verified_files(uris, cloud.open_storage)))

    def storage_opener(self) -> StorageOpener:
        """Return the function that opens local folders and buckets."""
        return GoogleCloud(self.gcp_conn_id, self.impersonation_chain).open_storage

    def table_namespace(self) -> TableNamespace:
        """Return the dataset's namespace, with the project, which may come from the connection."""
        return TableNamespace.bigquery(self.full_dataset or self.dataset)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Continue when the jobs of a step have ended; ``event`` is that step."""
        from airflow_provider_metaconv.warehouse.bigquery import BigQueryStep

        cloud = GoogleCloud(self.gcp_conn_id, self.impersonation_chain)
        self.uris = manifest_uris(self.manifests)
        with fail_fast(), self.until_stopped(), self._warehouse(cloud, context) as warehouse:
            step = BigQueryStep.from_dict(event)
            try:
                step = warehouse.advance(step)
            except SourceFileError:
                if step.is_second_try:
                    raise
                # The window was committed again between verification and loading.
                files = verified_files(self.uris, cloud.open_storage)
                step = replace(warehouse.begin(files), is_second_try=True)
            return self.finish(self._result_or_defer(step), context)

    resume = execute_complete
    """The former name of the method, for tasks that an earlier release deferred."""

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
            method_name="execute_complete",
        )
        raise AssertionError("defer() does not return")

    def _warehouse(self, cloud: GoogleCloud, context: Context) -> BigQueryWarehouse:
        client = cloud.bigquery_client(self.project_id, self.location)
        from airflow_provider_metaconv.warehouse.bigquery import BigQueryWarehouse

        self.full_dataset = self.dataset if "." in self.dataset else f"{client.project}.{self.dataset}"
        push_links(self, context)
        instance = context["ti"]
        return BigQueryWarehouse(
            client,
            self.dataset,
            location=self.location,
            create_tables=self.create_tables,
            partition_expiration=self.partition_expiration,
            allow_policy_change=self.allow_policy_change,
            views=self.views,
            # The same in each attempt of this task instance, so that a retry finds the jobs of the one before.
            load_id=f"{instance.dag_id}.{instance.task_id}.{instance.run_id}.{instance.map_index}",
        )

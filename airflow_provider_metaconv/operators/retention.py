"""The operator that removes old messages from files and tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator, Context

from airflow_provider_metaconv.erase.retention import remove_old
from airflow_provider_metaconv.hooks.google_cloud import GCP_CONN_ID, GoogleCloud
from airflow_provider_metaconv.operators.validation import checked_place, present
from airflow_provider_metaconv.operators.warehouse_address import warehouse_opener
from airflow_provider_metaconv.retry_policy import HAS_RETRY_POLICY, MetaGraphRetryPolicy, fail_fast
from airflow_provider_metaconv.window import checked_retention, retention_cutoff


class MetaRetentionOperator(BaseOperator):
    """Removes messages older than ``retention``, a timedelta, from the files of a destination and a warehouse's tables.

    Older means before the midnight (UTC) before ``retention`` ago, so there is something to do once a day; the other
    runs of a day end at once. ``warehouse`` is ``duckdb:///path`` or ``bigquery://project.dataset``, or None for files
    alone. Give the extract operators the same ``retention``, or they bring old messages back.

    Windows that have ended before leave as a whole, others are rewritten, tables change in one transaction. While a
    window is being extracted the task fails and can be retried.

    Returns ``{"cutoff": time, "windows": n, "files": {table: rows}, "tables": {table: rows}}``: what has left.
    """

    template_fields: Sequence[str] = ("destination", "warehouse", "gcp_conn_id", "project_id", "location")

    def __init__(
        self,
        *,
        retention: timedelta,
        destination: str,
        warehouse: str | None = None,
        gcp_conn_id: str = GCP_CONN_ID,
        project_id: str | None = None,
        location: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.retention = retention
        self.destination = destination
        self.warehouse = warehouse
        self.gcp_conn_id = gcp_conn_id
        self.project_id = project_id
        self.location = location
        if HAS_RETRY_POLICY and self.retry_policy is None:
            self.retry_policy = MetaGraphRetryPolicy()

    def execute(self, context: Context) -> dict[str, Any]:
        """Remove them, and return the counts."""
        try:
            retention = checked_retention("retention", self.retention)
            checked_place("destination", self.destination)
            cloud = GoogleCloud(self.gcp_conn_id)
            open_warehouse = None
            if self.warehouse is not None:
                open_warehouse = warehouse_opener(self.warehouse, cloud, self.project_id, self.location)
        except ValueError as error:
            raise AirflowFailException(str(error)) from None
        with fail_fast():
            root = cloud.open_storage(self.destination)
            cutoff = retention_cutoff(retention, present(context))
            return remove_old(root, cutoff, retention, open_warehouse, self.warehouse or "").as_dict()

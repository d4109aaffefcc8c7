"""The client, dataset, timeouts and retry policy that every call to BigQuery uses."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from google.api_core.retry import Retry
from google.cloud.bigquery import DEFAULT_RETRY, Client, DatasetReference, TableReference

from airflow_provider_metaconv.warehouse.bigquery.errors import Place
from airflow_provider_metaconv.warehouse.bigquery.sql import identifier

LABELS = {"source": "airflow_provider_metaconv"}

_SECONDS_PER_ANSWER = 60.0


@dataclass(frozen=True, slots=True)
class Connection:
    """A client and a dataset. ``call_timeout`` covers one call and its retries, ``job_timeout`` one job."""

    client: Client
    dataset: DatasetReference
    job_timeout: timedelta
    call_timeout: timedelta
    retry: Retry = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "retry", DEFAULT_RETRY.with_timeout(self.call_timeout.total_seconds()))

    @property
    def seconds_per_answer(self) -> float:
        """How long to wait for the response to one request before it is retried."""
        return min(_SECONDS_PER_ANSWER, self.call_timeout.total_seconds())

    @property
    def name(self) -> str:
        """The dataset as ``project.dataset``."""
        return f"{self.dataset.project}.{self.dataset.dataset_id}"

    @property
    def quoted(self) -> str:
        """The dataset as a quoted SQL path."""
        return identifier(self.dataset.project, self.dataset.dataset_id)

    @property
    def place(self) -> Place:
        """The names for use in error messages."""
        return Place(str(self.client.project), self.name)

    def table(self, name: str) -> TableReference:
        """Return a reference to a table of the dataset."""
        return self.dataset.table(name)

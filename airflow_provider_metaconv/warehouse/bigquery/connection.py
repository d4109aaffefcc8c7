"""A client, a dataset and the patience for them: what every call to BigQuery needs."""

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
    """Where to work and how long to wait: ``call_timeout`` for one call with its retries, ``job_timeout`` for a job."""

    client: Client
    dataset: DatasetReference
    job_timeout: timedelta
    call_timeout: timedelta
    retry: Retry = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "retry", DEFAULT_RETRY.with_timeout(self.call_timeout.total_seconds()))

    @property
    def seconds_per_answer(self) -> float:
        """How long to wait for the answer to one request, before it is sent again."""
        return min(_SECONDS_PER_ANSWER, self.call_timeout.total_seconds())

    @property
    def name(self) -> str:
        """The dataset with its project, as people write it."""
        return f"{self.dataset.project}.{self.dataset.dataset_id}"

    @property
    def quoted(self) -> str:
        """The dataset as SQL wants it."""
        return identifier(self.dataset.project, self.dataset.dataset_id)

    @property
    def place(self) -> Place:
        """What error messages may name."""
        return Place(str(self.client.project), self.name)

    def table(self, name: str) -> TableReference:
        """A table of the dataset."""
        return self.dataset.table(name)

"""Google Cloud as the destination of a demo: a bucket and a BigQuery dataset, on local servers or in a real project."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_metaconv.demo.results import Answer

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud import bigquery, storage

SECONDS_BETWEEN_LISTS = 2.0
SECONDS_FOR_AN_ANSWER = 120


class GooglePlace:
    """A new bucket folder and a new dataset for each demo, so that no existing data are replaced."""

    command = "make demo-gcp"
    row_as_text = "TO_JSON_STRING(each_row)"

    def __init__(self, project: str, bucket: str, *, real: bool, stamp: str, location: str | None = None) -> None:
        self._project, self._bucket, self._location = project, bucket, location
        self._real = real
        self._prefix = f"metaconv-demo-{stamp}"
        self._dataset = f"metaconv_demo_{stamp}"
        self._manifests: dict[str, bytes] = {}
        self._listed = float("-inf")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], now: datetime | None = None) -> GooglePlace:
        """Use the bucket in ``META_GCS_BUCKET`` and the project in ``GOOGLE_CLOUD_PROJECT``.

        With ``STORAGE_EMULATOR_HOST``, which points to a local server, no login is needed. ``META_BIGQUERY_LOCATION``
        is the location of the new dataset, by default BigQuery's. Exits the program if bucket or project is missing.
        """
        stamp = (now or datetime.now(UTC)).strftime("%Y%m%d_%H%M%S")
        bucket, project = environment.get("META_GCS_BUCKET", ""), environment.get("GOOGLE_CLOUD_PROJECT", "")
        location = environment.get("META_BIGQUERY_LOCATION") or None
        if not bucket:
            raise SystemExit("META_GCS_BUCKET is not set: set META_GCS_BUCKET and GOOGLE_CLOUD_PROJECT.")
        if not project:
            raise SystemExit("GOOGLE_CLOUD_PROJECT is not set: set it as well as META_GCS_BUCKET.")
        real = "STORAGE_EMULATOR_HOST" not in environment
        return cls(project, bucket.removeprefix("gs://"), real=real, stamp=stamp, location=location)

    @property
    def variable(self) -> dict[str, Any]:
        """The bucket's folder and the dataset."""
        return {
            "destination": f"gs://{self._bucket}/{self._prefix}",
            "dataset": self._dataset,
            "project_id": self._project,
            "location": self._location,
        }

    @property
    def environment(self) -> dict[str, str]:
        """The Google connection, with this machine's login or anonymous for local servers, and the warehouse."""
        extra: dict[str, Any] = {"project": self._project} | ({} if self._real else {"is_anonymous": True})
        connection = {"conn_type": "google_cloud_platform", "extra": extra}
        return {
            "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(connection),
            "META_CONVERSATIONS_WAREHOUSE": "bigquery",
        }

    @property
    def lines(self) -> list[str]:
        """Where the files and tables are, and how to remove them if they cost money."""
        lines = [f"Files:    gs://{self._bucket}/{self._prefix}", f"BigQuery: {self._project}.{self._dataset}"]
        if self._real:
            lines.append(
                f"To remove them: gcloud storage rm -r gs://{self._bucket}/{self._prefix}; "
                f"bq rm -r -f {self._project}:{self._dataset}"
            )
        return lines

    def clean(self) -> None:
        """Do nothing: each demo has its own folder and dataset."""

    def manifests(self) -> Iterator[bytes]:
        """Yield the manifests of all finished windows, listed at most every two seconds."""
        if time.monotonic() - self._listed >= SECONDS_BETWEEN_LISTS:
            bucket = self._storage.bucket(self._bucket)
            for blob in bucket.list_blobs(prefix=f"{self._prefix}/", timeout=SECONDS_FOR_AN_ANSWER):
                if blob.name.endswith("/_manifest.json") and blob.name not in self._manifests:
                    self._manifests[blob.name] = blob.download_as_bytes(timeout=SECONDS_FOR_AN_ANSWER)
            self._listed = time.monotonic()
        for name in sorted(self._manifests):
            yield self._manifests[name]

    def receipts(self) -> Iterator[tuple[str, bytes]]:
        """Yield where each receipt of an erasure is, and its content."""
        bucket = self._storage.bucket(self._bucket)
        for blob in bucket.list_blobs(prefix=f"{self._prefix}/_erasures/", timeout=SECONDS_FOR_AN_ANSWER):
            yield f"gs://{self._bucket}/{blob.name}", blob.download_as_bytes(timeout=SECONDS_FOR_AN_ANSWER)

    def ask(self, query: str) -> Answer:
        """Return BigQuery's result."""
        from google.cloud import bigquery

        configuration = bigquery.QueryJobConfig(default_dataset=f"{self._project}.{self._dataset}")
        job = self._bigquery.query(query, job_config=configuration, timeout=SECONDS_FOR_AN_ANSWER)
        rows = job.result(timeout=SECONDS_FOR_AN_ANSWER)
        return Answer([field.name for field in rows.schema], [tuple(row.values()) for row in rows])

    @cached_property
    def _storage(self) -> storage.Client:
        from google.cloud import storage

        return storage.Client(project=self._project, credentials=self._credentials)

    @cached_property
    def _bigquery(self) -> bigquery.Client:
        from google.cloud import bigquery

        return bigquery.Client(project=self._project, credentials=self._credentials, location=self._location)

    @property
    def _credentials(self) -> Credentials | None:
        from google.auth.credentials import AnonymousCredentials

        return None if self._real else AnonymousCredentials()  # type: ignore[no-untyped-call]

"""Google Cloud from one Airflow Connection: storage and BigQuery clients by way of the official provider's hooks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException

from airflow_provider_metaconv.files.errors import StorageRefusedError
from airflow_provider_metaconv.files.storage import Storage, open_storage

if TYPE_CHECKING:
    from google.cloud import bigquery, storage

GCP_CONN_ID = "google_cloud_default"
_INSTALL = "Google's provider is not installed: pip install 'airflow-provider-metaconv[google]'"


class GoogleCloud:
    """What the connection ``gcp_conn_id`` opens, in every way of authenticating that the official provider knows.

    Raises ``ImportError`` with the command that installs Google's provider when it is missing,
    ``AirflowNotFoundException`` without the connection, and ``AirflowException`` when it gives no credentials.
    """

    def __init__(self, gcp_conn_id: str = GCP_CONN_ID, impersonation_chain: str | Sequence[str] | None = None) -> None:
        self._gcp_conn_id = gcp_conn_id
        self._impersonation_chain = impersonation_chain

    def open_storage(self, folder_uri: str) -> Storage:
        """The storage of a folder: ``gs://bucket/folder``, or a local path."""
        if not folder_uri.startswith("gs://"):
            return open_storage(folder_uri, "a local folder or gs://bucket/prefix")
        with _installed():
            from airflow_provider_metaconv.files.gcs import GCSStorage, parse_gs_uri
        name, folder = parse_gs_uri(folder_uri)
        try:
            bucket = self._storage_client.bucket(name)
        except ValueError:
            raise StorageRefusedError(f"{name!r} is no name of a bucket: write it as gs://bucket/folder") from None
        return GCSStorage(bucket, folder)

    def bigquery_client(self, project_id: str | None = None, location: str | None = None) -> bigquery.Client:
        """A BigQuery client that bills ``project_id``, by default the connection's project."""
        with _installed():
            from airflow.providers.google.cloud.hooks.bigquery import BigQueryHook
        with self._usable():
            hook = BigQueryHook(**self._arguments, location=location, use_legacy_sql=False)
            return hook.get_client(project_id=project_id or hook.project_id, location=location)

    @cached_property
    def _storage_client(self) -> storage.Client:
        # One client for all folders: each of its own would authenticate and connect again.
        with _installed():
            from airflow.providers.google.cloud.hooks.gcs import GCSHook
        with self._usable():
            return GCSHook(**self._arguments).get_conn()

    @property
    def _arguments(self) -> dict[str, Any]:
        return {"gcp_conn_id": self._gcp_conn_id, "impersonation_chain": self._impersonation_chain}

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        from google.auth.exceptions import GoogleAuthError

        name = self._gcp_conn_id
        try:
            yield
        except AirflowNotFoundException:
            raise AirflowNotFoundException(
                f"There is no connection {name!r}: add one of type google_cloud_platform, for example in the "
                f"environment variable AIRFLOW_CONN_{name.upper()}, or name another as gcp_conn_id."
            ) from None
        except (GoogleAuthError, AirflowException, ValueError, OSError) as error:
            # Not the error's own text: it may quote the key.
            raise AirflowException(
                f"The connection {name!r} gives no Google credentials ({type(error).__name__}): "
                "check its key, its project and its impersonation chain."
            ) from None


@contextlib.contextmanager
def _installed() -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise ImportError(_INSTALL) from None

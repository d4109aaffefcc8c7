"""Storage and BigQuery clients from one Airflow Connection, through the hooks of the official Google provider."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import requests
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowNotFoundException

from airflow_provider_metaconv.files.errors import StorageRefusedError
from airflow_provider_metaconv.files.storage import Storage, open_storage

if TYPE_CHECKING:
    from google.cloud import bigquery, storage

GCP_CONN_ID = "google_cloud_default"
_INSTALL = "Google's provider is not installed: pip install 'airflow-provider-metaconv[google]'"


class GoogleCloud:
    """Google Cloud clients for the connection ``gcp_conn_id``, with every authentication method of the Google provider.

    Raises ``ImportError`` with the installation command if the Google provider is missing, ``AirflowNotFoundException``
    if the connection does not exist, and ``AirflowException`` if it yields no credentials.
    """

    def __init__(self, gcp_conn_id: str = GCP_CONN_ID, impersonation_chain: str | Sequence[str] | None = None) -> None:
        self._gcp_conn_id = gcp_conn_id
        self._impersonation_chain = impersonation_chain

    def open_storage(self, folder_uri: str) -> Storage:
        """Return the storage of a folder: ``gs://bucket/folder`` or a local path."""
        if not folder_uri.startswith("gs://"):
            return open_storage(folder_uri, "a local folder or gs://bucket/prefix")
        with _installed():
            from airflow_provider_metaconv.files.storage.gcs import GCSStorage, parse_gs_uri
        name, folder = parse_gs_uri(folder_uri)
        try:
            bucket = self._storage_client.bucket(name)
        except ValueError:
            raise StorageRefusedError(f"{name!r} is not a valid bucket name: use gs://bucket/folder") from None
        return GCSStorage(bucket, folder)

    def bigquery_client(self, project_id: str | None = None, location: str | None = None) -> bigquery.Client:
        """Return a BigQuery client that bills ``project_id``, by default the connection's project."""
        with _installed():
            from airflow.providers.google.cloud.hooks.bigquery import BigQueryHook
        with self._usable():
            hook = BigQueryHook(**self._arguments, location=location, use_legacy_sql=False)
            return hook.get_client(project_id=project_id or hook.project_id, location=location)

    @cached_property
    def _storage_client(self) -> storage.Client:
        # All folders share one client, so that it authenticates and connects only once.
        with _installed():
            from airflow.providers.google.cloud.hooks.gcs import GCSHook
        with self._usable():
            return GCSHook(**self._arguments).get_conn()

    @property
    def _arguments(self) -> dict[str, Any]:
        return {"gcp_conn_id": self._gcp_conn_id, "impersonation_chain": self._impersonation_chain}

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        from google.auth.exceptions import GoogleAuthError, TransportError

        name = self._gcp_conn_id
        try:
            yield
        except AirflowNotFoundException:
            raise AirflowNotFoundException(
                f"Connection {name!r} does not exist: add one of type google_cloud_platform, for example in the "
                f"environment variable AIRFLOW_CONN_{name.upper()}, or set gcp_conn_id to another one."
            ) from None
        except (GoogleAuthError, AirflowException, ValueError, OSError) as error:
            passes = isinstance(error, TransportError | requests.RequestException) or getattr(error, "retryable", False)
            # The error's own text may quote the key.
            raise (AirflowException if passes else AirflowFailException)(
                f"Connection {name!r} yields no Google credentials ({type(error).__name__}): "
                "check its key, its project and its impersonation chain."
            ) from None


@contextlib.contextmanager
def _installed() -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise ImportError(_INSTALL) from None

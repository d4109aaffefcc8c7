"""The local servers as pytest fixtures, started once per session and only if a test needs them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from local_servers.environments import BIGQUERY, STORAGE
from local_servers.pinned_environment import PinnedEnvironment
from local_servers.pythons import PythonMissing
from local_servers.servers import BigQueryServer, StorageServer

REQUIRED = "METACONV_REQUIRE_GOOGLE_SERVERS"


@pytest.fixture(scope="session")
def storage_server() -> Iterator[StorageServer]:
    """Google Cloud Storage in memory; each test uses its own bucket."""
    _ensure(STORAGE)
    with StorageServer() as server:
        yield server


@pytest.fixture(scope="session")
def running_bigquery(storage_server: StorageServer) -> Iterator[BigQueryServer]:
    """The process of the BigQuery server."""
    _ensure(BIGQUERY)
    with BigQueryServer(storage_server.direct_url) as server:
        yield server


@pytest.fixture(scope="module")
def bigquery_server(running_bigquery: BigQueryServer) -> Iterator[BigQueryServer]:
    """BigQuery that reads from the storage server; each test uses its own dataset.

    What a file of tests leaves is removed: 25 small datasets make each load take half as long again.
    """
    yield running_bigquery
    running_bigquery.clear_faults()
    # Imported late: without the extra google, only tests that need it are left out.
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    options = {"api_endpoint": running_bigquery.direct_url}
    client = bigquery.Client(running_bigquery.project, AnonymousCredentials(), client_options=options)
    for dataset in client.list_datasets():
        client.delete_dataset(dataset.reference, delete_contents=True, not_found_ok=True)


def _ensure(environment: PinnedEnvironment) -> None:
    try:
        environment.ensure()
    except PythonMissing as missing:
        if os.environ.get(REQUIRED):
            raise
        pytest.skip(str(missing))

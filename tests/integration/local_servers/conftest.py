from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from local_servers.servers import BigQueryServer, StorageServer

if TYPE_CHECKING:
    from google.cloud import bigquery, storage

NUMBERS = itertools.count(1)


def storage_client(server: StorageServer) -> storage.Client:
    """Google's own client, connected to a server."""
    from google.api_core.client_options import ClientOptions
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    options = ClientOptions(api_endpoint=server.url)
    return storage.Client(project="example-project", credentials=AnonymousCredentials(), client_options=options)


@pytest.fixture
def google_storage(storage_server: StorageServer) -> Iterator[StorageServer]:
    """The storage server without faults and with an empty log."""
    storage_server.forget_requests()
    yield storage_server
    storage_server.clear_faults()


@pytest.fixture
def bucket(google_storage: StorageServer) -> storage.Bucket:
    """A new, empty bucket."""
    made = storage_client(google_storage).create_bucket(f"bucket-{next(NUMBERS)}")
    google_storage.forget_requests()
    return made


@pytest.fixture
def google_bigquery(bigquery_server: BigQueryServer) -> Iterator[BigQueryServer]:
    """The BigQuery server without faults and with an empty log."""
    bigquery_server.forget_requests()
    yield bigquery_server
    bigquery_server.clear_faults()


@pytest.fixture
def client(google_bigquery: BigQueryServer) -> bigquery.Client:
    """Google's own client, connected to the server."""
    from google.api_core.client_options import ClientOptions
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    options = ClientOptions(api_endpoint=google_bigquery.url)
    return bigquery.Client(project=google_bigquery.project, credentials=AnonymousCredentials(), client_options=options)


@pytest.fixture
def dataset(client: bigquery.Client) -> str:
    """The full name of a new, empty dataset."""
    name = f"{client.project}.dataset_{next(NUMBERS)}"
    client.create_dataset(name)
    return name

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
def bigquery_server(storage_server: StorageServer) -> Iterator[BigQueryServer]:
    """BigQuery that reads from the storage server; each test uses its own dataset."""
    _ensure(BIGQUERY)
    with BigQueryServer(storage_server.direct_url) as server:
        yield server


def _ensure(environment: PinnedEnvironment) -> None:
    try:
        environment.ensure()
    except PythonMissing as missing:
        if os.environ.get(REQUIRED):
            raise
        pytest.skip(str(missing))

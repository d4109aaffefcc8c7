"""Buckets in a local storage server for these tests, and a place for local files."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local_servers.servers import StorageServer

if TYPE_CHECKING:
    from google.cloud import storage


def connect(server: StorageServer, url: str | None = None) -> storage.Client:
    """A client of that server, by default through its proxy, that contacts no other machine."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    options = {"api_endpoint": url or server.url}
    return storage.Client(project="project", credentials=AnonymousCredentials(), client_options=options)


@pytest.fixture
def server(storage_server: StorageServer) -> Iterator[StorageServer]:
    """The storage server without faults and with an empty log."""
    storage_server.clear_faults()
    storage_server.forget_requests()
    yield storage_server
    storage_server.clear_faults()


@pytest.fixture
def bucket(server: StorageServer, fresh_bucket: Callable[[], storage.Bucket]) -> storage.Bucket:
    """An empty bucket."""
    made = fresh_bucket()
    server.forget_requests()
    return made


@pytest.fixture
def local_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Path]]:
    """Returns all files in this test's folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return lambda: [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(scope="session")
def fresh_bucket(storage_server: StorageServer) -> Callable[[], storage.Bucket]:
    """A function that creates an empty bucket."""
    return lambda: connect(storage_server).create_bucket(f"bucket-{uuid.uuid4().hex}")

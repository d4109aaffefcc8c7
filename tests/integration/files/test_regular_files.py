"""Only regular files of a plausible size are read; nothing else in the folder blocks or fills a worker."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_metaconv.files import LocalStorage, Manifest, ManifestFile, StorageError
from airflow_provider_metaconv.files.commit import earlier_manifest
from airflow_provider_metaconv.files.coverage_record import record_window
from airflow_provider_metaconv.load.verify import verify_manifests
from airflow_provider_metaconv.warehouse.base import SourceFile
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from airflow_provider_metaconv.warehouse.errors import SourceFileError

pytestmark = pytest.mark.timeout(20)


def link_out(path: Path) -> None:
    outside = path.parent.parent / "outside"
    outside.write_bytes(b"secret")
    path.symlink_to(outside)


def bound_socket(path: Path) -> None:
    here = os.getcwd()  # noqa: PTH109
    os.chdir(path.parent)  # the path of a socket must be short
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


SPECIAL_FILES: dict[str, Callable[[Path], object]] = {
    "a pipe": lambda path: os.mkfifo(path),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link out of the folder": link_out,
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a socket": bound_socket,
    "a folder": lambda path: path.mkdir(),
}


@pytest.fixture(params=SPECIAL_FILES)
def special_file(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], LocalStorage]:
    def make(name: str) -> LocalStorage:
        folder = tmp_path / "window"
        folder.mkdir(exist_ok=True)
        SPECIAL_FILES[request.param](folder / name)
        return LocalStorage(folder)

    return make


@pytest.mark.parametrize("method", ["read", "open", "stat", "read_versioned"])
def test_a_special_file_is_not_read(special_file: Callable[[str], LocalStorage], method: str) -> None:
    with pytest.raises(StorageError, match=r"cannot read .*/part: it is not a regular file \(remove it\)"):
        getattr(special_file("part"), method)("part")


def test_a_special_file_is_not_listed(special_file: Callable[[str], LocalStorage]) -> None:
    storage = special_file("part")
    assert (storage.names(), storage.parent().children("part")) == ([], [])


def test_a_special_file_is_not_an_earlier_manifest(special_file: Callable[[str], LocalStorage]) -> None:
    assert earlier_manifest(special_file("_manifest.json")) is None


def test_a_load_rejects_a_special_file_as_manifest(special_file: Callable[[str], LocalStorage]) -> None:
    storage = special_file("_manifest.json")
    with pytest.raises(StorageError, match="not a regular file"):
        verify_manifests([storage.uri("_manifest.json")], LocalStorage)


def test_a_load_rejects_a_special_file_as_part(special_file: Callable[[str], LocalStorage]) -> None:
    storage = special_file("messages-00000.ndjson.gz")
    file = ManifestFile("messages-00000.ndjson.gz", "messages", 1, 6, "0" * 64)
    manifest = Manifest("100", "MESSENGER", None, "2026-11-21T00:00:00+00:00", (file,))
    storage.publish_bytes(manifest.to_bytes(), "_manifest.json")
    with pytest.raises(StorageError, match="not a regular file"):
        verify_manifests([storage.uri("_manifest.json")], LocalStorage)


def test_duckdb_does_not_open_a_special_file(special_file: Callable[[str], LocalStorage], tmp_path: Path) -> None:
    uri = str(special_file("messages-00000.ndjson.gz").folder / "messages-00000.ndjson.gz")
    with (
        DuckDBWarehouse(tmp_path / "meta.duckdb") as warehouse,
        pytest.raises(SourceFileError, match=r"file .* does not exist"),
    ):
        warehouse.load([SourceFile(uri, "messages", "ndjson", 1)])


@pytest.mark.google
def test_a_special_file_is_not_sent_to_bigquery(special_file: Callable[[str], LocalStorage]) -> None:
    from airflow_provider_metaconv.warehouse.bigquery.load_files import opened

    uri = str(special_file("messages-00000.ndjson.gz").folder / "messages-00000.ndjson.gz")
    with pytest.raises(OSError, match=r"not a regular file|No such"), opened(uri, "ndjson"):
        pass


def test_a_manifest_of_two_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "_manifest.json"
    path.touch()
    os.truncate(path, 2 * 1024**3)
    with pytest.raises(StorageError, match=r"_manifest.json: it is larger than 16,777,216 bytes, .*: remove it"):
        verify_manifests([str(path)], LocalStorage)
    assert earlier_manifest(LocalStorage(tmp_path)) is None


def test_a_coverage_record_of_two_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "_coverage.json"
    path.touch()
    os.truncate(path, 2 * 1024**3)
    from datetime import UTC, datetime

    with pytest.raises(StorageError, match=r"_coverage.json: it is larger than .*: remove it"):
        record_window(LocalStorage(tmp_path), None, datetime(2026, 11, 21, tzinfo=UTC), complete=True)


def test_a_part_of_another_size_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "part").touch()
    os.truncate(tmp_path / "part", 8 * 1024**4)
    assert LocalStorage(tmp_path).stat("part", 100) == (8 * 1024**4, "")

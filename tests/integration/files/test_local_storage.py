"""A local folder as storage, on real disks, including full ones."""

import errno
import os
import resource
import signal
from pathlib import Path

import pytest

from airflow_provider_metaconv.files import LocalStorage, PartsWriter, StorageError, open_storage
from airflow_provider_metaconv.files.errors import StorageRefusedError
from airflow_provider_metaconv.schema import MESSAGES
from tests.integration.files.storage_contract import StorageContract

ROW = {"platform": "MESSENGER", "page_id": "1", "message_id": "m", "text": "x"}


class TestLocalStorage(StorageContract):
    @pytest.fixture
    def open_folder(self, tmp_path):
        return lambda folder: LocalStorage(tmp_path / folder)


def test_reading_creates_no_folder(tmp_path):
    storage = LocalStorage(tmp_path / "none")
    storage.names()
    storage.remove_temporaries()
    storage.delete("x")
    assert not (tmp_path / "none").exists()


def test_temporaries_are_in_the_folder_so_that_renames_are_atomic(tmp_path):
    assert tmp_path == LocalStorage(tmp_path).temporary().parent


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_destination_that_is_a_file_is_reported(tmp_path, below):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"cannot create the folder .*: there is a file where a folder is needed"):
        LocalStorage(f"{tmp_path}/file{below}").publish_bytes(b"x", "part")


def test_an_unwritable_folder_is_reported():
    with pytest.raises(StorageError, match="cannot create the folder /proc/meta: the folder does not exist or cannot"):
        LocalStorage("/proc/meta").publish_bytes(b"x", "part")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR])
def test_disk_errors_that_need_human_action_are_final(tmp_path, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageRefusedError, match="choose another destination"):
        LocalStorage(tmp_path / "x").check_writable()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.EIO, errno.ENOENT])
def test_transient_disk_errors_are_retried(tmp_path, monkeypatch, number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("airflow_provider_metaconv.files.storage.local.create", fail)
    with pytest.raises(StorageError) as caught:
        LocalStorage(tmp_path / "x").check_writable()
    assert not isinstance(caught.value, StorageRefusedError)


def test_a_name_that_is_too_long_is_reported(tmp_path):
    with pytest.raises(StorageRefusedError, match="the name is too long"):
        LocalStorage(tmp_path / ("x" * 300)).check_writable()


def test_a_vanished_folder_is_reported(tmp_path):
    storage = LocalStorage(tmp_path / "folder")
    temporary = storage.temporary()
    temporary.write_bytes(b"x")
    temporary.unlink()
    (tmp_path / "folder").rmdir()
    with pytest.raises(StorageError, match=r"cannot publish .*the folder does not exist"):
        storage.publish(temporary, "part")


@pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
def test_a_full_disk_leaves_neither_part_nor_temporary(tmp_path, file_format):
    """A limit on the size of files replaces the full disk: the system refuses in the middle of a write."""
    storage = LocalStorage(tmp_path)
    storage.publish_bytes(b"earlier", "earlier")
    rows = [{**ROW, "message_id": os.urandom(500).hex()} for _ in range(2_000)]
    with (
        _file_size_limit(200_000),
        pytest.raises(StorageError) as caught,
        PartsWriter(storage, MESSAGES, file_format) as writer,
    ):
        writer.write(rows)
    assert f"cannot write {storage.uri('messages-00000')}" in str(caught.value)
    assert "raise the limit, or write smaller parts" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["earlier"]


def test_publish_bytes_on_a_full_disk_keeps_the_old_file(tmp_path):
    storage = LocalStorage(tmp_path)
    storage.publish_bytes(b"old", "_manifest.json")
    with _file_size_limit(1_000), pytest.raises(StorageError, match="cannot write"):
        storage.publish_bytes(b"x" * 2_000, "_manifest.json")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"_manifest.json": b"old"}


def test_open_storage_accepts_paths_and_file_uris(tmp_path):
    folder = tmp_path / "with space"
    uris = [str(folder / "x")] * 2
    assert uris == [open_storage(place).uri("x") for place in (str(folder), folder.as_uri())]


@pytest.mark.parametrize(
    "place",
    ["s3://bu[ket/x", "file://[/x", "s3://key:s3cret@bucket/x", "gs://bucket/x", "file://elsewhere/x", "gs:/bucket/x"],
)
def test_open_storage_names_what_is_supported(place):
    with pytest.raises(StorageError, match=r"are not supported here: use a local folder or file://") as caught:
        open_storage(place)
    assert "s3cret" not in str(caught.value)


class _file_size_limit:  # noqa: N801
    def __init__(self, limit: int) -> None:
        self.limit = limit

    def __enter__(self) -> None:
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, self.before[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)
        signal.signal(signal.SIGXFSZ, self.handler)


def test_a_relative_folder_gives_absolute_uris(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(Path.cwd() / "folder" / "x") == LocalStorage("folder").uri("x")


def test_an_unwritable_folder_is_reported_before_a_run():
    with pytest.raises(StorageError, match="cannot create the folder /proc/meta"):
        LocalStorage("/proc/meta").check_writable()

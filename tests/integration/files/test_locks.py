"""Folders whose locks other machines cannot see are rejected, based on the system's mounts and error codes."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from airflow_provider_metaconv.files import LocalStorage, StorageError
from airflow_provider_metaconv.files.storage import locks


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that makes this test's folder appear to be on such a file system."""

    def mount(kind: str, options: str) -> LocalStorage:
        device = tmp_path.stat().st_dev
        described = (
            f"36 35 {os.major(device)}:{os.minor(device)} / /data rw,noatime shared:1 - {kind} server:/x {options}"
        )
        file = tmp_path.parent / f"mountinfo-{tmp_path.name}"
        file.write_text(f"20 1 0:99 / /proc rw - proc proc rw\nodd\n{described}\n")
        monkeypatch.setattr(locks, "MOUNTS", file)
        return LocalStorage(tmp_path)

    return mount


@pytest.mark.parametrize("option", ["nolock", "local_lock=flock", "local_lock=all"])
@pytest.mark.parametrize("kind", ["nfs", "nfs4"])
def test_network_folders_with_local_locks_are_rejected(mounted, kind, option):
    storage = mounted(kind, f"rw,vers=3,{option},addr=192.0.2.1")
    with pytest.raises(StorageError, match=r"cannot lock .*no locks that other machines see.*mount it with locks"):
        storage.lock().__enter__()
    with pytest.raises(StorageError, match="no locks that other machines see"):
        storage.replace_if_unchanged(b"{}", "_coverage.json", version=None)


def test_a_network_folder_with_locks_is_locked_and_keeps_its_lock_file(mounted):
    storage = mounted("nfs4", "rw,vers=4.2,local_lock=none")
    for _ in range(2):
        with storage.lock(), pytest.raises(StorageError, match="another task is writing"):
            LocalStorage(storage.folder).lock().__enter__()
        assert ([path.name[0] for path in storage.folder.iterdir()], storage.names()) == (["."], [])


@pytest.mark.parametrize("kind", ["ext4", "overlay"])
def test_a_local_folder_is_locked_and_left_clean(mounted, kind):
    storage = mounted(kind, "rw,nolock")
    with storage.lock():
        assert [path.name for path in storage.folder.iterdir()] == [".lock"]
    assert list(storage.folder.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_rejected(tmp_path, monkeypatch, code):
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError, match=r"cannot lock .*: its file system has no locks that other machines see"):
        LocalStorage(tmp_path).lock().__enter__()


def test_locks_are_trusted_where_mounts_are_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "MOUNTS", tmp_path / "none")
    with LocalStorage(tmp_path).lock():
        pass

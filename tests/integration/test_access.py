"""Access rights of folders and files after each kind of write, as the system reports them."""

import logging
import os
import stat
import threading
from pathlib import Path

import pytest

from airflow_provider_metaconv import access
from airflow_provider_metaconv.files import LocalStorage, PartsWriter, StorageError
from airflow_provider_metaconv.schema import MESSAGES

ROW = {"platform": "MESSENGER", "page_id": "1", "message_id": "m", "text": "x"}


@pytest.fixture(autouse=True)
def no_previous_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "already_reported", set())
    monkeypatch.delenv(access.VARIABLE, raising=False)


@pytest.fixture(params=[0o022, 0o000, 0o077], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): f"{stat.S_IMODE(path.lstat().st_mode):04o}" for path in sorted(folder.rglob("*"))
    }


def written_modes(folder: Path) -> dict[str, str]:
    """The modes of everything a storage can write, while it is locked."""
    storage = LocalStorage(folder / "new" / "window")
    with storage.lock(), PartsWriter(storage, MESSAGES) as writer:
        writer.write([ROW])
        writer.roll()
        storage.publish_bytes(b"{}", "_manifest.json")
        storage.publish_bytes(b"{}", "_checkpoint.json", durable=False)
        storage.parent().replace_if_unchanged(b"{}", "_coverage.json", version=None)
        writer.write([ROW])
        storage.check_writable()
        found = modes(folder)
    return {Path(name).name.split("-")[0]: mode for name, mode in found.items()}


@pytest.mark.usefixtures("umask")
def test_files_are_private_to_their_owner_under_any_umask(tmp_path):
    names = [".lock", ".temporary", "_checkpoint.json", "_coverage.json", "_manifest.json", "messages"]
    assert {"new": "0700", "window": "0700"} | dict.fromkeys(names, "0600") == written_modes(tmp_path)


@pytest.mark.usefixtures("umask")
def test_group_access_works_under_any_umask(tmp_path, monkeypatch):
    monkeypatch.setenv(access.VARIABLE, "group")
    names = [".lock", ".temporary", "_checkpoint.json", "_coverage.json", "_manifest.json", "messages"]
    assert {"new": "2770", "window": "2770"} | dict.fromkeys(names, "0660") == written_modes(tmp_path)


def test_an_unknown_access_mode_is_rejected_before_writing(tmp_path, monkeypatch):
    monkeypatch.setenv(access.VARIABLE, "world")
    with pytest.raises(StorageError, match="META_CONVERSATIONS_FILE_ACCESS must be owner or group, not 'world'"):
        LocalStorage(tmp_path / "new").check_writable()
    assert list(tmp_path.iterdir()) == []


def test_an_open_folder_is_reported_once_and_left_unchanged(tmp_path, caplog):
    folder = tmp_path / "it's old"
    folder.mkdir()
    folder.chmod(0o755)
    for _ in range(3):
        LocalStorage(folder).publish_bytes(b"{}", "_manifest.json")
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [f"{stat.S_IMODE(folder.stat().st_mode):04o}", len(warnings)] == ["0755", 1]
    assert warnings[0].startswith(f"{folder} is open to more than the owner (mode 755)")
    assert warnings[0].endswith(f"""chmod -R go-rwx '{tmp_path}/it'"'"'s old'""")


def test_private_folders_and_their_parents_cause_no_warning(tmp_path, caplog):
    tmp_path.chmod(0o755)
    LocalStorage(tmp_path / "new").publish_bytes(b"{}", "_manifest.json")
    assert [record for record in caplog.records if record.levelno == logging.WARNING] == []


@pytest.mark.parametrize(
    ("name", "lock"),
    [
        (".lock", lambda storage: storage.lock().__enter__()),
        ("._coverage.json.lock", lambda storage: storage.replace_if_unchanged(b"{}", "_coverage.json", version=None)),
    ],
)
def test_a_symbolic_link_in_place_of_a_lock_is_not_followed(tmp_path, name, lock):
    outside = tmp_path / "outside"
    outside.write_bytes(b"not ours")
    outside.chmod(0o644)
    storage = LocalStorage(tmp_path / "window")
    storage.check_writable()
    (storage.folder / name).symlink_to(outside)
    with pytest.raises(StorageError, match=r"lock .*there is a symbolic link where a file or folder is needed"):
        lock(storage)
    assert (outside.read_bytes(), stat.S_IMODE(outside.stat().st_mode)) == (b"not ours", 0o644)


def test_a_temporary_file_never_replaces_an_existing_file_or_link(tmp_path):
    (tmp_path / "outside").write_bytes(b"not ours")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    for name in ("outside", "link"):
        with pytest.raises(FileExistsError):
            access.create(tmp_path / name)
    assert (tmp_path / "outside").read_bytes() == b"not ours"


def test_the_umask_is_restored_after_the_last_thread():
    before = os.umask(0o022)
    try:
        inside, leave = threading.Event(), threading.Event()

        def stay() -> None:
            with access.narrowed_umask():
                inside.set()
                leave.wait(10)

        thread = threading.Thread(target=stay)
        thread.start()
        inside.wait(10)
        with access.narrowed_umask():
            pass
        still = os.umask(0o077)
        leave.set()
        thread.join(10)
        assert (still, os.umask(0o022)) == (0o077, 0o022)
    finally:
        os.umask(before)

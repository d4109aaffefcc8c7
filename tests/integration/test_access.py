"""For whom folders and files are, as the system itself says after each kind of write."""

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
def nothing_reported_yet(monkeypatch: pytest.MonkeyPatch) -> None:
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


def written(folder: Path) -> dict[str, str]:
    """The modes of everything that a storage can write, while it is locked."""
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
def test_what_is_written_is_for_its_owner_alone_whatever_the_umask(tmp_path):
    names = [".lock", ".temporary", "_checkpoint.json", "_coverage.json", "_manifest.json", "messages"]
    assert {"new": "0700", "window": "0700"} | dict.fromkeys(names, "0600") == written(tmp_path)


@pytest.mark.usefixtures("umask")
def test_a_shared_group_can_be_given_access_whatever_the_umask(tmp_path, monkeypatch):
    monkeypatch.setenv(access.VARIABLE, "group")
    names = [".lock", ".temporary", "_checkpoint.json", "_coverage.json", "_manifest.json", "messages"]
    assert {"new": "2770", "window": "2770"} | dict.fromkeys(names, "0660") == written(tmp_path)


def test_another_word_for_the_access_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv(access.VARIABLE, "world")
    with pytest.raises(StorageError, match="META_CONVERSATIONS_FILE_ACCESS must be owner or group, not 'world'"):
        LocalStorage(tmp_path / "new").check_writable()
    assert list(tmp_path.iterdir()) == []


def test_a_looser_folder_is_said_once_with_the_command_and_stays(tmp_path, caplog):
    folder = tmp_path / "it's old"
    folder.mkdir()
    folder.chmod(0o755)
    for _ in range(3):
        LocalStorage(folder).publish_bytes(b"{}", "_manifest.json")
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [f"{stat.S_IMODE(folder.stat().st_mode):04o}", len(told)] == ["0755", 1]
    assert told[0].startswith(f"{folder} is open to more than the owner (mode 755)")
    assert told[0].endswith(f"""chmod -R go-rwx '{tmp_path}/it'"'"'s old'""")


def test_nothing_is_said_of_a_folder_that_fits_or_lies_above(tmp_path, caplog):
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
def test_a_symbolic_link_in_place_of_a_lock_is_followed_nowhere(tmp_path, name, lock):
    outside = tmp_path / "outside"
    outside.write_bytes(b"not ours")
    outside.chmod(0o644)
    storage = LocalStorage(tmp_path / "window")
    storage.check_writable()
    (storage.folder / name).symlink_to(outside)
    with pytest.raises(StorageError, match=r"lock .*there is a symbolic link where a file or folder is needed"):
        lock(storage)
    assert (outside.read_bytes(), stat.S_IMODE(outside.stat().st_mode)) == (b"not ours", 0o644)


def test_a_temporary_file_never_takes_over_a_file_or_link_that_is_there(tmp_path):
    (tmp_path / "outside").write_bytes(b"not ours")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    for name in ("outside", "link"):
        with pytest.raises(FileExistsError):
            access.create(tmp_path / name)
    assert (tmp_path / "outside").read_bytes() == b"not ours"


def test_the_umask_is_as_before_once_the_last_of_several_threads_is_done():
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

"""Who may read what is written, whatever the umask of the worker."""

import logging
import os
import stat
import threading

import pytest

from airflow_provider_metaconv.file_access import SETTING, private_umask
from airflow_provider_metaconv.files import LocalStorage, PartsWriter, StorageError
from airflow_provider_metaconv.records import MESSAGES

ROW = {"platform": "MESSENGER", "page_id": "1", "message_id": "m", "text": "x"}


@pytest.fixture(autouse=True, params=[0o022, 0o000, 0o077])
def umask(request):
    former = os.umask(request.param)
    yield request.param
    os.umask(former)


def written(folder):
    """Everything that a storage writes, by its mode: folders, parts, bytes, what is compared, and a held lock."""
    storage = LocalStorage(folder)
    with PartsWriter(storage, MESSAGES) as writer:
        writer.write([ROW])
    storage.publish_bytes(b"x", "_manifest.json")
    storage.parent().replace_if_unchanged(b"x", "_coverage.json", version=None)
    with storage.lock():
        return {
            str(path.relative_to(folder.parent.parent)): stat.S_IMODE(path.stat().st_mode)
            for path in (folder.parent, *folder.parent.rglob("*"))
        }


def test_only_the_tasks_own_user_may_read_what_is_written(tmp_path):
    modes = written(tmp_path / "page" / "window")
    assert modes.pop("page") == modes.pop("page/window") == 0o700
    assert set(modes.values()) == {0o600}
    assert len(modes) == 4


def test_a_setting_lets_the_group_read_and_write(tmp_path, monkeypatch):
    monkeypatch.setenv(SETTING, "group")
    modes = written(tmp_path / "page" / "window")
    assert modes.pop("page") == modes.pop("page/window") == 0o2770
    assert set(modes.values()) == {0o660}


def test_a_setting_that_means_nothing_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(SETTING, "everybody")
    with pytest.raises(StorageError, match=f"^{SETTING} must be one of private, group, not 'everybody'$"):
        LocalStorage(tmp_path / "folder").prove_writable()


def test_a_folder_that_others_may_read_is_reported_once_and_left_as_it_is(tmp_path, caplog):
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0o755)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            LocalStorage(folder).prove_writable()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert [f"in {folder} (its mode is 0755)" in each for each in caplog.messages] == [True]


def test_no_link_is_followed_when_a_file_is_made(tmp_path):
    storage = LocalStorage(tmp_path / "folder")
    storage.prove_writable()
    (tmp_path / "folder" / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError), storage.lock():
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_the_umask_is_back_when_the_last_of_those_that_overlap_has_ended(umask, tmp_path):
    first, second = private_umask(), private_umask()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    (tmp_path / "private").write_bytes(b"")
    thread = threading.Thread(target=second.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    (tmp_path / "as before").write_bytes(b"")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("private", "as before")]
    assert modes == [0o600, 0o666 & ~umask]

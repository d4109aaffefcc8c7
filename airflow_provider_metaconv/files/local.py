"""A folder on this machine as storage: write, fsync, rename, so that a published file is always whole."""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from airflow_provider_metaconv.files.errors import NotPublishedError, StorageError, storage_error

TEMPORARY_PREFIX = ".temporary-"
LOCK_NAME = ".lock"


class LocalStorage:
    """The ``Storage`` of one local folder, made when the first file is written to it.

    Temporary files live in the folder itself: a rename is atomic only within one file system.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).absolute()

    def temporary(self) -> Path:
        """A fresh path in the folder, hidden from ``names``; makes the folder."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error("make the folder", self.folder, error) from error
        return self.folder / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"

    def publish(self, temporary: Path, name: str) -> None:
        """Rename the file to ``name`` once its bytes are on the disk."""
        self._publish(temporary, name, durable=True)

    def publish_bytes(self, data: bytes, name: str, *, durable: bool = True) -> None:
        """Write ``data`` to a temporary file and publish that; nothing is left behind when this fails."""
        destination, temporary = self._path(name), self.temporary()
        try:
            temporary.write_bytes(data)
            self._publish(temporary, name, durable=durable)
        except OSError as error:
            self.discard(temporary)
            raise storage_error("write", destination, error) from error
        except StorageError:
            self.discard(temporary)
            raise

    def _publish(self, temporary: Path, name: str, *, durable: bool) -> None:
        destination = self._path(name)
        try:
            if durable:
                _sync(temporary)
            temporary.replace(destination)
            if durable:
                # The manifest is the commit: what it names must survive a power cut, so the folder is synced as well.
                _sync(self.folder)
        except OSError as error:
            raise storage_error("publish", destination, error) from error

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder's lock file; the system lets go of it when the process ends, however it ends."""
        path = self.temporary().with_name(LOCK_NAME)
        try:
            descriptor = _locked(path)
        except BlockingIOError:
            raise StorageError(
                f"another task is writing to {self.folder}: let it finish, and give each task a window of its own"
            ) from None
        except OSError as error:
            raise storage_error("lock", self.folder, error) from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def neighbours(self) -> list[LocalStorage]:
        """The other folders of the parent folder, sorted by name."""
        try:
            folders = sorted(path for path in self.folder.parent.iterdir() if path.is_dir() and path != self.folder)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise storage_error("list", self.folder.parent, error) from error
        return [LocalStorage(path) for path in folders]

    def read(self, name: str) -> bytes:
        """All bytes of a published file; raises ``NotPublishedError`` when there is none."""
        with self.open(name) as stream:
            try:
                return stream.read()
            except OSError as error:
                raise storage_error("read", self._path(name), error) from error

    def open(self, name: str) -> BinaryIO:
        """A stream of a published file; raises ``NotPublishedError`` when there is none."""
        path = self._path(name)
        try:
            return path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            raise NotPublishedError(f"there is no file {path}: run the task that writes it first") from None
        except OSError as error:
            raise storage_error("read", path, error) from error

    def names(self) -> list[str]:
        """The names of the folder's files without the hidden ones, sorted; empty when there is no folder."""
        try:
            return sorted(path.name for path in self.folder.iterdir() if path.is_file() and path.name[0] != ".")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise storage_error("list", self.folder, error) from error

    def delete(self, name: str) -> None:
        """Remove a published file; nothing happens when there is none."""
        _remove(self._path(name))

    def discard(self, temporary: Path) -> None:
        """Remove a temporary file; nothing happens when it was never written."""
        _remove(temporary)

    def remove_temporaries(self) -> None:
        """Remove what dead earlier attempts left behind; call it only before anything of this run is written."""
        try:
            left_behind = list(self.folder.glob(f"{TEMPORARY_PREFIX}*"))
        except OSError as error:
            raise storage_error("list", self.folder, error) from error
        for temporary in left_behind:
            _remove(temporary)

    def uri(self, name: str) -> str:
        """The absolute path of ``name``."""
        return str(self._path(name))

    def _path(self, name: str) -> Path:
        # Hidden names are refused because names() would never list them again.
        if not name or name[0] == "." or "/" in name or "\\" in name or "\0" in name:
            raise StorageError(f"{name!r} is no name for a file in {self.folder}: use a plain file name")
        return self.folder / name


def _locked(path: Path) -> int:
    """A descriptor that holds the lock of a file at that path; raises ``BlockingIOError`` when somebody else does."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Whoever held it before has removed the file in the meantime: this is the lock of nothing.
        os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise storage_error("remove", path, error) from error

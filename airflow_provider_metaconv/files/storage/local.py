"""A local folder as storage: write, fsync and rename, so that a published file is always complete."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from airflow_provider_metaconv.access import (
    FileAccessError,
    NotRegularFileError,
    create,
    create_lock,
    is_regular,
    make_folder,
    open_regular,
    report_looser,
)
from airflow_provider_metaconv.files.errors import (
    NotPublishedError,
    StorageError,
    StorageRefusedError,
    UnusableFileError,
    another_writer,
    changed_meanwhile,
    not_published,
    storage_error,
    too_large,
)
from airflow_provider_metaconv.files.storage.locks import ADVICE, NO_LOCKS, mount_of
from airflow_provider_metaconv.files.storage.stored_file import MOST_BYTES_READ, checked_name, remove, size_and_checksum

TEMPORARY_PREFIX = ".temporary-"
LOCK_NAME = ".lock"


class LocalStorage:
    """The ``Storage`` of one local folder, created when the first file is written to it.

    Temporary files are in the folder itself, because a rename is atomic only within one file system.
    """

    seconds_between_replacements = 0.0

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).absolute()

    def temporary(self) -> Path:
        """Return a new path in the folder, hidden from ``names``, and create the folder."""
        try:
            make_folder(self.folder)
            report_looser(self.folder)
        except OSError as error:
            raise storage_error("create the folder", self.folder, error) from error
        except FileAccessError as error:
            raise StorageRefusedError(str(error)) from None
        return self.folder / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"

    def publish(self, temporary: Path, name: str, *, sha256: str | None = None) -> None:
        """Rename the file to ``name`` once its content is on disk."""
        self._publish(temporary, name, durable=True)

    def publish_bytes(self, data: bytes, name: str, *, durable: bool = True) -> None:
        """Write ``data`` to a temporary file and publish it. On an error, the temporary file is removed."""
        destination, temporary = self._path(name), self.temporary()
        try:
            with create(temporary) as stream:
                stream.write(data)
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
                # The manifest is the commit. The files it lists must survive a power cut, so sync the folder as well.
                _sync(self.folder)
        except OSError as error:
            raise storage_error("publish", destination, error) from error

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder's lock file. The operating system releases it whenever the process ends."""
        with self._locking(LOCK_NAME, another_writer(self.folder)):
            yield

    @contextlib.contextmanager
    def _locking(self, lock_name: str, when_taken: StorageError) -> Iterator[None]:
        path = self.temporary().with_name(lock_name)
        mount = mount_of(self.folder)
        if mount is not None and mount.has_local_locks:
            raise StorageRefusedError(f"cannot lock {path}: {ADVICE}")
        try:
            descriptor = _locked(path)
        except BlockingIOError:
            raise when_taken from None
        except OSError as error:
            if error.errno in NO_LOCKS:
                raise StorageRefusedError(f"cannot lock {path}: {ADVICE}") from None
            raise storage_error("lock", path, error) from error
        try:
            yield
        finally:
            # On a network mount, another machine may still hold a removed file's lock, so the file is kept there.
            if mount is None or not mount.is_shared:
                path.unlink(missing_ok=True)
            os.close(descriptor)

    def read_versioned(self, name: str) -> tuple[bytes, str] | None:
        """Return a published file's content, with its checksum as version; None if it does not exist."""
        try:
            data = self.read(name)
        except NotPublishedError:
            return None
        return data, _version(data)

    def replace_if_unchanged(self, data: bytes, name: str, *, version: str | None) -> str:
        """Compare and publish under a lock file for that name; raises immediately if it is locked."""
        path = self._path(name)
        with self._locking(f".{name}.lock", changed_meanwhile(path)):
            found = self.read_versioned(name)
            if (None if found is None else found[1]) != version:
                raise changed_meanwhile(path)
            self.publish_bytes(data, name)
        return _version(data)

    def parent(self) -> LocalStorage:
        """Return the parent folder."""
        return LocalStorage(self.folder.parent)

    def check_writable(self) -> None:
        """Create the folder, and write and remove an empty file in it."""
        temporary = self.temporary()
        try:
            create(temporary).close()
        except OSError as error:
            raise storage_error("write to", self.folder, error) from error
        self.discard(temporary)

    def children(self, holding: str) -> list[LocalStorage]:
        """Return the subfolders that contain such a file, sorted by name."""
        checked_name(holding, self.folder)
        try:
            folders = sorted(path for path in self.folder.iterdir() if is_regular(path / holding))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise storage_error("list", self.folder, error) from error
        return [LocalStorage(path) for path in folders]

    def below(self, holding: str) -> list[LocalStorage]:
        """Return the folders below that contain such a file, sorted by path. Links are not followed."""
        checked_name(holding, self.folder)
        found: list[Path] = []
        for path, folders, files in os.walk(self.folder, onerror=self._raise_unless_missing):
            folders.sort()
            if holding in files and is_regular(Path(path) / holding):
                found.append(Path(path))
        return [LocalStorage(path) for path in sorted(found) if path != self.folder]

    def _raise_unless_missing(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise storage_error("list", error.filename, error) from error

    def child(self, name: str) -> LocalStorage:
        """Return the subfolder of that name."""
        return LocalStorage(self._path(name))

    def remove_if_empty(self) -> None:
        """Remove the folder and those above it, as far as they are empty."""
        folder = self.folder
        with contextlib.suppress(OSError):
            while True:
                folder.rmdir()
                folder = folder.parent

    def limits(self) -> tuple[str, ...]:
        """Return that blocks of the disk, and backups, are out of reach."""
        return ("Deleted files remain on the disk until their blocks are reused, and in snapshots and backups.",)

    def siblings(self, holding: str) -> list[LocalStorage]:
        """Return the sibling folders that contain such a file, sorted by name."""
        return [child for child in self.parent().children(holding) if child.folder != self.folder]

    def read(self, name: str, most_bytes: int = MOST_BYTES_READ) -> bytes:
        """Return a published file's content; raises ``NotPublishedError`` if it does not exist."""
        with self.open(name) as stream:
            try:
                if os.fstat(stream.fileno()).st_size > most_bytes:
                    raise too_large(self._path(name), most_bytes)
                return stream.read(most_bytes)
            except OSError as error:
                raise storage_error("read", self._path(name), error) from error

    def open(self, name: str) -> BinaryIO:
        """Open a published file for reading; raises ``NotPublishedError`` if it does not exist."""
        path = self._path(name)
        try:
            return open_regular(path)
        except NotRegularFileError as error:
            raise UnusableFileError(f"cannot read {path}: {error.strerror}") from None
        except (FileNotFoundError, NotADirectoryError):
            raise not_published(path) from None
        except OSError as error:
            raise storage_error("read", path, error) from error

    def stat(self, name: str, expected: int | None = None) -> tuple[int, str]:
        """Return a published file's size and SHA-256. Reads the whole file if it has the expected size."""
        with self.open(name) as stream:
            try:
                size = os.fstat(stream.fileno()).st_size
                if expected not in (None, size):
                    return size, ""
                return size_and_checksum(stream, expected)
            except OSError as error:
                raise storage_error("read", self._path(name), error) from error

    def names(self) -> list[str]:
        """Return the sorted names of the folder's files, except hidden ones; empty if the folder does not exist."""
        try:
            return sorted(path.name for path in self.folder.iterdir() if path.name[0] != "." and is_regular(path))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise storage_error("list", self.folder, error) from error

    def delete(self, name: str) -> None:
        """Remove a published file, if it exists."""
        remove(self._path(name))

    def discard(self, temporary: Path) -> None:
        """Remove a temporary file, if it exists."""
        remove(temporary)

    def remove_temporaries(self) -> None:
        """Remove the files that dead earlier attempts left behind. Call it before this run writes anything."""
        try:
            left_behind = list(self.folder.glob(f"{TEMPORARY_PREFIX}*"))
        except OSError as error:
            raise storage_error("list", self.folder, error) from error
        for temporary in left_behind:
            remove(temporary)

    def uri(self, name: str) -> str:
        """Return the absolute path of ``name``."""
        return str(self._path(name))

    def _path(self, name: str) -> Path:
        return self.folder / checked_name(name, self.folder)


def _locked(path: Path) -> int:
    """Lock the file at that path and return its descriptor; raises ``BlockingIOError`` if it is locked already."""
    while True:
        descriptor = create_lock(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # The previous holder has removed the file in the meantime, so this lock protects nothing.
        os.close(descriptor)


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

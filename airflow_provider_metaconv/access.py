"""Permissions of files written on this machine: for the owner only, or also for the group if a setting says so.

Folders and files get their mode when they are created, whatever the umask. Existing ones are never changed; if their
mode is looser, a warning says so once, with the command that changes it. Only regular files are read: a pipe or device
could block a task for ever, and a symbolic link could lead out of the folder.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shlex
import stat
import threading
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO, NamedTuple

logger = logging.getLogger(__name__)

VARIABLE = "META_CONVERSATIONS_FILE_ACCESS"
"""The environment variable that sets who can access the files: ``owner`` (default) or ``group``."""


class NotRegularFileError(OSError):
    """The path of a file to read is not a regular file."""


class FileAccessError(ValueError):
    """The environment variable has an invalid value."""


class Access(NamedTuple):
    """The modes of folders and files, and the ``chmod`` argument that tightens existing ones."""

    folder: int
    file: int
    change: str


_ACCESS = {
    "owner": Access(0o700, 0o600, "go-rwx"),
    # The setgid bit makes new files belong to the folder's group, not to the worker's.
    "group": Access(0o2770, 0o660, "o-rwx"),
}

already_reported: set[Path] = set()


def file_access() -> Access:
    """Return the access set in the environment; raises ``FileAccessError`` for an invalid value."""
    value = os.environ.get(VARIABLE) or "owner"
    if value not in _ACCESS:
        raise FileAccessError(f"{VARIABLE} must be {' or '.join(_ACCESS)}, not {value!r}: change it on the worker")
    return _ACCESS[value]


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents; raises ``OSError`` if that is not possible."""
    access = file_access()
    missing = list(takewhile(lambda level: not level.exists(), (folder, *folder.parents)))
    for level in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another task has created it in the meantime
            level.mkdir(access.folder)
            _set_mode_of(level, os.O_RDONLY | os.O_DIRECTORY, access.folder)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def create(path: Path, buffering: int = -1) -> BinaryIO:
    """Create a file for writing; raises ``FileExistsError`` if the path exists, even as a symbolic link."""
    return os.fdopen(_created(path, os.O_WRONLY | os.O_EXCL), "wb", buffering)


def create_lock(path: Path) -> int:
    """Open a lock file, created if missing, and return its descriptor; raises ``OSError`` for a symbolic link."""
    return _created(path, os.O_RDWR)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; raises ``OSError`` for anything else, such as a symbolic link, without blocking.

    The check is made on the opened file, so nothing can replace it in between.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        # The errors for a symbolic link, a socket, and a device without a driver.
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENODEV):
            raise _not_regular(path) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_regular(path)
    return os.fdopen(descriptor, "rb")


def _not_regular(path: Path) -> NotRegularFileError:
    return NotRegularFileError(errno.EINVAL, "it is not a regular file (remove it)", str(path))


def is_regular(path: Path) -> bool:
    """Whether the path is a regular file, and not a symbolic link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def report_looser(path: Path) -> None:
    """Warn once per process if others can access an existing folder or file, with the command that changes it."""
    access = file_access()
    if path in already_reported:
        return
    already_reported.add(path)
    found = path.lstat().st_mode
    allowed = access.folder if stat.S_ISDIR(found) else access.file
    if not stat.S_ISLNK(found) and found & 0o777 & ~allowed:
        recursively = "-R " if stat.S_ISDIR(found) else ""
        logger.warning(
            "%s is open to more than the %s (mode %03o) and was not changed; to restrict it: chmod %s%s %s",
            *(path, "owner and the group" if access.file & 0o070 else "owner", found & 0o777),
            *(recursively, access.change, shlex.quote(str(path))),
        )


class _NarrowedUmask:
    """Restricts the process's umask while third-party code creates files. Uses may overlap, in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entered = self._before = 0

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Restrict new files to our own mode inside the context. The umask is the only setting that DuckDB respects."""
        umask = 0o777 & ~file_access().folder
        with self._lock:
            if not self._entered:
                self._before = os.umask(umask)
            self._entered += 1
        try:
            yield
        finally:
            with self._lock:
                self._entered -= 1
                if not self._entered:
                    os.umask(self._before)


narrowed_umask = _NarrowedUmask()


def _created(path: Path, flags: int) -> int:
    mode = file_access().file
    descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW, mode)
    try:
        _restore_mode(descriptor, mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _set_mode_of(path: Path, flags: int, mode: int) -> None:
    descriptor = os.open(path, flags | os.O_NOFOLLOW)
    try:
        _restore_mode(descriptor, mode)
    finally:
        os.close(descriptor)


def _restore_mode(descriptor: int, mode: int) -> None:
    """Add the mode bits that the umask has removed, on the open file itself."""
    found = os.fstat(descriptor)
    if mode & ~found.st_mode and found.st_uid == os.geteuid():
        # Some file systems do not support modes.
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode) | mode)

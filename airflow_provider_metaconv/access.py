"""Who may read what is written on this machine: its owner alone, or its group as well where a setting says so.

Folders and files have their mode from the moment they appear, whatever the umask. What was there before is never
changed: where it is looser, that is said once, with the command that changes it. And what is read are regular files: a
pipe or a device would hold a task for ever, a symbolic link lead out of the folder.
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
"""The environment variable that says for whom files are; ``owner`` where it is not set."""


class NotRegularFileError(OSError):
    """Something other than a regular file has the name of a file that is to be read."""


class FileAccessError(ValueError):
    """The environment asks for an access that does not exist."""


class Access(NamedTuple):
    """The modes of folders and files, and what ``chmod`` takes to make others fit."""

    folder: int
    file: int
    change: str


_ACCESS = {
    "owner": Access(0o700, 0o600, "go-rwx"),
    # New files belong to the folder's group, not to that of the worker.
    "group": Access(0o2770, 0o660, "o-rwx"),
}

already_reported: set[Path] = set()


def file_access() -> Access:
    """The access that the environment asks for; raises ``FileAccessError`` for a value that is none."""
    value = os.environ.get(VARIABLE) or "owner"
    if value not in _ACCESS:
        raise FileAccessError(f"{VARIABLE} must be {' or '.join(_ACCESS)}, not {value!r}: change it in the worker")
    return _ACCESS[value]


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are not there; raises ``OSError`` where that is not possible."""
    access = file_access()
    missing = list(takewhile(lambda level: not level.exists(), (folder, *folder.parents)))
    for level in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another task has made it in the meantime
            level.mkdir(access.folder)
            _complete(level, os.O_RDONLY | os.O_DIRECTORY, access.folder)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def create(path: Path, buffering: int = -1) -> BinaryIO:
    """A new file to write; raises ``FileExistsError`` for whatever is there already, a symbolic link included."""
    return os.fdopen(_created(path, os.O_WRONLY | os.O_EXCL), "wb", buffering)


def create_lock(path: Path) -> int:
    """The descriptor of a file that is made where there is none; raises ``OSError`` for a symbolic link."""
    return _created(path, os.O_RDWR)


def open_regular(path: Path) -> BinaryIO:
    """A regular file to read; raises ``OSError`` for anything else, a symbolic link included, without waiting for it.

    The file that was opened is the file that is checked: nothing can replace it in between.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        # What a symbolic link, a socket and a device without a driver are answered with.
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENODEV):
            raise _not_regular(path) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_regular(path)
    return os.fdopen(descriptor, "rb")


def _not_regular(path: Path) -> NotRegularFileError:
    return NotRegularFileError(errno.EINVAL, "it is no regular file (remove it)", str(path))


def is_regular(path: Path) -> bool:
    """Whether a regular file is there, and not a symbolic link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def report_looser(path: Path) -> None:
    """Say once in a process that others can get at a folder or file which is there already, and how to change that."""
    access = file_access()
    if path in already_reported:
        return
    already_reported.add(path)
    found = path.lstat().st_mode
    allowed = access.folder if stat.S_ISDIR(found) else access.file
    if not stat.S_ISLNK(found) and found & 0o777 & ~allowed:
        recursively = "-R " if stat.S_ISDIR(found) else ""
        logger.warning(
            "%s is open to more than the %s (mode %03o), and left as it is; to change that: chmod %s%s %s",
            *(path, "owner and the group" if access.file & 0o070 else "owner", found & 0o777),
            *(recursively, access.change, shlex.quote(str(path))),
        )


class _Narrowing:
    """The umask of this process while code that is not ours makes files; several may overlap, in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entered = self._before = 0

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Files that are made until this ends are no looser than ours: a umask is all that DuckDB respects."""
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


narrowed_umask = _Narrowing()


def _created(path: Path, flags: int) -> int:
    mode = file_access().file
    descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW, mode)
    try:
        _widen(descriptor, mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _complete(path: Path, flags: int, mode: int) -> None:
    descriptor = os.open(path, flags | os.O_NOFOLLOW)
    try:
        _widen(descriptor, mode)
    finally:
        os.close(descriptor)


def _widen(descriptor: int, mode: int) -> None:
    """Give what the umask has taken away, to what is open and nothing else."""
    found = os.fstat(descriptor)
    if mode & ~found.st_mode and found.st_uid == os.geteuid():
        # Some file systems have no modes of their own.
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode) | mode)

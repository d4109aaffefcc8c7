"""Who may read what is written to this machine: the task's own user, or also the group where a setting says so.

The umask has no say: workers commonly run with one that lets everybody read.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

SETTING = "META_CONVERSATIONS_FILE_ACCESS"
"""The environment variable that says who may read: ``private``, the default, or ``group``."""


@dataclass(frozen=True, slots=True)
class Access:
    """The modes of new folders and files; in a folder for a group, what is made belongs to its group."""

    folders: int
    files: int

    @property
    def umask(self) -> int:
        """The umask under which programs that choose their modes themselves make files of this mode."""
        return 0o777 & ~(self.files | 0o111)


_KINDS = {"private": Access(0o700, 0o600), "group": Access(0o2770, 0o660)}


def access() -> Access:
    """What the setting says; raises ``ValueError`` for a value that it cannot have."""
    value = os.environ.get(SETTING) or "private"
    if value not in _KINDS:
        raise ValueError(f"{SETTING} must be one of {', '.join(_KINDS)}, not {value!r}")
    return _KINDS[value]


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it that are missing; raises ``OSError`` and ``ValueError``.

    One that is there already keeps its mode. Where others may enter it, the log says so once.
    """
    mode = access().folders
    missing = []
    above = folder
    while not above.exists():
        missing.append(above)
        above = above.parent
    for each in reversed(missing):
        each.mkdir(mode=mode & 0o777, exist_ok=True)
        if mode != 0o700:
            # The umask took from the mode that it was made with.
            each.chmod(mode)
    if not missing:
        folder.mkdir(exist_ok=True)
        _report(folder)


def create_file(path: Path, flags: int = os.O_WRONLY | os.O_EXCL) -> int:
    """A descriptor of a new file; raises ``OSError`` where there is one, and ``ValueError``."""
    mode = access().files
    descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, mode & 0o600)
    try:
        if mode != 0o600 and os.fstat(descriptor).st_uid == os.geteuid():
            os.fchmod(descriptor, mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def write_file(path: Path, data: bytes) -> None:
    """Writes a new file; raises ``OSError`` where there is one, and ``ValueError``."""
    with os.fdopen(create_file(path), "wb") as file:
        file.write(data)


_reported: set[Path] = set()


def _report(folder: Path) -> None:
    """Says once that others may read in a folder which somebody made before."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    too_much = mode & 0o777 & ~access().folders
    if too_much and folder not in _reported:
        _reported.add(folder)
        logger.warning(
            "Others may read in %s (its mode is %04o): chmod -R go-rwx takes that from them, and from the files in it.",
            folder,
            mode,
        )


_umask_lock = threading.Lock()
_umasks: list[int] = []


@contextlib.contextmanager
def private_umask() -> Iterator[None]:
    """What this process makes meanwhile others cannot read, for libraries that choose the modes of files themselves."""
    with _umask_lock:
        _umasks.append(os.umask(access().umask))
    try:
        yield
    finally:
        with _umask_lock:
            # The first of those that overlap holds what was before all of them.
            former = _umasks.pop()
            if not _umasks:
                os.umask(former)

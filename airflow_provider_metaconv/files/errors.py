"""File and storage errors. Every message is one line that says what to change."""

from __future__ import annotations

import errno

RUN_AGAIN = "run the extract task again"
"""The advice for files that are missing, damaged, or different from what their manifest says."""


class FilesError(Exception):
    """A problem with the files of a run."""


class StorageError(FilesError):
    """A storage operation failed."""


class NameTakenError(StorageError):
    """Another task has published a file under a name that was free when this task started."""


class ChangedMeanwhileError(StorageError):
    """The file to replace has a different version by now: read it again, then decide again."""


class StorageRefusedError(StorageError):
    """Only a person can fix the cause, such as a file where a folder is needed, or a missing permission."""


class UnusableFileError(StorageError):
    """A published file is not a regular file, or is larger than any such file can be."""


class NotPublishedError(StorageError):
    """The file was never published, or has been removed since."""


class ManifestError(FilesError):
    """A manifest cannot be read or has invalid content."""


class PolicyChangedError(FilesError):
    """The window's files were written with another privacy policy or key, and may not be replaced."""


_NO_SPACE = "there is no space left (free some, or choose another destination)"
_NO_RIGHT = "the worker has no write permission (grant it, or choose another destination)"
_NOT_FOLDER = "there is a file where a folder is needed (choose another destination)"
_NOT_FILE = "there is a folder where a file is needed (choose another destination)"
_VANISHED = "the folder does not exist or cannot be created (if something removes it while a task runs, stop that)"

_ADVICE = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EFBIG: "the file exceeds the worker's file size limit (raise the limit, or write smaller parts)",
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EROFS: _NO_RIGHT,
    errno.ENOTDIR: _NOT_FOLDER,
    errno.EEXIST: _NOT_FOLDER,
    errno.EISDIR: _NOT_FILE,
    errno.ENAMETOOLONG: "the name is too long (choose a shorter destination)",
    errno.ENOENT: _VANISHED,
    errno.ELOOP: "there is a symbolic link where a file or folder is needed, or a loop of links (remove it)",
}

_NEEDS_HUMAN_ACTION = frozenset(_ADVICE) - {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOENT}
"""Errors that a retry cannot fix. Disk space, by contrast, may be freed at any time."""


def storage_error(action: str, place: object, error: OSError) -> StorageError:
    """Return a one-line error for an operating system error: what failed, where, and what to do.

    >>> str(storage_error("write to", "/data", OSError(errno.ENOSPC, "")))
    'cannot write to /data: there is no space left (free some, or choose another destination)'
    """
    advice = _ADVICE.get(error.errno or 0) or error.strerror or type(error).__name__
    kind = StorageRefusedError if error.errno in _NEEDS_HUMAN_ACTION else StorageError
    return kind(f"cannot {action} {place}: {advice}")


def not_published(place: object) -> NotPublishedError:
    """Return the error to raise for a file that does not exist."""
    return NotPublishedError(f"file {place} does not exist: run the task that writes it first")


def another_writer(folder: object, kind: type[StorageError] = StorageError) -> StorageError:
    """Return the error to raise if another task writes to the same folder."""
    return kind(f"another task is writing to {folder}: let it finish, and give each task its own window")


def changed_meanwhile(place: object) -> ChangedMeanwhileError:
    """Return the error to raise if another task has changed a file since it was read."""
    return ChangedMeanwhileError(f"another task has changed {place} since it was read: read it again")


def too_large(place: object, most_bytes: int) -> UnusableFileError:
    """Return the error to raise for a file that is too large to be read as a whole."""
    return UnusableFileError(
        f"cannot read {place}: it is larger than {most_bytes:,} bytes, the limit for such files: remove it, then run "
        "the task that writes it again"
    )

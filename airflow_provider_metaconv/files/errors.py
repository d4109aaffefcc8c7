"""What can go wrong with files; every message is one line that says what to change."""

from __future__ import annotations

import errno

RUN_AGAIN = "run the extract task again"
"""What to do about files that are missing, damaged, or not what their manifest says."""


class FilesError(Exception):
    """Something about the files of a run is not as it must be."""


class StorageError(FilesError):
    """The place where the files go, or come from, cannot do what was asked of it."""


class NameTakenError(StorageError):
    """Another task has published a file of that name, where there was none when this task began."""


class ChangedMeanwhileError(StorageError):
    """A file is no longer of the version that it was to be replaced in: read it again, then decide anew."""


class StorageRefusedError(StorageError):
    """Only a person can remove the obstacle: a file in place of a folder, a permission that is missing."""


class UnusableFileError(StorageError):
    """What has the name of a published file is no regular file, or larger than any such file is."""


class NotPublishedError(StorageError):
    """A file was asked for that was never published, or has been removed since."""


class ManifestError(FilesError):
    """A manifest cannot be read or says something that must not be followed."""


_NO_SPACE = "no space is left there (free some, or choose another destination)"
_NO_RIGHT = "the worker may not write there (give it the right, or choose another destination)"
_NOT_FOLDER = "a file stands where a folder is needed (choose another destination)"
_NOT_FILE = "a folder stands where a file is needed (choose another destination)"
_VANISHED = "the folder is not there or cannot be made (if something removes it while a task runs, stop that)"

_ADVICE = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EFBIG: "the file is larger than the worker may write (raise its limit, or write smaller parts)",
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EROFS: _NO_RIGHT,
    errno.ENOTDIR: _NOT_FOLDER,
    errno.EEXIST: _NOT_FOLDER,
    errno.EISDIR: _NOT_FILE,
    errno.ENAMETOOLONG: "the name is too long (choose a shorter destination)",
    errno.ENOENT: _VANISHED,
    errno.ELOOP: "a symbolic link stands where a file or folder is needed, or leads in a circle (remove it)",
}

_FOR_A_PERSON = frozenset(_ADVICE) - {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOENT}
"""What no other attempt can change; room on a disk comes and goes."""


def storage_error(action: str, place: object, error: OSError) -> StorageError:
    """One line for an error of the operating system: what failed, where, and what to do about it.

    >>> str(storage_error("write to", "/data", OSError(errno.ENOSPC, "")))
    'cannot write to /data: no space is left there (free some, or choose another destination)'
    """
    advice = _ADVICE.get(error.errno or 0) or error.strerror or type(error).__name__
    kind = StorageRefusedError if error.errno in _FOR_A_PERSON else StorageError
    return kind(f"cannot {action} {place}: {advice}")


def not_published(place: object) -> NotPublishedError:
    """What to raise when a file was asked for that is not there."""
    return NotPublishedError(f"there is no file {place}: run the task that writes it first")


def another_writer(folder: object, kind: type[StorageError] = StorageError) -> StorageError:
    """What to raise when somebody else writes to the same folder."""
    return kind(f"another task is writing to {folder}: let it finish, and give each task a window of its own")


def changed_meanwhile(place: object) -> ChangedMeanwhileError:
    """What to raise when a file was to be replaced that another task has written since it was read."""
    return ChangedMeanwhileError(f"another task has changed {place} since it was read: read it again")


def too_large(place: object, most_bytes: int) -> UnusableFileError:
    """What to raise when a file that is read as a whole is larger than that may be."""
    return UnusableFileError(
        f"cannot read {place}: it is larger than {most_bytes:,} bytes, which no such file is: remove it, then run the "
        "task that writes it again"
    )

"""What every storage does alike: which names it takes, how it proves and how it removes a file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from airflow_provider_metaconv.files.errors import (
    ChangedMeanwhileError,
    NotPublishedError,
    StorageError,
    UnusableFileError,
    storage_error,
)

BLOCK_BYTES = 1024 * 1024

MOST_BYTES_READ = 256 * 1024 * 1024
"""What is read as a whole (a manifest, a record, a piece of a checkpoint) is a thousand times smaller, or damaged."""


def checked_name(name: str, folder: object) -> str:
    """The name, if it is one for a file directly in a folder; raises ``StorageError`` for any other."""
    # Hidden names are refused because names() would never list them again.
    if not name or name[0] == "." or "/" in name or "\\" in name or "\0" in name:
        raise StorageError(f"{name!r} is no name for a file in {folder}: use a plain file name")
    return name


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


def size_and_checksum(stream: BinaryIO, expected: int | None = None) -> tuple[int, str]:
    """Size and SHA-256 of what is left in a stream; little of it is in memory at a time.

    Of what turns out to be larger than ``expected`` no more is read.
    """
    size, sha256 = 0, hashlib.sha256()
    while block := stream.read(BLOCK_BYTES):
        size += len(block)
        sha256.update(block)
        if expected is not None and size > expected:
            break
    return size, sha256.hexdigest()


def remove(path: Path) -> None:
    """Remove a local file; nothing happens when there is none."""
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise storage_error("remove", path, error) from error

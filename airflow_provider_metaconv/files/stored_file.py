"""One stored file, whatever stores it: which names it may have, its size and checksum, and how it is removed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from airflow_provider_metaconv.files.errors import StorageError, storage_error

BLOCK_BYTES = 1024 * 1024

MOST_BYTES_READ = 256 * 1024 * 1024
"""What is read as a whole (a manifest, a record, a piece of a checkpoint) is a thousand times smaller, or damaged."""


def checked_name(name: str, folder: object) -> str:
    """The name, if it is one for a file directly in a folder; raises ``StorageError`` for any other."""
    # Hidden names are refused because names() would never list them again.
    if not name or name[0] == "." or "/" in name or "\\" in name or "\0" in name:
        raise StorageError(f"{name!r} is no name for a file in {folder}: use a plain file name")
    return name


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

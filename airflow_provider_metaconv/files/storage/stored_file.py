"""Operations on one stored file, common to all storage: name validation, size and checksum, removal."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from airflow_provider_metaconv.files.errors import StorageError, storage_error

BLOCK_BYTES = 1024 * 1024

MOST_BYTES_READ = 256 * 1024 * 1024
"""The limit for files read as a whole (a manifest, a record, a checkpoint piece), a thousand times their usual size."""


def checked_name(name: str, folder: object) -> str:
    """Return the name if it is valid for a file directly in a folder; raises ``StorageError`` otherwise."""
    # Hidden names are rejected, because names() would never list them again.
    if not name or name[0] == "." or "/" in name or "\\" in name or "\0" in name:
        raise StorageError(f"{name!r} is not a valid file name in {folder}: use a plain file name")
    return name


def size_and_checksum(stream: BinaryIO, expected: int | None = None) -> tuple[int, str]:
    """Return the size and SHA-256 of the rest of a stream, reading it in small blocks.

    Stops reading as soon as the size exceeds ``expected``.
    """
    size, sha256 = 0, hashlib.sha256()
    while block := stream.read(BLOCK_BYTES):
        size += len(block)
        sha256.update(block)
        if expected is not None and size > expected:
            break
    return size, sha256.hexdigest()


def remove(path: Path) -> None:
    """Remove a local file, if it exists."""
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise storage_error("remove", path, error) from error

"""A file that knows its own size and checksum, so that the manifest needs no second read."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from airflow_provider_metaconv import access

BUFFER_BYTES = 256 * 1024
"""zlib returns small pieces; a system call for each would cost more than compressing it."""


class Sink:
    """A new binary file for appending only; counts the bytes and computes their SHA-256 on the way.

    It has what pyarrow wants of a file object. Raises ``OSError`` as a file does.
    """

    def __init__(self, path: Path) -> None:
        self._file = access.create(path, BUFFER_BYTES)
        self._sha256 = hashlib.sha256()
        self.size = 0
        self._abandoned = False

    @property
    def sha256(self) -> str:
        """The checksum of what was written so far, in hexadecimal."""
        return self._sha256.hexdigest()

    def write(self, data: bytes) -> int:
        """Append all of ``data``."""
        if self._abandoned:
            return len(data)
        self._file.write(data)
        self._sha256.update(data)
        self.size += len(data)
        return len(data)

    def tell(self) -> int:
        """The number of bytes written."""
        return self.size

    def flush(self) -> None:
        """Hand what is buffered to the system; raises ``OSError`` when the disk is full."""
        self._file.flush()

    def writable(self) -> bool:
        """Whether ``write`` works, that is always."""
        return True

    def readable(self) -> bool:
        """Whether ``read`` works, that is never."""
        return False

    def seekable(self) -> bool:
        """Whether ``seek`` works, that is never."""
        return False

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._file.closed

    def close(self) -> None:
        """Hand over what is buffered and close the file; a second call does nothing."""
        self._file.close()

    def abandon(self) -> None:
        """Close the file without caring for its content, and ignore later writes.

        Later ones do come: pyarrow's destructor still writes a footer that is not needed.
        """
        self._abandoned = True
        with contextlib.suppress(OSError):
            self._file.close()

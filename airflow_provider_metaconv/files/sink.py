"""A file that tracks its own size and checksum, so that the manifest needs no second read."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from airflow_provider_metaconv import access

BUFFER_BYTES = 256 * 1024
"""zlib returns small chunks; a system call for each would cost more than the compression."""


class Sink:
    """A new, append-only binary file that counts its bytes and computes their SHA-256 as they are written.

    It has the file methods that pyarrow needs. Raises ``OSError`` like a file.
    """

    def __init__(self, path: Path) -> None:
        self._file = access.create(path, BUFFER_BYTES)
        self._sha256 = hashlib.sha256()
        self.size = 0
        self._abandoned = False

    @property
    def sha256(self) -> str:
        """The checksum of the content so far, in hexadecimal."""
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
        """Return the number of bytes written."""
        return self.size

    def flush(self) -> None:
        """Flush the buffer to the operating system; raises ``OSError`` if the disk is full."""
        self._file.flush()

    def writable(self) -> bool:
        """Return True: the file is write-only."""
        return True

    def readable(self) -> bool:
        """Return False: the file is write-only."""
        return False

    def seekable(self) -> bool:
        """Return False: the file is append-only."""
        return False

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._file.closed

    def close(self) -> None:
        """Flush and close the file; a second call does nothing."""
        self._file.close()

    def abandon(self) -> None:
        """Close the file whatever its content, and ignore later writes.

        There are later writes: pyarrow's destructor still writes an unneeded footer.
        """
        self._abandoned = True
        with contextlib.suppress(OSError):
            self._file.close()

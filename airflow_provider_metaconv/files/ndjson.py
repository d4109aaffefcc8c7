"""Newline-delimited JSON, gzipped: one row per line, the same bytes for the same rows."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import orjson
from isal import isal_zlib

from airflow_provider_metaconv.files.encoding import NUL_ESCAPE, encode_json
from airflow_provider_metaconv.files.sink import Sink
from airflow_provider_metaconv.schema import Row, Table

# Measured with message rows of 550 bytes on one core: packs 1.8 million rows a second to 17.7 % of their size; zlib's
# level 1 400,000 to 19.8 %.
GZIP_LEVEL = 2

SLICE_ROWS = 50
"""Rows encoded and packed at once: the JSON of more does not stay in the processor's cache (500: 30 % slower), and
orjson keeps about 8 KB for each of its results (5,000 rows at once: 36 MB).
"""

LONG_ROW_BYTES = 16 * 1024
"""Rows of so many bytes of JSON are packed one by one, which keeps memory flat."""

_GZIP_CONTAINER = 16 + zlib.MAX_WBITS
"""Makes it write the gzip header itself, with no time and no file name in it: equal rows give equal bytes."""


Keep = Callable[[bytes], None]
"""Receives rows as they are encoded, some lines at a time, so that they are encoded once."""


class NdjsonWriter:
    """Writes rows to one file as gzipped NDJSON; what warehouses cannot hold is replaced as ``encoding`` says."""

    def __init__(self, sink: Sink, table: Table) -> None:
        self._sink = sink
        self._compressor = isal_zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_CONTAINER)

    @property
    def size(self) -> int:
        """About how many bytes the file has by now."""
        return self._sink.size

    def write(self, rows: Sequence[Row], keep: Keep | None = None) -> None:
        """Append the rows and give ``keep`` their lines; raises ``TypeError`` for what is no JSON value."""
        for lines in encoded_slices(rows):
            if keep is not None:
                keep(lines)
            self._append(self._compressor.compress(lines))

    def finish(self) -> None:
        """Write what gzip still holds; the sink stays open."""
        self._append(self._compressor.flush())

    def _append(self, compressed: bytes) -> None:
        if compressed:
            self._sink.write(compressed)


def encoded_slices(rows: Sequence[Row]) -> Iterator[bytes]:
    """The rows as lines of JSON, some at a time; raises ``TypeError`` for what is no JSON value."""
    start = 0
    while start < len(rows):
        # Long rows come together; one of them represents those beside it, since weighing each costs half as much again.
        first = _encoded(rows[start : start + 1])
        if len(first) >= LONG_ROW_BYTES:
            yield first
            start += 1
        else:
            yield _encoded(rows[start : start + SLICE_ROWS])
            start += SLICE_ROWS


def _encoded(rows: Sequence[Row]) -> bytes:
    # An odd row among them costs the others nothing.
    try:
        encoded = b"".join([orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows])
    except TypeError:  # one of them is odd or wrong; row by row tells which
        encoded = NUL_ESCAPE
    if NUL_ESCAPE in encoded:
        encoded = b"".join([encode_json(row) + b"\n" for row in rows])
    return encoded


def read_ndjson(stream: BinaryIO) -> Iterator[Row]:
    """The rows of a gzipped NDJSON file, one after the other.

    Raises ``EOFError``, ``gzip.BadGzipFile``, ``zlib.error`` or ``ValueError`` when the file is broken.
    """
    with gzip.open(stream) as lines:
        for line in lines:
            # Not orjson: it turns integers beyond 64 bits into floats.
            yield json.loads(line)

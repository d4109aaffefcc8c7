"""Gzipped newline-delimited JSON: one row per line, and identical bytes for identical rows."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import orjson
from isal import isal_zlib

from airflow_provider_metaconv.files.encoding import NUL_ESCAPE, encode_json
from airflow_provider_metaconv.files.sink import Sink
from airflow_provider_metaconv.schema import Row, Table

# Measured with message rows of 550 bytes on one core: level 2 compresses 1.8 million rows per second to 17.7 % of their
# size. zlib's level 1 compresses 400,000 to 19.8 %.
GZIP_LEVEL = 2

SLICE_ROWS = 50
"""Rows encoded and compressed at once. More JSON does not fit in the processor's cache (500 rows: 30 % slower), and
orjson allocates about 8 KB per result (5,000 rows at once: 36 MB).
"""

LONG_ROW_BYTES = 16 * 1024
"""Rows whose JSON has at least this size are compressed one by one, which keeps memory usage flat."""

_GZIP_CONTAINER = 16 + zlib.MAX_WBITS
"""Selects a gzip header without a time or file name, so that identical rows give identical bytes."""


Keep = Callable[[bytes], None]
"""Receives encoded rows, several lines at a time, so that rows are encoded only once."""


class NdjsonWriter:
    """Writes rows to one file as gzipped NDJSON, and sanitizes values that warehouses cannot store."""

    def __init__(self, sink: Sink, table: Table) -> None:
        self._sink = sink
        self._compressor = isal_zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_CONTAINER)

    @property
    def size(self) -> int:
        """The approximate size of the file so far, in bytes."""
        return self._sink.size

    def write(self, rows: Sequence[Row], keep: Keep | None = None) -> None:
        """Append the rows and pass their lines to ``keep``; raises ``TypeError`` for a value that is not JSON."""
        for lines in encoded_slices(rows):
            if keep is not None:
                keep(lines)
            self._append(self._compressor.compress(lines))

    def finish(self) -> None:
        """Write what gzip still buffers; the sink stays open."""
        self._append(self._compressor.flush())

    def _append(self, compressed: bytes) -> None:
        if compressed:
            self._sink.write(compressed)


def encoded_slices(rows: Sequence[Row]) -> Iterator[bytes]:
    """Encode the rows as lines of JSON, several at a time; raises ``TypeError`` for a value that is not JSON."""
    start = 0
    while start < len(rows):
        # Long rows tend to come together, so one row is sampled per slice. Measuring each row would take 50 % longer.
        first = _encoded(rows[start : start + 1])
        if len(first) >= LONG_ROW_BYTES:
            yield first
            start += 1
        else:
            yield _encoded(rows[start : start + SLICE_ROWS])
            start += SLICE_ROWS


def _encoded(rows: Sequence[Row]) -> bytes:
    # Only a slice with an unusual row is encoded again.
    try:
        encoded = b"".join([orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows])
    except TypeError:  # one of them is unusual or invalid; encoding row by row shows which
        encoded = NUL_ESCAPE
    if NUL_ESCAPE in encoded:
        encoded = b"".join([encode_json(row) + b"\n" for row in rows])
    return encoded


LINES_AT_ONCE = 1024 * 1024
"""Bytes of lines that are searched together."""


def read_ndjson_naming(stream: BinaryIO, names: re.Pattern[bytes]) -> Iterator[Row]:
    """Yield the rows of a gzipped NDJSON file whose line matches; others are not parsed. Raises as ``read_ndjson``."""
    with gzip.open(stream) as lines:
        while block := lines.readlines(LINES_AT_ONCE):
            if names.search(b"".join(block)):
                yield from (json.loads(line) for line in block if names.search(line))


def read_ndjson(stream: BinaryIO) -> Iterator[Row]:
    """Yield the rows of a gzipped NDJSON file.

    Raises ``EOFError``, ``gzip.BadGzipFile``, ``zlib.error`` or ``ValueError`` if the file is damaged.
    """
    with gzip.open(stream) as lines:
        for line in lines:
            # Not orjson: it turns integers beyond 64 bits into floats.
            yield json.loads(line)

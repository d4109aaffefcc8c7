"""Parquet files, through pyarrow, which is imported only when a Parquet file is written or read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, BinaryIO

from airflow_provider_metaconv.files.encoding import encode_json, sanitized_text
from airflow_provider_metaconv.files.ndjson import Keep, encoded_slices
from airflow_provider_metaconv.files.sink import Sink
from airflow_provider_metaconv.schema import Column, ColumnType, Row, Table

ROW_GROUP_ROWS = 20_000
ROW_GROUP_BYTES = 8 * 1024 * 1024
"""A row group is written at this number of rows or bytes in memory, which keeps memory usage flat."""

BATCH_BYTES = 4 * 1024 * 1024
"""How much is converted to or from Arrow at once, unless a single row is larger."""

READ_BYTES = BATCH_BYTES // 4
"""How much of a row group is converted to rows at once: the writer holds a batch of its own meanwhile."""

READ_ROWS = 5_000


class ParquetWriter:
    """Writes rows to one Parquet file with zstd. Texts are sanitized as in NDJSON, and nested values are JSON text.

    Raises ``ImportError`` with the installation command if pyarrow is not installed.
    """

    def __init__(self, sink: Sink, table: Table) -> None:
        _, parquet = _pyarrow()
        self._sink, self._table = sink, table
        self._schema = arrow_schema(table)
        self._writer = parquet.ParquetWriter(sink, self._schema, compression="zstd")
        self._pending: list[Any] = []
        self._pending_rows = self._pending_bytes = 0

    @property
    def size(self) -> int:
        """The approximate size of the file so far, in bytes; rows in memory count uncompressed."""
        return self._sink.size + self._pending_bytes

    def write(self, rows: Sequence[Row], keep: Keep | None = None) -> None:
        """Append the rows, ideally a few hundred at a time, and pass their lines of JSON to ``keep``.

        Raises ``TypeError`` or ``ValueError`` for a value of the wrong type.
        """
        if keep is not None:
            for lines in encoded_slices(rows):
                keep(lines)
        self._append(rows)

    def _append(self, rows: Sequence[Row]) -> None:
        pyarrow, _ = _pyarrow()
        try:
            arrays = _arrays(self._table.columns, rows)
        except _TooLongError:
            half = len(rows) // 2
            self._append(rows[:half])
            self._append(rows[half:])
            return
        batch = pyarrow.record_batch(arrays, schema=self._schema)
        self._pending.append(batch)
        self._pending_rows += batch.num_rows
        self._pending_bytes += batch.nbytes
        if self._pending_rows >= ROW_GROUP_ROWS or self._pending_bytes >= ROW_GROUP_BYTES:
            self._write_row_group()

    def finish(self) -> None:
        """Write the last rows and the footer; the sink stays open."""
        self._write_row_group()
        self._writer.close()

    def _write_row_group(self) -> None:
        if self._pending_rows:
            pyarrow, _ = _pyarrow()
            table = pyarrow.Table.from_batches(self._pending)
            self._writer.write_table(table, row_group_size=self._pending_rows)
        self._pending = []
        self._pending_rows = self._pending_bytes = 0


class _TooLongError(Exception):
    """Converting the rows of a batch would take more than ``BATCH_BYTES`` of additional memory."""


def arrow_schema(table: Table) -> Any:
    """Return the ``pyarrow.Schema`` of a table's files; times are microseconds in UTC, JSON is text."""
    pyarrow, _ = _pyarrow()
    return pyarrow.schema([(column.name, _arrow_type(column.type)) for column in table.columns])


def read_parquet(stream: BinaryIO, table: Table) -> Iterator[Row]:
    """Yield the rows of a Parquet file as they were before writing: nested values parsed, times as ISO text.

    Raises ``pyarrow.ArrowInvalid`` (a ``ValueError``) or ``OSError`` if the file is damaged.
    """
    for batch in _batches(stream):
        yield from _batch_rows(batch, table)


def read_parquet_naming(
    stream: BinaryIO, table: Table, columns: Collection[str], identifiers: Collection[str]
) -> Iterator[Row]:
    """Yield the rows of a Parquet file in which one of these columns contains one of the identifiers.

    The other rows are not converted. Raises as ``read_parquet`` does.
    """
    pyarrow, _ = _pyarrow()
    from pyarrow import compute

    if not identifiers:
        return
    forms = {form for each in identifiers for form in (each, encode_json(each)[1:-1].decode())}
    pattern = "|".join(re.escape(each) for each in sorted(forms))
    for batch in _batches(stream):
        mask = pyarrow.array([False] * batch.num_rows)
        for name in columns:
            if name in batch.schema.names:
                found = compute.match_substring_regex(batch.column(name), pattern)
                mask = compute.or_(mask, compute.fill_null(found, False))
        if compute.any(mask).as_py():
            yield from _batch_rows(batch.filter(mask), table)


def _batches(stream: BinaryIO) -> Iterator[Any]:
    _, parquet = _pyarrow()
    file = parquet.ParquetFile(stream)
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        fitting = max(READ_BYTES * group.num_rows // max(group.total_byte_size, 1), 1)
        yield from file.iter_batches(min(fitting, READ_ROWS), row_groups=[number])


def _batch_rows(batch: Any, table: Table) -> Iterator[Row]:
    types = {column.name: column.type for column in table.columns}
    for row in batch.to_pylist():
        yield {name: _read_value(types[name], value) for name, value in row.items()}


def read_columns(stream: BinaryIO, table: Table, names: Sequence[str]) -> Iterator[list[Any]]:
    """Yield the values of these columns, row by row, like ``read_parquet``. Stops at damage without an error."""
    pyarrow, parquet = _pyarrow()
    types = {column.name: column.type for column in table.columns}
    try:
        for batch in parquet.ParquetFile(stream).iter_batches(READ_ROWS, columns=list(names)):
            for row in batch.to_pylist():
                yield [_read_value(types[name], row.get(name)) for name in names]
    except (pyarrow.ArrowException, OSError):
        return


def _read_value(type_: ColumnType, value: Any) -> Any:
    if value is None or type_ in {ColumnType.TEXT, ColumnType.INTEGER, ColumnType.BOOLEAN}:
        return value
    return value.isoformat() if type_ is ColumnType.TIMESTAMP else json.loads(value)


def _arrow_type(type_: ColumnType) -> Any:
    pyarrow, _ = _pyarrow()
    match type_:
        case ColumnType.INTEGER:
            return pyarrow.int64()
        case ColumnType.BOOLEAN:
            return pyarrow.bool_()
        case ColumnType.TIMESTAMP:
            return pyarrow.timestamp("us", tz="UTC")
        case ColumnType.TEXT | ColumnType.JSON:
            return pyarrow.string()


def _arrays(columns: Sequence[Column], rows: Sequence[Row]) -> list[Any]:
    """Convert rows to columns; raises ``_TooLongError`` if they exceed the limit, unless it is a single row."""
    budget = _ByteBudget(BATCH_BYTES if len(rows) > 1 else None)
    return [_array(column, rows, budget) for column in columns]


class _ByteBudget:
    """How many bytes a batch may still take; None means no limit."""

    def __init__(self, left: int | None) -> None:
        self._left = left

    def take(self, size: int) -> None:
        if self._left is not None:
            self._left -= size
            if self._left < 0:
                raise _TooLongError


def _array(column: Column, rows: Sequence[Row], budget: _ByteBudget) -> Any:
    """Convert one column of a batch. The types differ in how their values are converted to Arrow."""
    pyarrow, _ = _pyarrow()
    values = [row.get(column.name) for row in rows]
    match column.type:
        case ColumnType.TEXT:
            budget.take(sum(map(len, filter(None, values))))
            return _text_array(values)
        case ColumnType.INTEGER:
            return pyarrow.array(values, pyarrow.int64())
        case ColumnType.BOOLEAN:
            return pyarrow.array(values, pyarrow.bool_())
        case ColumnType.TIMESTAMP:
            texts = pyarrow.array(values, pyarrow.string())
            return texts.cast(pyarrow.timestamp("us", tz="UTC"))
        case ColumnType.JSON:
            return pyarrow.array([_json_text(value, budget) for value in values], pyarrow.string())


def _json_text(value: Any, budget: _ByteBudget) -> str | None:
    if value is None:
        return None
    encoded = encode_json(value)
    budget.take(len(encoded))
    return encoded.decode()


def _text_array(values: list[Any]) -> Any:
    pyarrow, _ = _pyarrow()
    try:
        array = pyarrow.array(values, pyarrow.string())
    except UnicodeEncodeError:  # a lone surrogate
        array = None
    # Search for NUL in the buffer of all texts at once. Nulls take no space in it.
    if array is None or (array.buffers()[2] is not None and b"\0" in array.buffers()[2].to_pybytes()):
        array = pyarrow.array([value and sanitized_text(value) for value in values], pyarrow.string())
    return array


def _pyarrow() -> tuple[Any, Any]:
    # pyarrow's default allocator, mimalloc, uses 20 MB more for the same rows than the system's, and can only be
    # changed before the first import. A setting that already exists is respected.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ImportError("Parquet files need pyarrow: pip install 'airflow-provider-metaconv[parquet]'") from None
    return pyarrow, pyarrow.parquet

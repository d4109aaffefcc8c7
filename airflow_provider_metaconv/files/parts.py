"""Writes a table's rows as numbered parts, each published as soon as it is full, so that a long run keeps its work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from airflow_provider_metaconv.files.errors import NameTakenError, storage_error
from airflow_provider_metaconv.files.manifest import FILE_FORMATS, ManifestFile, next_part_number
from airflow_provider_metaconv.files.ndjson import Keep, NdjsonWriter
from airflow_provider_metaconv.files.parquet import ParquetWriter
from airflow_provider_metaconv.files.sink import Sink
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.schema import Row, Table

ROWS_PER_PART = 100_000
BYTES_PER_PART = 64 * 1024 * 1024
CHUNK_ROWS = 500
"""Rows passed to the format at once. Parquet needs a few hundred to be fast."""

CHUNK_BYTES = 4 * 1024 * 1024
"""Limits a chunk of long rows that are generated one by one. Rows of a list are already in memory."""

MOST_TAKEN = 20
"""How many consecutive part numbers may be taken by another task before that is an error."""


class RowWriter(Protocol):
    """Writes the rows of one part to a sink in one file format."""

    @property
    def size(self) -> int:
        """The approximate size of the file so far, in bytes."""

    def write(self, rows: Sequence[Row], keep: Keep | None = None) -> None:
        """Append the rows and pass their lines of JSON to ``keep``."""

    def finish(self) -> None:
        """Write what is still buffered; the sink stays open."""


_WRITERS: dict[str, Callable[[Sink, Table], RowWriter]] = {"ndjson": NdjsonWriter, "parquet": ParquetWriter}
"""The writer class of each file format."""


class _Part:
    """One part being written to a temporary file."""

    def __init__(self, temporary: Path, factory: Callable[[Sink, Table], RowWriter], table: Table) -> None:
        self.temporary = temporary
        self.sink = Sink(temporary)
        self.rows = 0
        try:
            self.writer = factory(self.sink, table)
        except BaseException:
            self.sink.abandon()
            raise

    def write(self, rows: list[Row], keep: Keep | None) -> None:
        self.writer.write(rows, keep)
        self.rows += len(rows)


class PartsWriter:
    """Writes a table's rows as ``{table}-{number}.{suffix}``, and starts the next part when one is full.

    A table without rows yields no part. Not thread-safe. As a context manager, it closes on success and aborts on an
    error. Raises ``ValueError`` for an unknown format or a row with an unknown column, and ``StorageError`` if the
    storage fails. After an error it is aborted and accepts no more rows.
    """

    def __init__(
        self,
        storage: Storage,
        table: Table,
        file_format: str = "ndjson",
        rows_per_part: int = ROWS_PER_PART,
        first_number: int = 0,
        bytes_per_part: int = BYTES_PER_PART,
    ) -> None:
        if file_format not in FILE_FORMATS:
            raise ValueError(f"file_format must be one of {', '.join(FILE_FORMATS)}, not {file_format!r}")
        if min(rows_per_part, bytes_per_part) < 1:
            raise ValueError("rows_per_part and bytes_per_part must be at least 1")
        self._storage, self._table = storage, table
        self._factory = _WRITERS[file_format]
        self._suffix = FILE_FORMATS[file_format]
        self._rows_per_part, self._bytes_per_part = rows_per_part, bytes_per_part
        self._number = first_number
        self._columns = frozenset(table.column_names)
        self._part: _Part | None = None
        self._published: list[ManifestFile] = []
        self._closed = False

    @property
    def published(self) -> tuple[ManifestFile, ...]:
        """The parts published so far, in order, without the rows of the part that is being filled."""
        return tuple(self._published)

    def write(self, rows: Iterable[Row], keep: Keep | None = None) -> None:
        """Append rows and pass their lines of JSON to ``keep``; publishes each part that is full."""
        if self._closed:
            raise ValueError("this PartsWriter is closed: create a new one to write more rows")
        with self._aborting():
            take = islice if isinstance(rows, Sequence) else _limited_by_size
            rows = iter(rows)
            while chunk := list(take(rows, self._room())):
                self._write_chunk(chunk, keep)

    def roll(self) -> tuple[ManifestFile, ...]:
        """Publish the rows written so far even if the part is not full, and return all published parts."""
        with self._aborting():
            self._publish()
        return self.published

    def close(self) -> tuple[ManifestFile, ...]:
        """Publish the last part and return all parts; a second call returns the same."""
        parts = self.roll()
        self._closed = True
        return parts

    def abort(self) -> None:
        """Drop the part that is being written. Published parts remain, but no manifest lists them yet."""
        self._closed = True
        if (part := self._part) is not None:
            self._part = None
            part.sink.abandon()
            self._storage.discard(part.temporary)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error_type is None:
            self.close()
        else:
            self.abort()

    def _room(self) -> int:
        written = self._part.rows if self._part else 0
        return min(CHUNK_ROWS, self._rows_per_part - written)

    def _write_chunk(self, rows: list[Row], keep: Keep | None) -> None:
        # Warehouses ignore unknown keys, so data would be lost without an error if it were not raised here.
        for row in rows:
            if not row.keys() <= self._columns:
                unknown = ", ".join(sorted(row.keys() - self._columns))
                raise ValueError(f"table {self._table.name} has no column for: {unknown}")
        with self._one_line_errors():
            if self._part is None:
                self._part = self._new_part()
            self._part.write(rows, keep)
        if self._part.rows >= self._rows_per_part or self._part.writer.size >= self._bytes_per_part:
            self._publish()

    def _new_part(self) -> _Part:
        temporary = self._storage.temporary()
        try:
            return _Part(temporary, self._factory, self._table)
        except BaseException:
            self._storage.discard(temporary)
            raise

    def _publish(self) -> None:
        if (part := self._part) is None:
            return
        with self._one_line_errors():
            part.writer.finish()
            part.sink.close()
        name = self._publish_as_new(part)
        self._part = None
        self._number += 1
        file = ManifestFile(name, self._table.name, part.rows, part.sink.size, part.sink.sha256)
        self._published.append(file)

    def _publish_as_new(self, part: _Part) -> str:
        """Publish under the first free number; a task that was taken for dead may still be using numbers."""
        last = self._number + MOST_TAKEN
        while True:
            name = self._name()
            try:
                self._storage.publish(part.temporary, name, sha256=part.sink.sha256)
            except NameTakenError:
                if self._number == last:
                    raise
                self._number += 1
            else:
                return name

    def _name(self) -> str:
        return f"{self._table.name}-{self._number:05d}{self._suffix}"

    @contextlib.contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise storage_error("write", self._storage.uri(self._name()), error) from error

    @contextlib.contextmanager
    def _aborting(self) -> Iterator[None]:
        """Remove the temporary file on any error, including errors from the source of the rows."""
        try:
            yield
        except BaseException:
            # Report the first error; a failure to clean up is only its consequence.
            with contextlib.suppress(Exception):
                self.abort()
            raise


def _limited_by_size(rows: Iterator[Row], number: int) -> Iterator[Row]:
    """Yield the next rows, up to that number or to ``CHUNK_BYTES``, whichever comes first."""
    size = 0
    for row in islice(rows, number):
        yield row
        size += _weight(row)
        if size >= CHUNK_BYTES:
            return


def _weight(value: Any) -> int:
    """Return the approximate size of a JSON value in bytes."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_weight, value.values()))
    return sum(map(_weight, value)) if isinstance(value, list) else 8


def write_rows(storage: Storage, table: Table, file_format: str, rows: Iterable[Row]) -> list[ManifestFile]:
    """Write the rows as parts with unused numbers, and return the parts."""
    number = next_part_number(storage.names())
    with PartsWriter(storage, table, file_format, first_number=number) as writer:
        writer.write(rows)
    return list(writer.published)

"""The ``Warehouse`` protocol, and the values it takes and returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from airflow_provider_metaconv.schema import TABLES


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file to load: its local path or URI, its table, ``ndjson`` or ``parquet``, and its number of rows.

    ``sha256`` is the checksum of its content, if known. It distinguishes files of the same name and size.
    """

    uri: str
    table: str
    file_format: str
    rows: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class TableResult:
    """How many rows a load changed in one table. Of several staged versions of a row, only the best is merged."""

    staged: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0

    @property
    def duplicates(self) -> int:
        """Staged rows that were discarded in favour of a better version of the same row."""
        return self.staged - self.inserted - self.updated - self.unchanged


@dataclass(frozen=True, slots=True)
class LoadResult:
    """The result of a load by table name, with an entry for every table of the schema."""

    tables: Mapping[str, TableResult]

    @classmethod
    def nothing(cls) -> LoadResult:
        """The result of a load of no files."""
        return cls({table.name: TableResult() for table in TABLES})


class Warehouse(Protocol):
    """The tables of the schema in one database. Use it as a context manager, which opens and closes the connection.

    A load is all or nothing across all tables, and loading the same files twice changes nothing. Which version of a row
    is kept does not depend on the order of loads: the more complete message, the complete window, the conversation
    updated last, and otherwise the version extracted last. The counts and statuses of conversations and gaps are
    derived from the rows of ``messages`` and of the ledger tables, not from the files. Every method raises
    ``WarehouseError`` with a one-line message.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def load(self, files: Sequence[SourceFile]) -> LoadResult:
        """Stage all files, check their row counts, and merge them in one transaction."""

    def missing(self, files: Sequence[SourceFile]) -> dict[str, int]:
        """Return how many of the files' keys each table lacks, by table name. Writes nothing."""

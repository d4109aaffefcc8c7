"""What every warehouse promises, and the values that go in and come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from airflow_provider_metaconv.schema import TABLES


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file to load: its local path or URI, the table's name, ``ndjson`` or ``parquet``, and its number of rows.

    ``sha256`` is the checksum of its bytes where it is known: it tells it from another file of that name and size.
    """

    uri: str
    table: str
    file_format: str
    rows: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class TableResult:
    """What a load did to one table, in rows; of several staged versions of one row only the best counts further."""

    staged: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0

    @property
    def duplicates(self) -> int:
        """Staged rows that gave way to a better version of the same row in the same load."""
        return self.staged - self.inserted - self.updated - self.unchanged


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load did, by the name of the table; every table of ``records`` is there."""

    tables: Mapping[str, TableResult]

    @classmethod
    def nothing(cls) -> LoadResult:
        """The result of a load of no files."""
        return cls({table.name: TableResult() for table in TABLES})


class Warehouse(Protocol):
    """The tables of ``records``, which files are merged into; used as a context manager, which opens and closes it.

    Loading is all or nothing over all tables, and loading the same files twice changes nothing. Which of two versions
    of one row stays does not depend on which is loaded first: the richer message, the complete window, the conversation
    updated later, and between equals the one extracted later. The counts and the status of conversations and gaps are
    derived from the rows of ``messages`` and of the ledger, whatever the files say. Every method raises
    ``WarehouseError`` with one clear line.
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
        """How many of the files' keys each table of ``records`` lacks; writes nothing."""

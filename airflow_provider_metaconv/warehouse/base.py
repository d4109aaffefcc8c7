"""The ``Warehouse`` protocol, and the values it takes and returns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol, Self

from airflow_provider_metaconv.privacy.suppression import Scope
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

    def policies(self) -> frozenset[tuple[str, str]]:
        """Return the privacy policies of the windows in the tables, each with its key's fingerprint, or "" without one.

        A window without a policy is by an early release, and full. Without tables or windows there are none.
        """

    def conversations_of(self, people: Collection[str]) -> frozenset[str]:
        """Return the IDs of the conversations that one of these people takes part in, as they are stored.

        People take part as sender, recipient or participant, or as the only person of a window. A reaction alone does
        not count: it can be to somebody else's message.
        """

    def erase(self, people: Collection[str], conversations: Collection[str], scope: Scope) -> dict[str, int]:
        """Delete these people, and in the scope ``CONVERSATION`` these conversations, in one transaction.

        IDs are given as they are stored. ``CONVERSATION`` deletes the conversations' messages, rows and gaps, what the
        people sent or received elsewhere, and the rows of conversations that list them. ``OWN`` ignores
        ``conversations``, and deletes only what the people sent. In rows that stay, the people are removed from
        recipients, participants and reactions, and derived counts, statuses and times are derived again. Windows and
        gaps that name one of the people are deleted.

        Returns how many rows were deleted or lost a trace, by table name; 0 for tables that do not exist, and for all
        tables the second time.
        """

    def remaining(self, people: Collection[str], conversations: Collection[str], scope: Scope) -> dict[str, int]:
        """Return how many rows ``erase`` would delete or change, by table name. Writes nothing."""

    def remove_old(self, cutoff: datetime, retention: timedelta, *, was_interrupted: bool = False) -> dict[str, int]:
        """Delete messages before ``cutoff`` in one transaction, and what only they concern.

        ``cutoff`` is a midnight in UTC, and at that time at least ``retention`` ago. Conversations leave if they have
        no message left and were last updated an hour or more before it, gaps with their conversation, or if their
        window ended before it, and windows that ended before it if they are partial or were read for one person. What
        is left of a window or gap begins at the cutoff. Derived counts, statuses and times are derived again.

        ``was_interrupted`` says that an earlier call may have been killed. Returns how many rows were deleted, by table
        name; 0 for tables that do not exist, and for all tables the second time.
        """

    def limits(self) -> tuple[str, ...]:
        """Return where erased rows can remain that ``erase`` cannot reach, in one sentence each."""

"""``DuckDBWarehouse``: stage, check, merge and update the ledger, all in one transaction."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.schema import EXTRACTION_WINDOWS, TABLES, Table
from airflow_provider_metaconv.warehouse.base import LoadResult, SourceFile, TableResult
from airflow_provider_metaconv.warehouse.duckdb.compaction import (
    check_copyable,
    compact,
    remove_leftovers,
    writable_paths,
)
from airflow_provider_metaconv.warehouse.duckdb.connection import OpenDatabase
from airflow_provider_metaconv.warehouse.duckdb.database_path import database_path
from airflow_provider_metaconv.warehouse.duckdb.erasure import Erasure, has_tables
from airflow_provider_metaconv.warehouse.duckdb.errors import disk_error, import_duckdb, one_line_errors
from airflow_provider_metaconv.warehouse.duckdb.retention import remove_old
from airflow_provider_metaconv.warehouse.duckdb.sql import (
    LEDGER_STEPS,
    load_statements,
    missing_statement,
    staging_name,
    target_name,
)
from airflow_provider_metaconv.warehouse.duckdb.staging import check_files, drop_staging, readable_paths, stage
from airflow_provider_metaconv.warehouse.duckdb.tables import ensure_table, existing_columns
from airflow_provider_metaconv.warehouse.duckdb.views import ensure_views
from airflow_provider_metaconv.warehouse.errors import PolicyConflictError, WarehouseError
from airflow_provider_metaconv.warehouse.view_options import ViewOptions

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_NO_ROWS = {table.name: 0 for table in TABLES}

_SCHEMA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class DuckDBWarehouse:
    """The tables in one DuckDB file, which is created if it does not exist; see ``Warehouse`` for the guarantees.

    The file is locked while the context is open. Entering waits up to ``open_timeout`` for the lock, then raises
    ``WarehouseBusyError``. Rows of different privacy policies or keys are mixed only with ``allow_policy_change``. With
    ``views``, a load also creates the analytics views. Raises ``WarehouseRefusedError`` if ``path`` is not the path of
    a file.
    """

    def __init__(
        self,
        path: Path | str,
        schema: str = "main",
        open_timeout: timedelta = timedelta(seconds=60),
        allow_policy_change: bool = False,
        views: ViewOptions | None = None,
    ) -> None:
        if not _SCHEMA_NAME.fullmatch(schema):
            raise ValueError(f"schema must be a plain name such as main or meta_raw, not {schema!r}")
        self._path = database_path(path)
        self._schema = schema
        self._open_timeout = open_timeout
        self._allow_policy_change = allow_policy_change
        self._views = views
        self._database: OpenDatabase | None = None

    def __enter__(self) -> Self:
        self._database = OpenDatabase(self._path, self._open_timeout)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def load(self, files: Sequence[SourceFile]) -> LoadResult:
        """Merge all files in one transaction. If it raises ``WarehouseError``, nothing has changed."""
        check_files(files)
        with self._transaction(readable_paths(files)) as connection:
            for table in TABLES:
                ensure_table(connection, table, self._schema)
            if self._views is not None:
                ensure_views(connection, self._schema, self._views)
            # All tables are staged and checked before the first merge, so that a bad file is found early.
            staged = {table: stage(connection, table, _files_of(table, files)) for table in TABLES}
            self._check_policies(connection, staged[EXTRACTION_WINDOWS] > 0)
            result = self._merge_all(connection) if any(staged.values()) else LoadResult.nothing()
            for table in TABLES:
                drop_staging(connection, table)
            return result

    def interrupt(self) -> None:
        """Interrupt the statement that another thread is running. Its transaction is rolled back."""
        if self._database is not None:
            self._database.interrupt()

    def missing(self, files: Sequence[SourceFile]) -> dict[str, int]:
        """Return how many of the files' keys each table lacks, by table name. Writes nothing."""
        check_files(files)
        with self._transaction(readable_paths(files), keep=False) as connection:
            return {table.name: self._missing(connection, table, _files_of(table, files)) for table in TABLES}

    def policies(self) -> frozenset[tuple[str, str]]:
        """Return the privacy policies of the windows in the tables, each with its key's fingerprint, or ""."""
        with self._erasing((), keep=False) as erasure:
            return erasure.policies() if erasure else frozenset()

    def conversations_of(self, people: Collection[str]) -> frozenset[str]:
        """Return the IDs of the conversations that one of these people takes part in, as they are stored."""
        with self._erasing(people, keep=False) as erasure:
            return erasure.conversations() if erasure else frozenset()

    def erase(self, people: Collection[str], conversations: Collection[str], scope: Scope) -> dict[str, int]:
        """Delete people from the tables in one transaction, then replace the file by a copy of its live rows.

        If it raises, nothing was erased, or the message says that the old file is still there: then erase again.
        """
        with self._file_errors():
            connection = self._restricted(writable_paths(self._path))
            remove_leftovers(self._path)
            check_copyable(connection, self._path)
            with self._erasing(people, conversations, scope) as erasure:
                counts = erasure.counts() if erasure else _NO_ROWS
                if erasure and any(counts.values()):
                    erasure.run()
            # Also if nothing was found: an earlier erasure may have been killed before it replaced the file.
            compact(self._opened(), connection, self._path)
        return dict(counts)

    def remaining(self, people: Collection[str], conversations: Collection[str], scope: Scope) -> dict[str, int]:
        """Return how many rows ``erase`` would delete or change, by table name. Writes nothing."""
        with self._erasing(people, conversations, scope, keep=False) as erasure:
            return erasure.counts() if erasure else dict(_NO_ROWS)

    def remove_old(self, cutoff: datetime, retention: timedelta, *, was_interrupted: bool = False) -> dict[str, int]:
        """Delete old messages in one transaction, then replace the file by a copy of its live rows if any were deleted.

        If it raises, nothing was deleted, or the message says that the old file is still there: then call it again.
        """
        with self._file_errors():
            connection = self._restricted(writable_paths(self._path))
            remove_leftovers(self._path)
            check_copyable(connection, self._path)
            with self._transaction(writable_paths(self._path)) as connection:
                exist = has_tables(connection, self._schema)
                counts = remove_old(connection, self._schema, cutoff) if exist else dict(_NO_ROWS)
            if any(counts.values()) or was_interrupted:
                compact(self._opened(), connection, self._path)
        return counts

    def limits(self) -> tuple[str, ...]:
        """Return where erased rows can remain that ``erase`` cannot reach, in one sentence each."""
        return (
            f"Backups and snapshots of the DuckDB file {self._path} keep what they have: delete them, or erase there.",
            "The disk keeps the bytes of the old file until it reuses their blocks: encrypt the disk.",
        )

    @contextlib.contextmanager
    def _erasing(
        self,
        people: Collection[str],
        conversations: Collection[str] = (),
        scope: Scope = Scope.CONVERSATION,
        keep: bool = True,
    ) -> Iterator[Erasure | None]:
        """Yield the erasure in a transaction, or None if there are no tables."""
        with self._transaction(writable_paths(self._path), keep) as connection:
            exist = has_tables(connection, self._schema)
            yield Erasure(connection, self._schema, people, conversations, scope) if exist else None

    @contextlib.contextmanager
    def _file_errors(self) -> Iterator[None]:
        """Raise errors of DuckDB and of the file system as ``WarehouseError``."""
        try:
            with one_line_errors(self._path):
                yield
        except OSError as error:
            raise disk_error(self._path, error) or WarehouseError(
                f"cannot erase from the DuckDB file {self._path} ({error.strerror}): check its folder, then run again"
            ) from None

    def _check_policies(self, connection: DuckDBPyConnection, is_staged: bool) -> None:
        """Raise ``PolicyConflictError`` if files and tables have different privacy policies or keys."""
        if self._allow_policy_change:
            return
        found = connection.execute(load_statements("policies.sql", self._schema)).fetchall()
        # Files of the first releases have no windows, and full rows.
        policies = {policy for (policy,) in found} | (set() if is_staged else {"full"})
        if len(policies) > 1:
            raise PolicyConflictError(policies)

    def _merge_all(self, connection: DuckDBPyConnection) -> LoadResult:
        # Before the first merge, because these gaps are derived from the conversations as they were before this load.
        connection.execute(load_statements("adopt_earlier_gaps.sql", self._schema))
        result = LoadResult({table.name: self._merge(connection, table) for table in TABLES})
        for template in LEDGER_STEPS:
            connection.execute(load_statements(template, self._schema))
        return result

    def _merge(self, connection: DuckDBPyConnection, table: Table) -> TableResult:
        source, target = staging_name(table), target_name(table, self._schema)
        if not (staged := _rows(connection, source)):
            return TableResult()
        before = _rows(connection, target)
        merged = connection.execute(load_statements(f"merge_{table.name}.sql", self._schema))
        written, distinct = _first(merged), _rows(connection, source)
        inserted = _rows(connection, target) - before
        return TableResult(staged, inserted, written - inserted, distinct - written)

    def _missing(self, connection: DuckDBPyConnection, table: Table, files: list[SourceFile]) -> int:
        stage(connection, table, files)
        table_exists = bool(existing_columns(connection, table, self._schema))
        return _first(connection.execute(missing_statement(table, self._schema, table_exists)))

    @contextlib.contextmanager
    def _transaction(self, paths: Iterable[str], keep: bool = True) -> Iterator[DuckDBPyConnection]:
        with one_line_errors(self._path):
            connection = self._restricted(paths)
            connection.execute("BEGIN")
            try:
                yield connection
                connection.execute("COMMIT" if keep else "ROLLBACK")
            except BaseException:
                # A failed COMMIT has already rolled back, so there may be no transaction to end.
                with contextlib.suppress(import_duckdb().Error):
                    connection.execute("ROLLBACK")
                raise

    def _restricted(self, paths: Iterable[str]) -> DuckDBPyConnection:
        return self._opened().restricted_to(paths)

    def _opened(self) -> OpenDatabase:
        if self._database is None:
            raise WarehouseError("the warehouse is not open: use it in a with statement")
        return self._database


def _files_of(table: Table, files: Sequence[SourceFile]) -> list[SourceFile]:
    return [file for file in files if file.table == table.name]


def _rows(connection: DuckDBPyConnection, table: str) -> int:
    return _first(connection.execute(f"SELECT count(*) FROM {table}"))  # noqa: S608 (only our own names)


def _first(executed: DuckDBPyConnection) -> int:
    """Return the number that a query selected, or the number of rows that a statement changed."""
    row = executed.fetchone()
    return int(row[0]) if row else 0

"""Staging: DuckDB reads the files into temporary tables, and the rows are counted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_metaconv.files.errors import RUN_AGAIN
from airflow_provider_metaconv.schema import Table
from airflow_provider_metaconv.warehouse.base import SourceFile
from airflow_provider_metaconv.warehouse.duckdb.errors import disk_error, import_duckdb
from airflow_provider_metaconv.warehouse.duckdb.sql import column_definition, stage_statement, staging_name
from airflow_provider_metaconv.warehouse.errors import RowCountError, SourceFileError
from airflow_provider_metaconv.warehouse.source_files import check_kind, check_present, path_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_GLOB_CHARACTERS = re.compile(r"[*?\[]")
_LINE = re.compile(r"in (line \d+)")


def check_files(files: Sequence[SourceFile]) -> None:
    """Raise ``SourceFileError`` unless each file has a known table and format and exists on this machine."""
    for file in files:
        check_kind(file)
        check_present(file.uri, _path(file.uri))


def readable_paths(files: Sequence[SourceFile]) -> set[str]:
    """Return the paths that DuckDB must be allowed to open to stage these files, both plain and as escaped globs."""
    paths = {str(_path(file.uri)) for file in files}
    return paths | {_escape_glob(path) for path in paths}


def stage(connection: DuckDBPyConnection, table: Table, files: Sequence[SourceFile]) -> int:
    """Read the files into the table's staging table in order, and return the number of rows.

    Raises ``SourceFileError`` for a damaged file and ``RowCountError`` for an unexpected number of rows.
    """
    definitions = ", ".join(column_definition(column) for column in table.columns)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {staging_name(table)} ({definitions})")
    staged = 0
    # Consecutive files of one format are read together. That keeps the order, in which later rows count as newer.
    for file_format, group in groupby(files, lambda file: file.file_format):
        staged += _read(connection, stage_statement(file_format, table), list(group))
    expected = sum(file.rows for file in files)
    if staged != expected:
        raise RowCountError(
            f"the files of table {table.name} hold {staged} rows, but their manifests say {expected}: {RUN_AGAIN}"
        )
    return staged


def drop_staging(connection: DuckDBPyConnection, table: Table) -> None:
    """Drop the table's staging table."""
    connection.execute(f"DROP TABLE {staging_name(table)}")


def _read(connection: DuckDBPyConnection, sql: str, files: list[SourceFile]) -> int:
    duckdb = import_duckdb()
    paths = [str(_path(file.uri)) for file in files]
    try:
        return int(connection.execute(sql, {"files": [_escape_glob(path) for path in paths]}).fetchone()[0])  # type: ignore[index]
    except duckdb.Error as error:
        # Data that does not fit in memory is spilled to the database's disk.
        if isinstance(error, duckdb.OutOfMemoryException) or disk_error(Path(), error):
            raise
        # DuckDB's text may quote a row, and no message content may appear in a log, so only the position is kept.
        message = str(error)
        named = [path for path in paths if path in message]
        line = f", {match[1]}," if (match := _LINE.search(message)) else ""
        raise SourceFileError(
            f"DuckDB cannot read {named[0] if named else paths[0]}{line} or its values do not match the column types "
            f"({type(error).__name__}): {RUN_AGAIN}"
        ) from None


def _path(uri: str) -> Path:
    return path_of(uri, "DuckDB loads local files", "extract to a local folder, or load into BigQuery")


def _escape_glob(path: str) -> str:
    """Return the path with glob characters in brackets, so that DuckDB matches it literally."""
    return _GLOB_CHARACTERS.sub(lambda match: f"[{match[0]}]", path)

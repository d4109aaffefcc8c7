"""Catalog lookups in a fraction of the time: local-bigquery makes a dozen for each statement.

It asks DuckDB's system functions, which visit every table of every database. DuckLake numbers the versions of its
schema, so what a version contains is looked up once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import duckdb
from local_bigquery.catalog import tables
from local_bigquery.engine import database
from local_bigquery.sql.rules import partitions
from sqlglot import exp

REMEMBERED = 1_024

_VERSION = "SELECT max(schema_version) FROM {lake}.ducklake_snapshot"
_NAMED = """
SELECT named.name, named.kind, named.table_id
FROM (
    SELECT schema_id, table_name AS name, 'TABLE' AS kind, table_id
    FROM {lake}.ducklake_table
    WHERE end_snapshot IS NULL
    UNION ALL
    SELECT schema_id, view_name, 'VIEW', NULL
    FROM {lake}.ducklake_view
    WHERE end_snapshot IS NULL
) AS named
JOIN {lake}.ducklake_schema AS owner ON owner.schema_id = named.schema_id AND owner.end_snapshot IS NULL
WHERE owner.schema_name = ? AND named.name = ?
"""
_ROWS = "SELECT record_count FROM {lake}.ducklake_table_stats WHERE table_id = ?"


def remember_catalog() -> None:
    """Replace local-bigquery's lookups of single tables; results of queries and lists of tables stay as they are."""
    find_objects: Callable[..., list[tuple[str, str, int]]] = database.objects
    find_columns: Callable[..., list[Any]] = tables.columns
    find_hidden: Callable[[exp.Table], bool] = partitions._hidden

    @lru_cache(REMEMBERED)
    def named(project: str, version: int, dataset: str, table: str) -> list[tuple[Any, ...]]:
        return _read(_NAMED, project, dataset, table)

    def objects(project: str, dataset: str, table: str | None = None) -> list[tuple[str, str, int]]:
        if table is None or (version := _version(project, dataset)) is None:
            return find_objects(project, dataset, table)
        found = []
        for name, kind, table_id in named(project, version, dataset, table):
            rows = [] if table_id is None else _read(_ROWS, project, table_id)
            found.append((name, kind, rows[0][0] if rows else 0))
        return found

    @lru_cache(REMEMBERED)
    def columns_of(version: int, *names: str) -> list[Any]:
        return find_columns(*names)

    def columns(project: str, dataset: str, table: str) -> list[Any]:
        version = _version(project, dataset)
        names = (project, dataset, table)
        return find_columns(*names) if version is None else list(columns_of(version, *names))

    @lru_cache(REMEMBERED)
    def is_hidden(version: int, project: str, dataset: str, table: str) -> bool:
        return find_hidden(exp.table_(table, dataset, project, quoted=True))

    def hidden(table: exp.Table) -> bool:
        names = (table.catalog, table.db, table.name)
        if not all(names) or not isinstance(table.this, exp.Identifier):
            return False
        version = _version(table.catalog, table.db)
        return find_hidden(table) if version is None else is_hidden(version, *names)

    database.objects, tables.columns, partitions._hidden = objects, columns, hidden


def _version(project: str, dataset: str) -> int | None:
    """Return the version of a project's schema; None if another database than DuckLake answers."""
    if dataset == tables.RESULTS:
        return None
    try:
        return int(_read(_VERSION, project)[0][0])
    except duckdb.Error:
        return None  # no such project


def _read(statement: str, project: str, *values: Any) -> list[tuple[Any, ...]]:
    lake = database.quote(f"__ducklake_metadata_{project}")
    rows: list[tuple[Any, ...]] = database.fetch(statement.format(lake=lake), list(values))
    return rows

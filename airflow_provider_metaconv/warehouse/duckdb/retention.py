"""Removal of old messages from the tables, in the caller's transaction."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from airflow_provider_metaconv.schema import TABLES
from airflow_provider_metaconv.warehouse.duckdb.sql import LEDGER_STEPS, load_statements, target_name
from airflow_provider_metaconv.warehouse.duckdb.staging import drop_staging
from airflow_provider_metaconv.warehouse.duckdb.tables import ensure_table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def remove_old(connection: DuckDBPyConnection, schema: str, cutoff: datetime) -> dict[str, int]:
    """Delete messages before ``cutoff`` and what only they concern, and derive counts, statuses and times again.

    Creates missing tables and columns. Returns how many rows were deleted, by table name.
    """
    for table in TABLES:
        ensure_table(connection, table, schema)
    before = _counts(connection, schema)
    connection.execute("SET VARIABLE cutoff = $cutoff::TIMESTAMPTZ", {"cutoff": cutoff})
    for template in ("remove_old.sql", "erase_time_ranges.sql", *LEDGER_STEPS):
        connection.execute(load_statements(template, schema))
    for table in TABLES:
        drop_staging(connection, table)
    after = _counts(connection, schema)
    return {name: count - after[name] for name, count in before.items()}


def _counts(connection: DuckDBPyConnection, schema: str) -> dict[str, int]:
    selects = (f"(SELECT count(*) FROM {target_name(table, schema)})" for table in TABLES)  # noqa: S608 (own names)
    row = connection.execute(f"SELECT {', '.join(selects)}").fetchone()
    return {table.name: count for table, count in zip(TABLES, row or (), strict=True)}

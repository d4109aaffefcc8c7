"""The tables in DuckDB: created if missing, and extended with columns that were added to the schema later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_metaconv.schema import Column, Table
from airflow_provider_metaconv.warehouse.duckdb.sql import (
    COLUMN_TYPES,
    column_definition,
    identifier,
    literal,
)
from airflow_provider_metaconv.warehouse.errors import SchemaConflictError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_VIEW = """
SELECT view_name FROM duckdb_views()
WHERE database_name = current_database() AND lower(schema_name) = lower($schema) AND lower(view_name) = $table
"""
_COLUMNS = """
SELECT lower(column_name), data_type FROM duckdb_columns()
WHERE database_name = current_database() AND lower(schema_name) = lower($schema) AND lower(table_name) = $table
"""

# There is no PRIMARY KEY: it made merging a million rows 5 to 20 times slower. The merge keeps keys unique, and only
# one process at a time holds the file.


def ensure_table(connection: DuckDBPyConnection, table: Table, schema: str) -> None:
    """Create the table, or add the columns it lacks, in the caller's transaction.

    Raises ``SchemaConflictError`` if a column has another type, or if a view has the table's name.
    """
    target = f"{identifier(schema)}.{identifier(table.name)}"
    existing = existing_columns(connection, table, schema)
    if not existing:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(schema)}")
        columns = ", ".join(column_definition(column) for column in table.columns)
        connection.execute(f"CREATE TABLE {target} ({columns})")
        connection.execute(f"COMMENT ON TABLE {target} IS {literal(table.description)}")
    for column in table.columns:
        if column.name in existing:
            continue
        if existing:
            # Not NOT NULL: existing rows have no value until they are loaded again.
            definition = f"{identifier(column.name)} {COLUMN_TYPES[column.type]}"
            connection.execute(f"ALTER TABLE {target} ADD COLUMN {definition}")
        name = f"{target}.{identifier(column.name)}"
        connection.execute(f"COMMENT ON COLUMN {name} IS {literal(column.description)}")


def existing_columns(connection: DuckDBPyConnection, table: Table, schema: str) -> dict[str, str]:
    """Return the types of the table's columns by lower-case name; empty if the table does not exist.

    Raises ``SchemaConflictError`` as ``ensure_table`` does.
    """
    names = {"schema": schema, "table": table.name}
    if connection.execute(_VIEW, names).fetchone():
        raise SchemaConflictError(
            f"{schema}.{table.name} is a view, not a table: rename it, or load into another schema"
        )
    existing = dict(connection.execute(_COLUMNS, names).fetchall())
    for column in table.columns:
        _check_type(column, existing.get(column.name), f"{schema}.{table.name}")
    return existing


def _check_type(column: Column, found: str | None, place: str) -> None:
    wanted = COLUMN_TYPES[column.type]
    if found is not None and found != wanted:
        raise SchemaConflictError(
            f"column {column.name} of {place} has type {found}, must be {wanted}: "
            "rename or convert that column, or load into another schema"
        )

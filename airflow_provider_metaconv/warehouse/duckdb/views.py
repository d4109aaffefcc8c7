"""The analytics views in DuckDB: created in the load's transaction, and replaced if their definition has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_metaconv.warehouse.duckdb.sql import identifier, literal, view_statement
from airflow_provider_metaconv.warehouse.errors import SchemaConflictError
from airflow_provider_metaconv.warehouse.view_options import ViewOptions
from airflow_provider_metaconv.warehouse.views import MARK, VIEWS, View, digest, taken_error

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_EXISTING = """
SELECT lower(view_name), 'view', comment FROM duckdb_views()
WHERE database_name = current_database() AND lower(schema_name) = lower($schema)
UNION ALL
SELECT lower(table_name), 'table', NULL FROM duckdb_tables()
WHERE database_name = current_database() AND lower(schema_name) = lower($schema)
"""


def ensure_views(connection: DuckDBPyConnection, schema: str, options: ViewOptions) -> None:
    """Create the views, or replace those whose definition has changed, in the caller's transaction.

    The tables must exist. Raises ``SchemaConflictError`` if a table, or somebody else's view, has a view's name.
    """
    rows = connection.execute(_EXISTING, {"schema": schema}).fetchall()
    existing = {name: (kind, comment or "") for name, kind, comment in rows}
    for view in VIEWS:
        kind, comment = existing.get(view.name, ("", MARK))
        if MARK not in comment:
            raise SchemaConflictError(taken_error(f"{schema}.{view.name}", kind))
    for view in VIEWS:
        statement = view_statement(view, schema, options)
        comment = _comment(view, statement)
        if existing.get(view.name) != ("view", comment):
            connection.execute(statement)
            name = f"{identifier(schema)}.{identifier(view.name)}"
            connection.execute(f"COMMENT ON VIEW {name} IS {literal(comment)}")


def _comment(view: View, statement: str) -> str:
    """Return a view's comment, with the fingerprint of its definition: DuckDB stores the SQL in words of its own."""
    return f"{view.description} Definition {digest(statement)}."

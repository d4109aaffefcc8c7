"""SQL statements for DuckDB: the templates, rendered for one database schema."""

from __future__ import annotations

from airflow_provider_metaconv.schema import TABLES, Column, ColumnType, ContentStatus, ConversationStatus, Table
from airflow_provider_metaconv.warehouse.table_sql import TableSql, render

COLUMN_TYPES = {
    ColumnType.TEXT: "VARCHAR",
    ColumnType.INTEGER: "BIGINT",
    ColumnType.TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
    ColumnType.JSON: "JSON",
}


def identifier(name: str) -> str:
    """Return the name as a quoted SQL identifier.

    >>> print(identifier('a"b'))
    "a""b"
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return the text as a quoted SQL string literal.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def target_name(table: Table, schema: str) -> str:
    """Return the qualified name of the table that rows are merged into."""
    return f"{identifier(schema)}.{identifier(table.name)}"


def staging_name(table: Table) -> str:
    """Return the name of the temporary table that the files of ``table`` are read into."""
    return f"temp.main.{identifier('staging_' + table.name)}"


def column_definition(column: Column) -> str:
    """Return the column's definition for ``CREATE TABLE``."""
    not_null = " NOT NULL" if column.required else ""
    return f"{identifier(column.name)} {COLUMN_TYPES[column.type]}{not_null}"


def load_statements(template: str, schema: str) -> str:
    """Render a template that merges a table or updates the ledger. Every table is available under its name."""
    return render(
        __package__,
        template,
        content_statuses=", ".join(map(literal, ContentStatus)),
        conversation_statuses=", ".join(map(literal, ConversationStatus)),
        **{table.name: _table_sql(table, schema) for table in TABLES},
    )


def stage_statement(file_format: str, table: Table) -> str:
    """Return the statement that reads ``$files`` of one format into the table's staging table."""
    return render(
        __package__,
        f"stage_{file_format}.sql",
        staging=staging_name(table),
        columns=", ".join(identifier(name) for name in table.column_names),
        converted_columns=", ".join(map(_converted, table.columns)),
        column_types=", ".join(f"{literal(each.name)}: {literal(COLUMN_TYPES[each.type])}" for each in table.columns),
    )


def missing_statement(table: Table, schema: str, table_exists: bool) -> str:
    """Return the query that counts the staged keys that the table lacks, or all staged keys if it does not exist."""
    return render(__package__, "missing.sql", table=_table_sql(table, schema), table_exists=table_exists)


def _table_sql(table: Table, schema: str) -> TableSql:
    return TableSql(table, target_name(table, schema), staging_name(table), identifier)


def _converted(column: Column) -> str:
    name = identifier(column.name)
    return f"json({name})" if column.type is ColumnType.JSON else name

"""SQL statements for DuckDB: the templates, rendered for one database schema."""

from __future__ import annotations

from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.privacy.traces import TRACES
from airflow_provider_metaconv.schema import (
    MESSAGES,
    TABLES,
    Column,
    ColumnType,
    ContentStatus,
    ConversationStatus,
    Table,
)
from airflow_provider_metaconv.warehouse.derived import TOUCHING
from airflow_provider_metaconv.warehouse.table_sql import TableSql, erased_rows, render
from airflow_provider_metaconv.warehouse.view_options import ViewOptions
from airflow_provider_metaconv.warehouse.views import VIEWS, View, template_values

COLUMN_TYPES = {
    ColumnType.TEXT: "VARCHAR",
    ColumnType.INTEGER: "BIGINT",
    ColumnType.BOOLEAN: "BOOLEAN",
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
    """Render a template that merges a table, updates the ledger or removes old rows. Tables are available by name.

    ``touching`` has the columns of deleted rows that stand in for a load's.
    """
    return render(
        __package__,
        template,
        touching={each.name: ", ".join(columns) for each, columns in TOUCHING.items()},
        content_statuses=", ".join(map(literal, ContentStatus)),
        conversation_statuses=", ".join(map(literal, ConversationStatus)),
        **{table.name: _table_sql(table, schema) for table in TABLES},
    )


LEDGER_STEPS = ("count_gaps.sql", "close_gaps.sql", "total_conversations.sql")
"""The templates that follow the merges. Each uses the results of those before it."""

_PATHS_TO_PEOPLE = {
    "recipients": ("$[*].id",),
    "participants": ("$[*].id",),
    "reactions": ("$[*].users[*].id", "$[*].users.data[*].id"),
}


def erasure_statements(template: str, schema: str, scope: Scope, table: Table = MESSAGES) -> str:
    """Render a template of an erasure. The variables ``erased_people`` and ``erased_conversations`` are lists of IDs.

    ``erased`` is the condition of a table's rows to delete, ``traces`` that of other rows with traces to remove.
    """
    holds = {name: _holds_one(name) for name in (*_PATHS_TO_PEOPLE, "extra")}
    is_person = {name: _is_one(name, "erased_people") for name in ("sender_id", "user_id")}
    in_conversation = _is_one("conversation_id", "erased_conversations")
    erased = erased_rows(scope, in_conversation, is_person, holds)
    return render(
        __package__,
        template,
        table=_table_sql(table, schema),
        traced=TRACES.get(table, ()),
        erased={each.name: " OR ".join(conditions) for each, conditions in erased.items()},
        touching={each.name: ", ".join(columns) for each, columns in TOUCHING.items()},
        traces={each.name: " OR ".join(holds[name] for name in TRACES.get(each, ())) for each in TABLES},
        holds=holds,
        is_person=is_person,
        **{each.name: _table_sql(each, schema) for each in TABLES},
    )


def _is_one(column: str, variable: str) -> str:
    return f"{column} IN (SELECT unnest(getvariable('{variable}')))"


def _holds_one(column: str) -> str:
    """Return the condition that a JSON column names one of the people."""
    if column == "extra":
        return r"coalesce(list_has_any(regexp_extract_all(extra::VARCHAR, '\w+'), getvariable('erased_people')), FALSE)"
    found = (f"json_extract_string({column}, {literal(path)})" for path in _PATHS_TO_PEOPLE[column])
    conditions = (f"list_has_any({ids}, getvariable('erased_people'))" for ids in found)
    return f"coalesce({' OR '.join(conditions)}, FALSE)"


def stage_statement(file_format: str, table: Table) -> str:
    """Return the statement that reads ``$files`` of one format into the table's staging table."""
    return render(
        __package__,
        f"stage_{file_format}.sql",
        staging=staging_name(table),
        columns=", ".join(identifier(name) for name in table.column_names),
        typed_nulls=", ".join(f"NULL::{_parquet_type(each)} AS {identifier(each.name)}" for each in table.columns),
        converted_columns=", ".join(map(_converted, table.columns)),
        column_types=", ".join(f"{literal(each.name)}: {literal(COLUMN_TYPES[each.type])}" for each in table.columns),
    )


def missing_statement(table: Table, schema: str, table_exists: bool) -> str:
    """Return the query that counts the staged keys that the table lacks, or all staged keys if it does not exist."""
    return render(__package__, "missing.sql", table=_table_sql(table, schema), table_exists=table_exists)


def view_statement(view: View, schema: str, options: ViewOptions) -> str:
    """Return the statement that creates or replaces a view."""
    zone = literal(options.time_zone)
    return render(
        __package__,
        view.template,
        view=f"{identifier(schema)}.{identifier(view.name)}",
        views={each.name: f"{identifier(schema)}.{identifier(each.name)}" for each in VIEWS},
        time_zone=zone,
        local_date=lambda time: f"(({time}) AT TIME ZONE {zone})::DATE",
        first_moment="TIMESTAMPTZ '0001-01-01 00:00:00+00'",
        last_moment="TIMESTAMPTZ '9999-12-31 00:00:00+00'",
        **template_values(options),
        **{table.name: _table_sql(table, schema) for table in TABLES},
    )


def _table_sql(table: Table, schema: str) -> TableSql:
    return TableSql(table, target_name(table, schema), staging_name(table), identifier)


def _parquet_type(column: Column) -> str:
    return "VARCHAR" if column.type is ColumnType.JSON else COLUMN_TYPES[column.type]


def _converted(column: Column) -> str:
    name = identifier(column.name)
    return f"json({name})" if column.type is ColumnType.JSON else name

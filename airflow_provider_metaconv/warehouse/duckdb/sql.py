"""The SQL files beside, filled in with names that come from ``records`` and from nowhere else."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from airflow_provider_metaconv.schema import (
    CONVERSATION_GAPS,
    CONVERSATIONS,
    TABLES,
    Column,
    ColumnType,
    ContentStatus,
    ConversationStatus,
    Table,
)
from airflow_provider_metaconv.warehouse.derived import compared_columns

COLUMN_TYPES = {
    ColumnType.TEXT: "VARCHAR",
    ColumnType.INTEGER: "BIGINT",
    ColumnType.TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
    ColumnType.JSON: "JSON",
}


def identifier(name: str) -> str:
    """The name as a quoted SQL identifier.

    >>> print(identifier('a"b'))
    "a""b"
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as a quoted SQL string.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def staging_name(table: Table) -> str:
    """The temporary table that the files of ``table`` are read into first."""
    return f"temp.main.{identifier('staging_' + table.name)}"


def column_definition(column: Column) -> str:
    """A column as ``CREATE TABLE`` wants it."""
    not_null = " NOT NULL" if column.required else ""
    return f"{identifier(column.name)} {COLUMN_TYPES[column.type]}{not_null}"


def statement(file_name: str, table: Table, schema: str) -> str:
    """The statements of one of the files beside, for one table: ``target`` is the table, ``source`` its staging."""
    return _template(file_name).format(**_names(table, schema))


def ledger_statement(file_name: str, schema: str) -> str:
    """The statements of one of the files beside that derive the ledger, for which all tables have their names."""
    tables = {table.name: _qualified(table, schema) for table in TABLES}
    sources = {f"source_{table.name}": staging_name(table) for table in TABLES}
    return _template(file_name).format(
        **tables,
        **sources,
        conversation_key=_key(CONVERSATIONS),
        gap_key=_key(CONVERSATION_GAPS),
        conversation_statuses=", ".join(literal(status) for status in ConversationStatus),
    )


@cache
def _template(file_name: str) -> str:
    return files(__package__).joinpath("templates", file_name).read_text("utf-8")


def _qualified(table: Table, schema: str) -> str:
    return f"{identifier(schema)}.{identifier(table.name)}"


def _key(table: Table) -> str:
    return ", ".join(identifier(name) for name in table.key)


def _names(table: Table, schema: str) -> dict[str, str]:
    columns = [identifier(name) for name in table.column_names]
    values = [identifier(column.name) for column in table.columns if column.name not in table.key]
    compared = [identifier(column.name) for column in compared_columns(table)]
    return {
        "target": _qualified(table, schema),
        "source": staging_name(table),
        "columns": ", ".join(columns),
        "source_columns": ", ".join(f"source.{name}" for name in columns),
        "converted_columns": ", ".join(_converted(column) for column in table.columns),
        "column_types": _column_types(table),
        "key": _key(table),
        "same_key": " AND ".join(f"target.{identifier(name)} = source.{identifier(name)}" for name in table.key),
        "source_values": ", ".join(f"{name} = source.{name}" for name in values),
        "any_difference": " OR ".join(f"target.{name} IS DISTINCT FROM source.{name}" for name in compared),
        "content_statuses": ", ".join(literal(status) for status in ContentStatus),
    }


def _converted(column: Column) -> str:
    name = identifier(column.name)
    return f"json({name})" if column.type is ColumnType.JSON else name


def _column_types(table: Table) -> str:
    types = (f"{literal(column.name)}: {literal(COLUMN_TYPES[column.type])}" for column in table.columns)
    return "{" + ", ".join(types) + "}"

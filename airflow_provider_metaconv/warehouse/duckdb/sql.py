"""The SQL files beside, filled in with names that come from ``records`` and from nowhere else."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from airflow_provider_metaconv.records import VERSION_COLUMN, Column, ColumnType, ContentStatus, Table

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
    """The statements of one of the files beside, for one table."""
    return _template(file_name).format(**_names(table, schema))


@cache
def _template(file_name: str) -> str:
    return files(__package__).joinpath(file_name).read_text("utf-8")


def _names(table: Table, schema: str) -> dict[str, str]:
    values = [identifier(column.name) for column in table.columns if column.name not in table.key]
    key = [identifier(name) for name in table.key]
    return {
        "target": f"{identifier(schema)}.{identifier(table.name)}",
        "staging": staging_name(table),
        "columns": ", ".join(identifier(name) for name in table.column_names),
        "converted_columns": ", ".join(_converted(column) for column in table.columns),
        "column_types": _column_types(table),
        "key": ", ".join(key),
        "same_key": " AND ".join(f"held.{name} = fresh.{name}" for name in key),
        "fresh_values": ", ".join(f"{name} = fresh.{name}" for name in values),
        "held_values": ", ".join(_held_value(column) for column in table.columns if column.name not in table.key),
        "any_difference": " OR ".join(
            f"held.{name} IS DISTINCT FROM fresh.{name}" for name in values if name != identifier(VERSION_COLUMN)
        ),
        "statuses": ", ".join(literal(status) for status in ContentStatus),
    }


def _held_value(column: Column) -> str:
    name = identifier(column.name)
    # A held row may lack what is required: its table was made before there was such a column.
    return f"{name} = coalesce(held.{name}, fresh.{name})" if column.required else f"{name} = held.{name}"


def _converted(column: Column) -> str:
    name = identifier(column.name)
    return f"json({name})" if column.type is ColumnType.JSON else name


def _column_types(table: Table) -> str:
    types = (f"{literal(column.name)}: {literal(COLUMN_TYPES[column.type])}" for column in table.columns)
    return "{" + ", ".join(types) + "}"

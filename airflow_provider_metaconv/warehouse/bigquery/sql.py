"""The SQL files beside, filled in with names that come from ``records`` and from nowhere else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from importlib.resources import files

from airflow_provider_metaconv.records import VERSION_COLUMN, Column, ColumnType, ContentStatus, Table
from airflow_provider_metaconv.warehouse.bigquery.step import Staging

PARTITION_COLUMNS = {"messages": "created_time"}
"""Whose day decides in which partition a row lies; only times that never change are fit for it."""

LOCK_TABLE = "metaconv_load_lock"

_FIRST_MOMENT = "TIMESTAMP '0001-01-01 00:00:00+00'"
_FROM_MISSING = ("status", "reason", "window_since", "window_until")


def identifier(*names: str) -> str:
    """The names as one quoted SQL path.

    >>> identifier("project", "dataset", "table")
    '`project`.`dataset`.`table`'
    """
    return ".".join(f"`{name}`" for name in names)


def load_script(place: str, staged: Mapping[Table, Sequence[Staging]]) -> str:
    """The script that merges the staged rows of all tables in one transaction and selects what it counted.

    ``place`` is the quoted dataset. The counts are ``<table>_distinct``, ``_incomplete``, ``_updated``, ``_inserted``.
    """
    names = {table: _names(place, table, stagings) for table, stagings in staged.items()}
    return _filled(
        "load.sql",
        declarations="\n".join(_filled("declare.sql", **each) for each in names.values()),
        facts="\n".join(_filled("facts.sql", **each) for each in names.values()),
        nothing_incomplete=" AND ".join(f"{table.name}_incomplete = 0" for table in names),
        lock=f"{place}.{identifier(LOCK_TABLE)}",
        merges="\n\n".join(_merge(table, each) for table, each in names.items()),
        results=", ".join(f"{table.name}_{count} AS {table.name}_{count}" for table in names for count in _RESULTS),
    )


def missing_script(
    place: str, staged: Mapping[Table, Sequence[Staging]], existing: Mapping[Table, Collection[str]]
) -> str:
    """The script that selects how many of the staged keys each table lacks, by its name.

    ``existing`` are the columns of those tables that are there.
    """
    names = {table: _names(place, table, stagings) for table, stagings in staged.items()}
    declarations = [_filled("declare.sql", **each) for each in names.values()]
    facts = [_filled("facts.sql", **each) for each in names.values()]
    counts = [
        f"({_filled('missing.sql', in_range=_in_range(table, existing[table]), **each)}) AS {table.name}"
        if table in existing
        else f"({_filled('distinct.sql', **each)}) AS {table.name}"
        for table, each in names.items()
    ]
    return "\n".join([*declarations, *facts, f"SELECT {', '.join(counts)};"])


_RESULTS = ("distinct", "incomplete", "updated", "inserted")


@cache
def _template(file_name: str) -> str:
    return files(__package__).joinpath(file_name).read_text("utf-8").rstrip("\n")


def _filled(file_name: str, **names: str) -> str:
    return _template(file_name).format(**names)


def _names(place: str, table: Table, stagings: Sequence[Staging]) -> dict[str, str]:
    values = [identifier(column.name) for column in table.columns if column.name not in table.key]
    columns = [identifier(name) for name in table.column_names]
    partition_column = PARTITION_COLUMNS.get(table.name)
    required = [column for column in table.columns if column.required]
    pairs = ("held_fresh", "later_version", "winner_staged", "winner_missing")
    return {
        "name": table.name,
        "partition_column": identifier(partition_column) if partition_column else "CAST(NULL AS TIMESTAMP)",
        "target": f"{place}.{identifier(table.name)}",
        "staged": _staged(place, stagings, table.columns),
        "staged_key": _staged(place, stagings, [column for column in table.columns if column.name in table.key]),
        "staged_required": _staged(place, stagings, required),
        "columns": ", ".join(columns),
        "fresh_columns": ", ".join(f"fresh.{name}" for name in columns),
        "fresh": identifier(f"fresh_{table.name}"),
        "fresh_values": ", ".join(f"{name} = fresh.{name}" for name in values),
        "settled_columns": ", ".join(_settled(column) for column in table.columns),
        "key": ", ".join(identifier(name) for name in table.key),
        "lacks_required": " OR ".join(f"{identifier(c.name)} IS NULL" for c in required),
        "any_difference": " OR ".join(_difference(column) for column in table.columns if column.name not in table.key),
        "first_moment": _FIRST_MOMENT,
        "poverty_of_held": _poverty("held"),
        "poverty_of_version": _poverty("version"),
    } | {f"same_key_{pair}": _same_key(table, *pair.split("_")) for pair in pairs}


def _merge(table: Table, names: Mapping[str, str]) -> str:
    settled = _filled(f"settle_{table.name}.sql", **names)
    replaces = _filled(f"replaces_{table.name}.sql", **names)
    in_range = _in_range(table, table.column_names)
    return _filled("merge.sql", settled=settled, replaces=replaces, in_range=in_range, **names)


def _same_key(table: Table, left: str, right: str) -> str:
    return " AND ".join(f"{left}.{identifier(name)} = {right}.{identifier(name)}" for name in table.key)


def _staged(place: str, stagings: Sequence[Staging], columns: Sequence[Column]) -> str:
    """The staged rows of one table as a subquery, whatever the formats of its files."""
    selects = []
    for staging in stagings:
        values = ", ".join(_staged_value(column, staging.file_format) for column in columns)
        selects.append(_filled("staged.sql", values=values, staging=f"{place}.{identifier(staging.name)}"))
    return "(" + " UNION ALL ".join(selects) + ")"


def _staged_value(column: Column, file_format: str) -> str:
    name = identifier(column.name)
    if column.type is not ColumnType.JSON:
        return name
    # JSON's own null is a value in BigQuery, and not the same as having none.
    if file_format == "ndjson":
        return f"IF(TO_JSON_STRING({name}) = 'null', NULL, {name}) AS {name}"
    return f"IF(TRIM({name}) = 'null', NULL, PARSE_JSON({name}, wide_number_mode => 'round')) AS {name}"


def _difference(column: Column) -> str:
    if column.name == VERSION_COLUMN:
        # When a row was brought again is no news: the same row is not written again.
        return "FALSE"
    name = identifier(column.name)
    if column.type is ColumnType.JSON:
        return f"TO_JSON_STRING(held.{name}) IS DISTINCT FROM TO_JSON_STRING(fresh.{name})"
    return f"held.{name} IS DISTINCT FROM fresh.{name}"


def _settled(column: Column) -> str:
    name = identifier(column.name)
    if column.name in _FROM_MISSING:
        return f"IF(missing.status IS NULL, winner.{name}, missing.{name}) AS {name}"
    if column.name in ("oldest_message_time", "newest_message_time"):
        return f"winner.{column.name.partition('_')[0]} AS {name}"
    # A held row may lack what is required: its table was made before there was such a column.
    return f"COALESCE(winner.{name}, staged.{name}) AS {name}" if column.required else f"winner.{name} AS {name}"


def _poverty(row: str) -> str:
    statuses = list(ContentStatus)
    places = " ".join(f"WHEN '{status}' THEN {place}" for place, status in enumerate(statuses, 1))
    return "(" + _filled("poverty.sql", row=row, places=places, worst=str(len(statuses) + 1)) + ")"


def _in_range(table: Table, columns: Collection[str]) -> str:
    if (column := PARTITION_COLUMNS.get(table.name)) not in columns:
        return ""
    begin_and_end = f"{table.name}_begin AND {table.name}_end"
    return f" AND (held.{column} BETWEEN {begin_and_end} OR held.{column} IS NULL)"

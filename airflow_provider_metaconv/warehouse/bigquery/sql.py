"""The SQL files beside, filled in with names that come from ``records`` and from nowhere else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
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
from airflow_provider_metaconv.warehouse.bigquery.load_state import Staging
from airflow_provider_metaconv.warehouse.derived import compared_columns

COLUMN_TYPES = {
    ColumnType.TEXT: "STRING",
    ColumnType.INTEGER: "INTEGER",
    ColumnType.TIMESTAMP: "TIMESTAMP",
    ColumnType.JSON: "JSON",
}

PARTITION_COLUMNS = {"messages": "created_time"}
"""Whose day decides in which partition a row lies; only times that never change are fit for it."""

LOCK_TABLE = "metaconv_load_lock"

_MOMENTS = {
    "first_moment": "TIMESTAMP '0001-01-01 00:00:00+00'",
    "last_moment": "TIMESTAMP '9999-12-31 00:00:00+00'",
}
_LEDGER = ("count_gaps.sql", "close_gaps.sql", "total_conversations.sql")
"""What is derived once all tables are merged, each file from what the ones before it derived."""


def identifier(*names: str) -> str:
    """The names as one quoted SQL path.

    >>> identifier("project", "dataset", "table")
    '`project`.`dataset`.`table`'
    """
    return ".".join(f"`{name}`" for name in names)


def load_script(place: str, staged: Mapping[Table, Sequence[Staging]]) -> str:
    """The script that merges the staged rows of all tables in one transaction and selects what it counted.

    ``place`` is the quoted dataset. The counts are ``<table>_distinct``, ``_incomplete``, ``_updated``, ``_inserted``,
    and ``conversation_gaps_adopted``: gaps that come from rows of earlier releases.
    """
    names = {table.name: _names(place, table, staged.get(table, ())) for table in TABLES}
    targets = {name: each["target"] for name, each in names.items()}
    # Gaps are merged in each load, since rows of earlier releases may become some.
    merged = [table for table in TABLES if table in staged or table == CONVERSATION_GAPS]
    sources = {
        f"source_{table.name}": f"source_{table.name}" if table in merged else names[table.name]["staged"]
        for table in TABLES
    }
    counts = [f"{table.name}_{count}" for table in TABLES for count in _RESULTS] + ["conversation_gaps_adopted"]
    return _filled(
        "load.sql",
        declarations="\n".join(_declarations(table) for table in TABLES),
        staging_stats="\n".join(_filled("staging_stats.sql", **names[table.name]) for table in staged),
        content_status_ranks=_ranks(ContentStatus),
        nothing_incomplete=" AND ".join(f"{table.name}_incomplete = 0" for table in TABLES),
        lock=f"{place}.{identifier(LOCK_TABLE)}",
        # All are deduplicated before the first is merged: gaps of earlier releases are found in conversations.
        dedupes="\n\n".join(
            _filled(
                f"dedupe_{table.name}.sql",
                staged_conversations=names[CONVERSATIONS.name]["staged"],
                **targets,
                **names[table.name],
            )
            for table in merged
        ),
        merges="\n\n".join(_merge(table, names[table.name]) for table in merged),
        ledger="\n\n".join(
            _filled(file, conversation_status_ranks=_ranks(ConversationStatus), **targets, **sources, **_MOMENTS)
            for file in _LEDGER
        ),
        results=", ".join(f"{count} AS {count}" for count in counts),
    )


def missing_script(
    place: str, staged: Mapping[Table, Sequence[Staging]], existing: Mapping[Table, Collection[str]]
) -> str:
    """The script that selects how many of the staged keys each table lacks, by its name.

    ``existing`` are the columns of those tables that are there.
    """
    names = {table: _names(place, table, stagings) for table, stagings in staged.items()}
    declarations = [_declarations(table) for table in names]
    stats = [_filled("staging_stats.sql", **each) for each in names.values()]
    counts = [
        f"({_filled('missing.sql', in_range=_in_range(table, existing[table]), **each)}) AS {table.name}"
        if table in existing
        else f"({_filled('distinct.sql', **each)}) AS {table.name}"
        for table, each in names.items()
    ]
    return "\n".join([*declarations, *stats, f"SELECT {', '.join(counts)};"])


_RESULTS = ("distinct", "incomplete", "updated", "inserted")


@cache
def _template(file_name: str) -> str:
    return files(__package__).joinpath("templates", file_name).read_text("utf-8").rstrip("\n")


def _filled(file_name: str, **names: str) -> str:
    return _template(file_name).format(**names)


def _declarations(table: Table) -> str:
    counts = ", ".join(f"{table.name}_{count}" for count in _RESULTS)
    return f"DECLARE {counts} INT64 DEFAULT 0;\nDECLARE {table.name}_begin, {table.name}_end TIMESTAMP;"


def _names(place: str, table: Table, stagings: Sequence[Staging]) -> dict[str, str]:
    values = [identifier(column.name) for column in table.columns if column.name not in table.key]
    columns = [identifier(name) for name in table.column_names]
    partition_column = PARTITION_COLUMNS.get(table.name)
    required = [column for column in table.columns if column.required]
    return {
        "name": table.name,
        "partition_column": identifier(partition_column) if partition_column else "CAST(NULL AS TIMESTAMP)",
        "target": f"{place}.{identifier(table.name)}",
        "staged": _staged(place, stagings, table.columns),
        "staged_key": _staged(place, stagings, [column for column in table.columns if column.name in table.key]),
        "staged_required": _staged(place, stagings, required),
        "columns": ", ".join(columns),
        "source_columns": ", ".join(f"source.{name}" for name in columns),
        "source_values": ", ".join(f"{name} = source.{name}" for name in values),
        "key": ", ".join(identifier(name) for name in table.key),
        "same_key": " AND ".join(f"target.{identifier(name)} = source.{identifier(name)}" for name in table.key),
        "lacks_required": " OR ".join(f"{identifier(c.name)} IS NULL" for c in required),
        "any_difference": " OR ".join(_difference(column) for column in compared_columns(table)),
        **_MOMENTS,
    }


def _merge(table: Table, names: Mapping[str, str]) -> str:
    in_range = _in_range(table, table.column_names)
    files = ("count_inserted.sql", f"merge_{table.name}.sql")
    return "\n\n".join(_filled(file, in_range=in_range, **names) for file in files)


def _staged(place: str, stagings: Sequence[Staging], columns: Sequence[Column]) -> str:
    """The staged rows of one table as a subquery, whatever the formats of its files; without files it has no row."""
    selects = []
    for staging in stagings:
        values = ", ".join(_staged_value(column, staging.file_format) for column in columns)
        selects.append(f"SELECT {values} FROM {place}.{identifier(staging.name)}")  # noqa: S608 (names of ours alone)
    if not selects:
        nulls = (f"CAST(NULL AS {COLUMN_TYPES[column.type]}) AS {identifier(column.name)}" for column in columns)
        selects.append(f"SELECT {', '.join(nulls)} LIMIT 0")
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
    name = identifier(column.name)
    if column.type is ColumnType.JSON:
        return f"TO_JSON_STRING(target.{name}) IS DISTINCT FROM TO_JSON_STRING(source.{name})"
    return f"target.{name} IS DISTINCT FROM source.{name}"


def _ranks(statuses: Iterable[str]) -> str:
    """The statuses as branches of a ``CASE``, from 1 on; any other comes after them."""
    ranks = [f"WHEN '{status}' THEN {rank}" for rank, status in enumerate(statuses, 1)]
    return f"{' '.join(ranks)} ELSE {len(ranks) + 1}"


def _in_range(table: Table, columns: Collection[str]) -> str:
    if (column := PARTITION_COLUMNS.get(table.name)) not in columns:
        return ""
    begin_and_end = f"{table.name}_begin AND {table.name}_end"
    return f" AND (target.{column} BETWEEN {begin_and_end} OR target.{column} IS NULL)"

"""Scripts for BigQuery: the templates, rendered for one dataset and the staging tables of one load."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.privacy.traces import TRACES
from airflow_provider_metaconv.schema import (
    CONVERSATION_GAPS,
    CONVERSATIONS,
    EXTRACTION_WINDOWS,
    MESSAGES,
    TABLES,
    Column,
    ColumnType,
    ContentStatus,
    ConversationStatus,
    Table,
)
from airflow_provider_metaconv.warehouse.bigquery.load_state import Staging
from airflow_provider_metaconv.warehouse.derived import TOUCHING
from airflow_provider_metaconv.warehouse.table_sql import TableSql, erased_rows, render
from airflow_provider_metaconv.warehouse.view_options import ViewOptions
from airflow_provider_metaconv.warehouse.views import VIEWS, View, digest, template_values

COLUMN_TYPES = {
    ColumnType.TEXT: "STRING",
    ColumnType.INTEGER: "INTEGER",
    ColumnType.BOOLEAN: "BOOLEAN",
    ColumnType.TIMESTAMP: "TIMESTAMP",
    ColumnType.JSON: "JSON",
}

PARTITION_COLUMNS = {"messages": "created_time"}
"""The column whose day is a row's partition. Only a time that never changes is suitable."""

LOCK_TABLE = "metaconv_load_lock"

_MOMENTS = {
    "first_moment": "TIMESTAMP '0001-01-01 00:00:00+00'",
    "last_moment": "TIMESTAMP '9999-12-31 00:00:00+00'",
}


def identifier(*names: str) -> str:
    """Return the names as one quoted SQL path.

    >>> identifier("project", "dataset", "table")
    '`project`.`dataset`.`table`'
    """
    return ".".join(f"`{name}`" for name in names)


def load_script(dataset: str, staged: Mapping[Table, Sequence[Staging]], *, mixes_policies: bool = False) -> str:
    """Return the script that merges the staged rows of all tables in one transaction and selects its counts.

    ``dataset`` is quoted. The counts are ``<table>_distinct``, ``_incomplete``, ``_updated``, ``_inserted``, and
    ``conversation_gaps_adopted``: the number of gaps derived from rows of earlier releases. Nothing is merged if
    ``conflicting_policies``, the privacy policies of tables and files, are several, unless it ``mixes_policies``.
    """
    # Gaps are merged in every load, because rows of earlier releases may become gaps.
    merged = [table for table in TABLES if table in staged or table == CONVERSATION_GAPS]
    tables = {table: _table_sql(dataset, table, staged.get(table, ()), table in merged) for table in TABLES}
    return render(
        __package__,
        "load.sql",
        tables=list(tables.values()),
        staged=[tables[table] for table in staged],
        merged=[tables[table] for table in merged],
        lock=f"{dataset}.{identifier(LOCK_TABLE)}",
        mixes_policies=mixes_policies,
        content_status_ranks=_ranks(ContentStatus),
        conversation_status_ranks=_ranks(ConversationStatus),
        **_MOMENTS,
        **{table.name: sql for table, sql in tables.items()},
    )


def missing_script(
    dataset: str, staged: Mapping[Table, Sequence[Staging]], existing: Mapping[Table, Collection[str]]
) -> str:
    """Return the script that counts the staged keys that each table lacks, by table name.

    ``existing`` holds the columns of the tables that exist.
    """
    tables = [
        _table_sql(dataset, table, stagings, is_merged=False, columns=existing.get(table, ()))
        for table, stagings in staged.items()
    ]
    return render(__package__, "missing.sql", tables=tables, existing=existing)


def erasure_script(
    template: str,
    dataset: str,
    scope: Scope,
    existing: Mapping[Table, Collection[str]] | None = None,
    table: Table = MESSAGES,
) -> str:
    """Render a template of an erasure. Its parameters ``erased_people`` and ``erased_conversations`` are lists of IDs.

    ``existing`` holds the columns of the tables that exist, by default those of the schema. ``erased`` is the condition
    of a table's rows to delete, ``traces`` that of rows with traces to remove, and ``found`` of both.
    """
    existing = {each: each.column_names for each in TABLES} if existing is None else existing
    # Variables in the script that erases, because a transaction's steps use them many times.
    at = "" if template == "erase.sql" else "@"
    holds = {name: f"names_one({name}, {at}erased_people)" for name in ("recipients", "participants")}
    holds["reactions"] = f"has_reaction_of_one(reactions, {at}erased_people)"
    holds["extra"] = f"mentions_one(extra, {at}erased_people)"
    is_person = {name: f"{name} IN UNNEST({at}erased_people)" for name in ("sender_id", "user_id")}
    in_conversation = f"conversation_id IN UNNEST({at}erased_conversations)"
    erased = erased_rows(scope, in_conversation, is_person, holds)
    # Tables of an earlier release lack a column until they are loaded or erased from.
    held = {each: existing.get(each, each.column_names) for each in TABLES}
    traces = {each: [holds[name] for name in TRACES.get(each, ()) if name in held[each]] for each in TABLES}
    conversations_of = {
        MESSAGES: [is_person["sender_id"], holds["recipients"]],
        CONVERSATIONS: [holds["participants"]],
        CONVERSATION_GAPS: [is_person["user_id"]],
    }
    # TO_JSON_STRING alone would turn NULL into the text null.
    texts = {name: f"IF({name} IS NULL, NULL, TO_JSON_STRING({name}))" for name in holds}
    tables = {each: _table_sql(dataset, each, (), is_merged=True) for each in TABLES}
    windows = existing.get(EXTRACTION_WINDOWS, ())
    return render(
        __package__,
        template,
        tables=list(tables.values()),
        table=tables[table],
        existing=existing,
        erased={each.name: " OR ".join(conditions) for each, conditions in erased.items()},
        traces={each.name: " OR ".join(conditions) for each, conditions in traces.items()},
        found={each.name: " OR ".join([*erased[each], *traces[each]]) for each in TABLES},
        touching={each.name: ", ".join(columns) for each, columns in TOUCHING.items()},
        conversations_of={each: " OR ".join(conditions) for each, conditions in conversations_of.items()},
        traced=TRACES.get(table, ()),
        text_of=texts,
        # In place of the value itself, because the history of jobs keeps the parameters of a query.
        digest_of={name: f"TO_HEX(SHA256({text}))" for name, text in texts.items()},
        traces_of=TRACES,
        policy="privacy_policy" if "privacy_policy" in windows else "CAST(NULL AS STRING)",
        key_id="privacy_key_id" if "privacy_key_id" in windows else "CAST(NULL AS STRING)",
        lock=f"{dataset}.{identifier(LOCK_TABLE)}",
        conversation_status_ranks=_ranks(ConversationStatus),
        **_MOMENTS,
        **{each.name: sql for each, sql in tables.items()},
    )


def retention_script(dataset: str) -> str:
    """Return the script that deletes messages before its parameter ``cutoff`` in one transaction.

    It selects the number of deleted rows, by table name.
    """
    tables = {each: _table_sql(dataset, each, (), is_merged=True) for each in TABLES}
    return render(
        __package__,
        "remove_old.sql",
        tables=list(tables.values()),
        touching={each.name: ", ".join(columns) for each, columns in TOUCHING.items()},
        lock=f"{dataset}.{identifier(LOCK_TABLE)}",
        conversation_status_ranks=_ranks(ConversationStatus),
        **_MOMENTS,
        **{each.name: sql for each, sql in tables.items()},
    )


def view_definition(view: View, dataset: str, options: ViewOptions) -> str:
    """Return the fingerprint of a view's definition."""
    return digest(view_statement(view, dataset, options, {}))


def view_statement(view: View, dataset: str, options: ViewOptions, labels: Mapping[str, str]) -> str:
    """Return the statement that creates or replaces a view; ``dataset`` is quoted."""
    zone = f"'{options.time_zone}'"
    return render(
        __package__,
        view.template,
        view=f"{dataset}.{identifier(view.name)}",
        views={each.name: f"{dataset}.{identifier(each.name)}" for each in VIEWS},
        description=f"'{view.description}'",
        labels=", ".join(f"('{key}', '{value}')" for key, value in labels.items()),
        time_zone=zone,
        local_date=lambda time: f"DATE({time}, {zone})",
        **_MOMENTS,
        **template_values(options),
        **{table.name: _table_sql(dataset, table, (), is_merged=True) for table in TABLES},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _BigQueryTableSql(TableSql):
    """The parts of a table that only the BigQuery templates use. Every property is a SQL fragment."""

    dataset: str
    stagings: Sequence[Staging]
    in_range: str

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def staged(self) -> str:
        return _staged(self.dataset, self.stagings, self.table.columns)

    @property
    def staged_key(self) -> str:
        key = [column for column in self.table.columns if column.name in self.table.key]
        return _staged(self.dataset, self.stagings, key)

    @property
    def staged_required(self) -> str:
        return _staged(self.dataset, self.stagings, [each for each in self.table.columns if each.required])

    @property
    def lacks_required(self) -> str:
        return " OR ".join(f"{identifier(each.name)} IS NULL" for each in self.table.columns if each.required)

    @property
    def partition_column(self) -> str:
        column = PARTITION_COLUMNS.get(self.table.name)
        return identifier(column) if column else "CAST(NULL AS TIMESTAMP)"


def _table_sql(
    dataset: str,
    table: Table,
    stagings: Sequence[Staging],
    is_merged: bool,
    columns: Collection[str] | None = None,
) -> _BigQueryTableSql:
    return _BigQueryTableSql(
        table=table,
        target=f"{dataset}.{identifier(table.name)}",
        source=f"source_{table.name}" if is_merged else _staged(dataset, stagings, table.columns),
        quoted=identifier,
        comparable=_comparable,
        dataset=dataset,
        stagings=stagings,
        in_range=_in_range(table, table.column_names if columns is None else columns),
    )


def _staged(dataset: str, stagings: Sequence[Staging], columns: Sequence[Column]) -> str:
    """Return a subquery of the table's staged rows in all formats. Without files, it selects no rows."""
    selects = []
    for staging in stagings:
        values = ", ".join(_staged_value(column, staging.file_format) for column in columns)
        selects.append(f"SELECT {values} FROM {dataset}.{identifier(staging.name)}")  # noqa: S608 (names of ours alone)
    if not selects:
        nulls = (f"CAST(NULL AS {COLUMN_TYPES[column.type]}) AS {identifier(column.name)}" for column in columns)
        selects.append(f"SELECT {', '.join(nulls)} LIMIT 0")
    return "(" + " UNION ALL ".join(selects) + ")"


def _staged_value(column: Column, file_format: str) -> str:
    name = identifier(column.name)
    if column.type is not ColumnType.JSON:
        return name
    # A JSON null is a value in BigQuery, distinct from SQL NULL.
    if file_format == "ndjson":
        return f"IF(TO_JSON_STRING({name}) = 'null', NULL, {name}) AS {name}"
    return f"IF(TRIM({name}) = 'null', NULL, PARSE_JSON({name}, wide_number_mode => 'round')) AS {name}"


def _comparable(column: Column, expression: str) -> str:
    return f"TO_JSON_STRING({expression})" if column.type is ColumnType.JSON else expression


def _ranks(statuses: Iterable[str]) -> str:
    """Return the statuses as branches of a ``CASE``, ranked from 1; any other value ranks last."""
    ranks = [f"WHEN '{status}' THEN {rank}" for rank, status in enumerate(statuses, 1)]
    return f"{' '.join(ranks)} ELSE {len(ranks) + 1}"


def _in_range(table: Table, columns: Collection[str]) -> str:
    if (column := PARTITION_COLUMNS.get(table.name)) not in columns:
        return ""
    begin_and_end = f"{table.name}_begin AND {table.name}_end"
    return f" AND (target.{column} BETWEEN {begin_and_end} OR target.{column} IS NULL)"

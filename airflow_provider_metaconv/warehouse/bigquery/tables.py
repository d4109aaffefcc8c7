"""The dataset and its tables: created if missing, and extended with columns that were added to the schema later."""

from __future__ import annotations

from datetime import timedelta

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.bigquery import Dataset, SchemaField, TimePartitioning
from google.cloud.bigquery import Table as BigQueryTable

from airflow_provider_metaconv.schema import MESSAGES, TABLES, Column, Table
from airflow_provider_metaconv.warehouse.bigquery.connection import LABELS, Connection
from airflow_provider_metaconv.warehouse.bigquery.sql import COLUMN_TYPES, PARTITION_COLUMNS
from airflow_provider_metaconv.warehouse.errors import SchemaConflictError, WarehouseBusyError, WarehouseRefusedError

_CLUSTERING = ("page_id", "platform", "conversation_id")
_DEFAULT_TIME_TRAVEL_HOURS = 168
_EXPIRES_LATER = timedelta(days=2)
"""One day because BigQuery counts from a day's first moment, one so that a run across midnight finds its rows."""

_TYPE_ALIASES = {"INT64": "INTEGER", "BOOL": "BOOLEAN"}
_ATTEMPTS_TO_ADD = 5


def dataset_location(connection: Connection, location: str | None, create: bool) -> str:
    """Return the dataset's location. A missing dataset is created in ``location`` if ``create`` is set.

    Raises ``WarehouseRefusedError`` if the dataset is missing, or is in another location.
    """
    client, retry, timeout = connection.client, connection.retry, connection.seconds_per_answer
    try:
        dataset = client.get_dataset(connection.dataset, retry=retry, timeout=timeout)
    except NotFound:
        if not create:
            raise WarehouseRefusedError(
                f"dataset {connection.name} does not exist: create it, set create_tables, or check its name"
            ) from None
        wanted = Dataset(connection.dataset)
        wanted.location = location or client.location
        dataset = client.create_dataset(wanted, exists_ok=True, retry=retry, timeout=timeout)
    found = str(dataset.location or "US")
    if location is not None and location.upper() != found.upper():
        raise WarehouseRefusedError(f"dataset {connection.name} is in {found}, not in {location}: remove location")
    return found


def time_travel(connection: Connection) -> timedelta:
    """Return how long the dataset shows deleted rows to queries of its past."""
    dataset = connection.client.get_dataset(
        connection.dataset, retry=connection.retry, timeout=connection.seconds_per_answer
    )
    return timedelta(hours=int(dataset.max_time_travel_hours or _DEFAULT_TIME_TRAVEL_HOURS))


def ensure_tables(connection: Connection, create: bool, partition_expiration: timedelta | None) -> None:
    """Create the tables, or add the columns they lack.

    Raises ``SchemaConflictError``, before it changes anything, if a table cannot hold what the schema declares, and
    ``WarehouseRefusedError`` if a table is missing and ``create`` is not set.
    """
    existing = {table: existing_table(connection, table) for table in TABLES}
    for table, held in existing.items():
        if held is None and not create:
            raise WarehouseRefusedError(
                f"table {connection.name}.{table.name} does not exist: create it, or set create_tables"
            )
    for table, held in existing.items():
        if held is None:
            _make(connection, table, partition_expiration)
        else:
            _add_columns(connection, table, held)


def existing_table(connection: Connection, table: Table) -> BigQueryTable | None:
    """Return the table, or None if it does not exist; raises ``SchemaConflictError`` as ``ensure_tables`` does."""
    try:
        held = connection.client.get_table(
            connection.table(table.name), retry=connection.retry, timeout=connection.seconds_per_answer
        )
    except NotFound:
        return None
    _check(table, held, f"{connection.name}.{table.name}")
    return held


def existing_columns(connection: Connection) -> dict[Table, frozenset[str]]:
    """Return the column names of the tables that exist; raises as ``existing_table`` does."""
    tables = {table: existing_table(connection, table) for table in TABLES}
    return {
        table: frozenset(each.name.lower() for each in held.schema)
        for table, held in tables.items()
        if held is not None
    }


def expire_partitions(connection: Connection, retention: timedelta) -> bool:
    """Let BigQuery drop each day of messages by itself, a day after all of it is older than ``retention``.

    Returns False, and changes nothing, if the table is not partitioned by the day of the messages.
    """
    for _ in range(_ATTEMPTS_TO_ADD):
        held = existing_table(connection, MESSAGES)
        partitions = None if held is None else held.time_partitioning
        if held is None or partitions is None:
            return False
        if (partitions.type_, partitions.field) != ("DAY", PARTITION_COLUMNS[MESSAGES.name]):
            return False
        milliseconds = _milliseconds(retention + _EXPIRES_LATER)
        if partitions.expiration_ms == milliseconds:
            return True
        partitions.expiration_ms = milliseconds
        held.time_partitioning = partitions
        try:
            connection.client.update_table(
                held, ["time_partitioning"], retry=connection.retry, timeout=connection.seconds_per_answer
            )
        except PreconditionFailed:
            continue
        return True
    raise _keeps_changing(connection, MESSAGES)


def field(column: Column, required: bool) -> SchemaField:
    """Return the column as a BigQuery schema field."""
    mode = "REQUIRED" if required else "NULLABLE"
    return SchemaField(column.name, COLUMN_TYPES[column.type], mode, description=column.description)


def _make(connection: Connection, table: Table, partition_expiration: timedelta | None) -> None:
    wanted = BigQueryTable(connection.table(table.name), [field(column, column.required) for column in table.columns])
    wanted.description = table.description
    wanted.labels = LABELS
    wanted.clustering_fields = [name for name in _CLUSTERING if name in table.column_names]
    if (partition_column := PARTITION_COLUMNS.get(table.name)) is not None:
        expiration = None if partition_expiration is None else _milliseconds(partition_expiration)
        wanted.time_partitioning = TimePartitioning("DAY", field=partition_column, expiration_ms=expiration)
    made = connection.client.create_table(
        wanted, exists_ok=True, retry=connection.retry, timeout=connection.seconds_per_answer
    )
    _remove_inherited_expiration(connection, made, wanted)


def _remove_inherited_expiration(connection: Connection, made: BigQueryTable, wanted: BigQueryTable) -> None:
    """Remove the expiration that a dataset's defaults may set on new tables: it would silently delete rows."""
    inherited = []
    if made.expires is not None:
        made.expires = None
        inherited.append("expires")
    partitions, found = wanted.time_partitioning, made.time_partitioning
    if partitions is not None and found is not None and found.expiration_ms != partitions.expiration_ms:
        made.time_partitioning = partitions
        inherited.append("time_partitioning")
    if inherited:
        connection.client.update_table(made, inherited, retry=connection.retry, timeout=connection.seconds_per_answer)


def _add_columns(connection: Connection, table: Table, held: BigQueryTable | None) -> None:
    for _ in range(_ATTEMPTS_TO_ADD):
        names = {each.name.lower() for each in held.schema} if held else set()
        lacking = [column for column in table.columns if column.name not in names]
        if held is None or not lacking:
            return
        # Not REQUIRED: existing rows have no value until they are loaded again.
        held.schema = [*held.schema, *(field(column, required=False) for column in lacking)]
        try:
            connection.client.update_table(
                held, ["schema"], retry=connection.retry, timeout=connection.seconds_per_answer
            )
        except PreconditionFailed:
            held = existing_table(connection, table)
        else:
            return
    raise _keeps_changing(connection, table)


def _keeps_changing(connection: Connection, table: Table) -> WarehouseBusyError:
    return WarehouseBusyError(f"table {connection.name}.{table.name} keeps changing: let the task retry")


def _milliseconds(time: timedelta) -> int:
    return round(time.total_seconds() * 1000)


def _check(table: Table, held: BigQueryTable, place: str) -> None:
    if held.table_type != "TABLE":
        kind = str(held.table_type).lower().replace("_", " ")
        raise SchemaConflictError(f"{place} is a {kind}, not a table: rename it, or load into another dataset")
    columns = {column.name: column for column in table.columns}
    for found in held.schema:
        _check_field(columns.get(found.name.lower()), found, place)


def _check_field(column: Column | None, found: SchemaField, place: str) -> None:
    if found.mode == "REQUIRED" and (column is None or not column.required):
        raise SchemaConflictError(
            f"column {found.name} of {place} is REQUIRED, but not every row has a value: make it NULLABLE"
        )
    if column is None:
        return
    kind = _TYPE_ALIASES.get(found.field_type, found.field_type)
    kind = f"REPEATED {kind}" if found.mode == "REPEATED" else kind
    wanted = COLUMN_TYPES[column.type]
    if kind != wanted:
        raise SchemaConflictError(
            f"column {column.name} of {place} has type {kind}, must be {wanted}: "
            "rename or convert that column, or load into another dataset"
        )

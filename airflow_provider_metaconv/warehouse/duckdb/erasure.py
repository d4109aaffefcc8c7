"""Erasure of people from the tables, in the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING

from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.privacy.traces import TRACES, without_people
from airflow_provider_metaconv.schema import TABLES, Table
from airflow_provider_metaconv.warehouse.duckdb.sql import LEDGER_STEPS, erasure_statements, load_statements
from airflow_provider_metaconv.warehouse.duckdb.staging import drop_staging
from airflow_provider_metaconv.warehouse.duckdb.tables import ensure_table, existing_columns

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class Erasure:
    """People, and the conversations to delete with them, in the tables of one schema.

    Whoever calls a method has begun a transaction, in which missing tables and columns are created.
    """

    def __init__(
        self,
        connection: DuckDBPyConnection,
        schema: str,
        people: Collection[str],
        conversations: Collection[str] = (),
        scope: Scope = Scope.CONVERSATION,
    ) -> None:
        self._connection, self._schema, self._scope = connection, schema, Scope(scope)
        # An empty ID is that of everybody's windows, and no person's.
        self._people = frozenset(people) - {""}
        deleted = frozenset(conversations) - {""} if self._scope is Scope.CONVERSATION else frozenset()
        for table in TABLES:
            ensure_table(connection, table, schema)
        for variable, ids in (("erased_people", self._people), ("erased_conversations", deleted)):
            connection.execute(f"SET VARIABLE {variable} = $ids::VARCHAR[]", {"ids": sorted(ids)})

    def counts(self) -> dict[str, int]:
        """Return how many rows have to be deleted or changed, by table name."""
        row = self._connection.execute(self._sql("erasure_counts.sql")).fetchone()
        return {table.name: count for table, count in zip(TABLES, row or (), strict=True)}

    def conversations(self) -> frozenset[str]:
        """Return the IDs of the conversations of these people."""
        return frozenset(
            name for (name,) in self._connection.execute(self._sql("erasure_conversations.sql")).fetchall()
        )

    def policies(self) -> frozenset[tuple[str, str]]:
        """Return the privacy policies of all windows, each with its key's fingerprint, or "" without one."""
        return frozenset(self._connection.execute(self._sql("window_policies.sql")).fetchall())

    def run(self) -> None:
        """Delete the rows, remove the people from those that stay, and derive counts, statuses and times again."""
        self._connection.execute(self._sql("erase_rows.sql"))
        for table, columns in TRACES.items():
            self._remove_traces(table, columns)
        self._connection.execute(self._sql("erase_time_ranges.sql"))
        for template in LEDGER_STEPS:
            self._connection.execute(load_statements(template, self._schema))
        for table in TABLES:
            drop_staging(self._connection, table)

    def _remove_traces(self, table: Table, columns: tuple[str, ...]) -> None:
        found = self._connection.execute(self._sql("erasure_traces.sql", table)).fetchall()
        numbers = [number for number, *_ in found]
        changed = {
            name: [self._without_people(values[place]) for _, *values in found] for place, name in enumerate(columns)
        }
        unnested = ", ".join(f"unnest(${name}::VARCHAR[]) AS {name}" for name in columns)
        self._connection.execute(
            f"CREATE OR REPLACE TEMP TABLE changed_row AS SELECT unnest($numbers::BIGINT[]) AS row_number, {unnested}",
            {"numbers": numbers, **changed},
        )
        self._connection.execute(self._sql("erase_traces.sql", table))
        self._connection.execute("DROP TABLE changed_row")

    def _without_people(self, text: str | None) -> str | None:
        if text is None:
            return None
        value = json.loads(text)
        left = without_people(value, self._people)
        if left == value:
            return text
        return None if left is None else json.dumps(left, separators=(",", ":"))

    def _sql(self, template: str, table: Table = TABLES[0]) -> str:
        return erasure_statements(template, self._schema, self._scope, table)


def has_tables(connection: DuckDBPyConnection, schema: str) -> bool:
    """Whether one of the tables exists."""
    return any(existing_columns(connection, table, schema) for table in TABLES)

"""Erasure of people from the tables: one script in one transaction, retried if a concurrent load was faster."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast

from google.api_core.exceptions import Conflict
from google.cloud.bigquery import ArrayQueryParameter, QueryJob, ScalarQueryParameter

from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.privacy.traces import TRACES, without_people
from airflow_provider_metaconv.schema import TABLES, Table
from airflow_provider_metaconv.warehouse.bigquery.connection import Connection
from airflow_provider_metaconv.warehouse.bigquery.errors import is_concurrent_update
from airflow_provider_metaconv.warehouse.bigquery.jobs import cancel_all, get_job, raise_if_failed, wait
from airflow_provider_metaconv.warehouse.bigquery.load_state import JobReference
from airflow_provider_metaconv.warehouse.bigquery.merge import AnyParameter, pause_after_conflict, run_script, selected
from airflow_provider_metaconv.warehouse.bigquery.sql import erasure_script

LARGEST_REQUEST = 4_000_000
"""In characters of changed rows. BigQuery refuses a request of 10 MB."""

Change = dict[str, str | None]


class Erasure:
    """People, and the conversations to delete with them, in the tables of one dataset.

    ``existing`` holds the columns of the tables that exist.
    """

    def __init__(
        self,
        connection: Connection,
        location: str,
        existing: Mapping[Table, Collection[str]],
        people: Collection[str],
        conversations: Collection[str] = (),
        scope: Scope = Scope.CONVERSATION,
    ) -> None:
        self._connection, self._location, self._existing = connection, location, existing
        self._scope = Scope(scope)
        # An empty ID is that of everybody's windows, and no person's.
        self._people = sorted(frozenset(people) - {""})
        deletes_more = self._scope is Scope.CONVERSATION
        self._conversations = sorted(frozenset(conversations) - {""}) if deletes_more else []

    def policies(self) -> frozenset[tuple[str, str]]:
        """Return the privacy policies of all windows, each with its key's fingerprint, or "" without one."""
        return frozenset((row["privacy_policy"], row["privacy_key_id"]) for row in self._rows("window_policies.sql"))

    def conversations(self) -> frozenset[str]:
        """Return the IDs of the conversations of these people."""
        return frozenset(row["conversation_id"] for row in self._rows("erasure_conversations.sql"))

    def counts(self) -> dict[str, int]:
        """Return how many rows have to be deleted or changed, by table name."""
        [row] = self._rows("erasure_counts.sql")
        return {table.name: row[table.name] for table in TABLES}

    def run(self) -> dict[str, int]:
        """Erase, and return how many rows were deleted or changed, by table name.

        Rows that stay are read first, and changed only if they are still the same then; otherwise it starts again. If
        they do not fit into one request, the first of them are changed in transactions of their own.
        """
        tries = 0
        while True:
            tries += 1
            *first, last = _requests({table: list(self.changes_of(table)) for table in TRACES})
            begun = [self._erase([], [], changes) for changes in first]
            counts = self._erase(self._people, self._conversations, last)
            if counts is not None and None not in begun:
                for changes in first:
                    counts = {name: count + len(changes.get(name, ())) for name, count in counts.items()}
                return counts
            pause_after_conflict(self._connection, tries)

    def changes_of(self, table: Table) -> Iterator[Change]:
        """Yield the rows of a table that stay without these people, as they are and as they will be."""
        for row in self._rows("erasure_traces.sql", table):
            change = {name: row[name] for name in ("platform", "page_id", "id")}
            for name in TRACES[table]:
                change |= {name: self._without_people(row[name]), f"{name}_before": row[f"{name}_before"]}
            yield change

    def _without_people(self, text: str | None) -> str | None:
        value = None if text is None else json.loads(text)
        left = without_people(value, self._people)
        return None if left is None else text if left == value else json.dumps(left)

    def _erase(
        self, people: list[str], conversations: list[str], changes: Mapping[str, list[Change]]
    ) -> dict[str, int] | None:
        """Send the script; returns None if a load changed the tables at the same time, and nothing was erased."""
        texts = [
            ScalarQueryParameter(f"{t.name}_changes", "STRING", json.dumps(changes.get(t.name, []))) for t in TRACES
        ]
        parameters = [*_lists(people, conversations), *texts]
        job = self._job("erase.sql", parameters=parameters)
        if is_concurrent_update(job.error_result):
            return None
        raise_if_failed(self._connection, job)
        row = selected(self._connection, job)
        return {table.name: row[table.name] for table in TABLES} if row["is_erased"] else None

    def _rows(self, template: str, table: Table = TABLES[0]) -> list[dict[str, Any]]:
        job = self._job(template, table, _lists(self._people, self._conversations))
        raise_if_failed(self._connection, job)
        found = job.result(retry=self._connection.retry, timeout=self._connection.seconds_per_answer, job_retry=None)
        return [dict(row.items()) for row in found]

    def _job(self, template: str, table: Table = TABLES[0], parameters: list[AnyParameter] | None = None) -> QueryJob:
        script = erasure_script(template, self._connection.quoted, self._scope, self._existing, table)
        return run_to_end(self._connection, self._location, script, "erase", parameters or [])


def run_to_end(
    connection: Connection, location: str, script: str, purpose: str, parameters: list[AnyParameter]
) -> QueryJob:
    """Run a script to its end, and cancel it if this task is killed meanwhile. The job may have failed."""
    job_id = f"metaconv_{purpose}_{uuid.uuid4().hex}"
    try:
        job = _sent(connection, location, script, job_id, parameters)
        wait(connection, job)
    except Exception:  # not only one of a killed task
        raise
    except BaseException:
        cancel_all(connection, [JobReference(str(connection.client.project), location, job_id)])
        raise
    return job


def _sent(connection: Connection, location: str, script: str, job_id: str, parameters: list[AnyParameter]) -> QueryJob:
    try:
        return run_script(connection, script, job_id, location, parameters)
    except Conflict:
        # The response to the first request was lost.
        return cast(QueryJob, get_job(connection, job_id, location))


def _lists(people: list[str], conversations: list[str]) -> list[AnyParameter]:
    lists = {"erased_people": people, "erased_conversations": conversations}
    return [ArrayQueryParameter(name, "STRING", ids) for name, ids in lists.items()]


def _requests(changes: Mapping[Table, list[Change]]) -> list[dict[str, list[Change]]]:
    """Return the changes by table name, in at least one group, each small enough for one request."""
    groups: list[dict[str, list[Change]]] = [{}]
    size = 0
    for table, of_table in changes.items():
        for change in of_table:
            length = len(json.dumps(change))
            if size and size + length > LARGEST_REQUEST:
                groups.append({})
                size = 0
            size += length
            groups[-1].setdefault(table.name, []).append(change)
    return groups

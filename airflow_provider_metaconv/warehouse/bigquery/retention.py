"""Removal of old messages from the tables: one script in one transaction, retried if a concurrent load was faster."""

from __future__ import annotations

from datetime import datetime

from google.cloud.bigquery import ScalarQueryParameter

from airflow_provider_metaconv.warehouse.bigquery.connection import Connection
from airflow_provider_metaconv.warehouse.bigquery.erasure import run_to_end
from airflow_provider_metaconv.warehouse.bigquery.errors import is_concurrent_update
from airflow_provider_metaconv.warehouse.bigquery.jobs import raise_if_failed
from airflow_provider_metaconv.warehouse.bigquery.merge import AnyParameter, pause_after_conflict, selected
from airflow_provider_metaconv.warehouse.bigquery.sql import retention_script


def remove_old(connection: Connection, location: str, cutoff: datetime) -> dict[str, int]:
    """Delete messages before ``cutoff`` and what only they concern; returns the number of rows, by table name."""
    script = retention_script(connection.quoted)
    parameters: list[AnyParameter] = [ScalarQueryParameter("cutoff", "TIMESTAMP", cutoff)]
    tries = 0
    while True:
        tries += 1
        job = run_to_end(connection, location, script, "retention", parameters)
        if not is_concurrent_update(job.error_result):
            raise_if_failed(connection, job)
            return selected(connection, job)
        pause_after_conflict(connection, tries)

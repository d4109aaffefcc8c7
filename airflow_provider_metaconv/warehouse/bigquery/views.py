"""The analytics views in BigQuery: created, or replaced if their definition has changed, with one job at most."""

from __future__ import annotations

import uuid

from google.api_core.exceptions import NotFound

from airflow_provider_metaconv.warehouse.bigquery.connection import LABELS, Connection
from airflow_provider_metaconv.warehouse.bigquery.jobs import raise_if_failed, wait
from airflow_provider_metaconv.warehouse.bigquery.merge import run_script
from airflow_provider_metaconv.warehouse.bigquery.sql import view_definition, view_statement
from airflow_provider_metaconv.warehouse.errors import SchemaConflictError
from airflow_provider_metaconv.warehouse.view_options import ViewOptions
from airflow_provider_metaconv.warehouse.views import VIEWS, View, taken_error


def ensure_views(connection: Connection, location: str, options: ViewOptions) -> None:
    """Create the views, or replace those whose definition has changed. Without a change, no job is sent.

    The tables must exist. Raises ``SchemaConflictError`` if a table, or somebody else's view, has a view's name.
    """
    labels = {view: LABELS | {"definition": view_definition(view, connection.quoted, options)} for view in VIEWS}
    existing = {view: _existing_labels(connection, view) for view in VIEWS}
    changed = [view for view in VIEWS if existing[view] != labels[view]]
    if not changed:
        return
    script = "\n".join(view_statement(view, connection.quoted, options, labels[view]) for view in changed)
    job = run_script(connection, script, f"metaconv_views_{uuid.uuid4().hex}", location)
    wait(connection, job)
    raise_if_failed(connection, job)


def _existing_labels(connection: Connection, view: View) -> dict[str, str]:
    """Return the labels of a view of this provider; empty if it does not exist."""
    try:
        held = connection.client.get_table(
            connection.table(view.name), retry=connection.retry, timeout=connection.seconds_per_answer
        )
    except NotFound:
        return {}
    labels = dict(held.labels)
    if held.table_type != "VIEW" or labels.get("source") != LABELS["source"]:
        kind = str(held.table_type).lower().replace("_", " ")
        raise SchemaConflictError(taken_error(f"{connection.name}.{view.name}", kind))
    return labels

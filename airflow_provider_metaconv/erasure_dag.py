"""A function that creates the DAG that erases a person: what would be erased is shown, somebody approves, then it is.

from airflow_provider_metaconv.erasure_dag import meta_erasure_dag

meta_erasure_dag(destination="/data/conversations", warehouse="duckdb:///data/conversations.duckdb")
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param, task

from airflow_provider_metaconv.dag import START_DATE, stored_variable
from airflow_provider_metaconv.dag_settings import (
    ALL_PAGES,
    SettingsError,
    argument_settings,
    merged_settings,
    variable_settings,
)
from airflow_provider_metaconv.dag_warehouses import parse_warehouse
from airflow_provider_metaconv.hooks.google_cloud import GCP_CONN_ID
from airflow_provider_metaconv.hooks.meta_graph import MetaGraphHook
from airflow_provider_metaconv.operators.erase import MetaErasePersonOperator
from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.schema import PLATFORMS

DESCRIPTION = """\
Erases a person from the files and tables of `meta_conversations`, and keeps later runs from bringing them back.

Trigger it with the param `person_id`: the Page-scoped or Instagram-scoped ID, as in `sender_id` and `participants`.
The task `approve` shows how many rows would go, and waits for somebody to approve.

Afterwards delete this run: its params hold the ID.
"""

SUBJECT = "Erase this person?"
BODY = """\
Approve to erase them from {destination}. This would remove or change:

{counts}

Whoever erases the data of one person should check the ID first: it cannot be undone.
"""


def meta_erasure_dag(
    dag_id: str = "meta_erasure",
    *,
    warehouse: str,
    destination: str | None = None,
    scope: str = Scope.CONVERSATION.value,
    approval: bool = True,
    privacy_conn_id: str | None = None,
    project_id: str | None = None,
    location: str | None = None,
    gcp_conn_id: str = GCP_CONN_ID,
    variable: str | None = None,
    warehouse_pool: str = "default_pool",
    approval_timeout: timedelta = timedelta(days=7),
    start_date: datetime = START_DATE,
    default_args: Mapping[str, Any] | None = None,
    tags: Sequence[str] = ("meta", "conversations"),
    doc_md: str = DESCRIPTION,
    **dag_arguments: Any,
) -> DAG:
    """Create a DAG that erases the person of the param ``person_id`` after somebody has approved.

    Args:
        dag_id: The DAG's ID.
        warehouse: As in ``meta_conversations_dag``.
        destination: As in ``meta_conversations_dag``.
        scope: ``conversation`` erases whole conversations, ``own`` only the person's own messages and traces.
        approval: Whether somebody must approve before anything is erased.
        privacy_conn_id: The connection with the key, for data with pseudonyms.
        project_id: The project that pays for the BigQuery jobs; None means the connection's.
        location: The location of the BigQuery dataset.
        gcp_conn_id: The connection for Google Cloud Storage and BigQuery.
        variable: The Airflow Variable of ``meta_conversations_dag``, whose values override the arguments.
        warehouse_pool: The pool of the tasks; the one of the load tasks if the warehouse is a DuckDB file.
        approval_timeout: How long the DAG waits for an approval.
        start_date: As in Airflow's ``DAG``.
        default_args: For all tasks. The default is 10 retries, because a window may be extracted meanwhile.
        tags: As in Airflow's ``DAG``.
        doc_md: As in Airflow's ``DAG``.
        **dag_arguments: Further arguments of Airflow's ``DAG``.

    Raises:
        SettingsError: ``warehouse`` is invalid. A ``ValueError`` with one line.
    """
    target, place = parse_warehouse(warehouse, alone=variable is not None)
    scheme = warehouse.partition("://")[0]
    given = {
        **_UNUSED,
        "destination": destination,
        target.setting: place,
        "privacy_conn_id": privacy_conn_id,
        "project_id": project_id,
        "location": location,
        "gcp_conn_id": gcp_conn_id,
    }
    arguments = argument_settings(given, warehouse=target.setting, complete=variable is None)
    retries = {"retries": 10, "retry_delay": timedelta(minutes=2)}
    with DAG(
        dag_id,
        schedule=None,
        start_date=start_date,
        catchup=False,
        max_active_runs=1,
        default_args={**retries, **(default_args or {})},
        params={"person_id": Param(type="string", pattern=_PERSON_IDS, description=_PARAM)},
        tags=list(tags),
        doc_md=doc_md,
        **dag_arguments,
    ) as dag:

        @task(multiple_outputs=True)
        def settings() -> dict[str, Any]:
            """Read the Variable, and return where the data is."""
            try:
                found = _settings(arguments, variable, target.setting)
            except SettingsError as error:
                raise AirflowFailException(str(error)) from None
            return {**found, "warehouse": f"{scheme}://{found[target.setting]}"}

        @task(pool=warehouse_pool)
        def preview(chosen: Any, params: Any = None) -> str:
            """Return how many rows would be erased, one line for each place."""
            operator = MetaErasePersonOperator(
                task_id="preview_only", person_ids=params["person_id"], scope=scope, **_places(chosen)
            )
            counts = "\n".join(f"* {name}: {count:,}" for name, count in operator.preview().items())
            return BODY.format(destination=chosen["destination"], counts=counts)

        chosen: Any = settings()
        shown = preview(chosen)
        erase = MetaErasePersonOperator(
            task_id="erase",
            person_ids="{{ params.person_id }}",
            scope=scope,
            pool=warehouse_pool,
            **{name: chosen[name] for name in _PLACES},
        )
        if approval:
            approve = ApprovalOperator(
                task_id="approve",
                subject=SUBJECT,
                body="{{ ti.xcom_pull(task_ids='preview') }}",
                response_timeout=approval_timeout,
            )
            shown >> approve >> erase
        else:
            shown >> erase
    # Airflow must show the file that defines the DAG, not this one.
    dag.fileloc = sys._getframe(1).f_code.co_filename
    return dag


_UNUSED: Mapping[str, Any] = {
    "pages": ALL_PAGES,
    "platforms": list(PLATFORMS),
    "folders": ["inbox"],
    "file_format": "ndjson",
    "lookback_minutes": 0,
    "meta_conn_id": MetaGraphHook.default_conn_name,
}
"""Settings of ``meta_conversations_dag`` that an erasure does not use."""

_PERSON_IDS = r"^\s*[0-9]{1,40}(\s*,\s*[0-9]{1,40})*\s*$"
_PARAM = "The ID of the person, or several with commas: digits only, as sender_id and participants show it."
_PLACES = ("destination", "warehouse", "privacy_conn_id", "gcp_conn_id", "project_id", "location")


def _places(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: settings[name] for name in _PLACES}


def _settings(arguments: Mapping[str, Any], variable: str | None, warehouse: str) -> dict[str, Any]:
    """Return the settings of a run; raises ``SettingsError`` for an invalid one."""
    stored = {} if variable is None else variable_settings(stored_variable(variable), variable)
    return merged_settings(arguments, stored, {}, warehouse=warehouse, variable=variable)

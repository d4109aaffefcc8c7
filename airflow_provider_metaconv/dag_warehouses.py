"""The warehouses of ``meta_conversations_dag``: their names, load tasks, and how other tasks open them.

The warehouse is chosen when the DAG is parsed, because it decides which load task the DAG has. To add one, add a class
here, an entry in ``WAREHOUSES``, and its scheme to ``warehouse_opener``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_metaconv.dag_settings import SettingsError
from airflow_provider_metaconv.erase.erase import OpenWarehouse
from airflow_provider_metaconv.hooks.google_cloud import GoogleCloud
from airflow_provider_metaconv.operators.load import (
    MetaConversationsToBigQueryOperator,
    MetaConversationsToDuckDBOperator,
)
from airflow_provider_metaconv.operators.warehouse_address import warehouse_opener

_VIEWS = ("create_views", "view_options")
"""The settings of the views, the same for every warehouse."""


class DagWarehouse(Protocol):
    """The interface between the DAG and a warehouse."""

    scheme: str
    """The start of its addresses, as ``parse_warehouse`` and ``warehouse_opener`` read them."""

    setting: str
    """The name of the setting that locates the tables."""

    param: str
    """The description of that setting in the form of a manual run."""

    def load_task(self, settings: Any, **arguments: Any) -> BaseOperator:
        """Return the load task; ``settings`` is the output of the settings task."""


class DagDuckDB:
    """A DuckDB file: ``duckdb:///data/conversations.duckdb``."""

    scheme = "duckdb"
    setting = "database"
    param = "A DuckDB file"

    def load_task(self, settings: Any, **arguments: Any) -> BaseOperator:
        """Return the task ``load_into_duckdb``."""
        chosen = {key: settings[key] for key in ("database", *_VIEWS)}
        return MetaConversationsToDuckDBOperator(task_id="load_into_duckdb", **chosen, **arguments)


class DagBigQuery:
    """A BigQuery dataset: ``bigquery://dataset`` in the connection's project, or ``bigquery://project.dataset``."""

    scheme = "bigquery"
    setting = "dataset"
    param = "A dataset of BigQuery"

    def load_task(self, settings: Any, **arguments: Any) -> BaseOperator:
        """Return the task ``load_into_bigquery``."""
        chosen = {key: settings[key] for key in ("dataset", "project_id", "location", "gcp_conn_id", *_VIEWS)}
        return MetaConversationsToBigQueryOperator(task_id="load_into_bigquery", **chosen, **arguments)


WAREHOUSES: Mapping[str, DagWarehouse] = {each.scheme: each for each in (DagDuckDB(), DagBigQuery())}


def warehouse_of(chosen: DagWarehouse, settings: Mapping[str, Any]) -> OpenWarehouse:
    """Return the function that opens the warehouse of a run's settings, without its views."""
    cloud = GoogleCloud(settings["gcp_conn_id"])
    address = f"{chosen.scheme}://{settings[chosen.setting]}"
    return warehouse_opener(address, cloud, settings["project_id"], settings["location"])


_ADVICE = 'use "duckdb:///data/conversations.duckdb" or "bigquery://project.dataset"'


def parse_warehouse(text: str, *, alone: bool) -> tuple[DagWarehouse, str | None]:
    """Return the warehouse and the location of its tables; None if ``text`` is only a name and ``alone`` allows that.

    Raises ``SettingsError`` for anything else. The text is not quoted, because it may contain a password.
    """
    scheme, separator, place = str(text).partition("://")
    if scheme not in WAREHOUSES:
        raise SettingsError(f"warehouse is unknown: {_ADVICE}.")
    if alone and not separator:
        return WAREHOUSES[scheme], None
    if not place or (scheme == "bigquery" and "/" in place):
        raise SettingsError(f"warehouse has no {WAREHOUSES[scheme].setting}: {_ADVICE}.")
    # A relative path would depend on each worker's working directory.
    if scheme == "duckdb" and (not place.startswith("/") or place.startswith("//")):
        raise SettingsError(
            "warehouse must have three slashes, then an absolute path, such as duckdb:///data/meta.duckdb."
        )
    return WAREHOUSES[scheme], place

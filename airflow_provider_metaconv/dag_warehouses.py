"""The warehouses that ``meta_conversations_dag`` loads into: how each is named, loaded and opened for the check.

A warehouse is chosen when the DAG is parsed, since it decides which load task the DAG has. Another one is a class here
and an entry in ``WAREHOUSES``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_metaconv.dag_settings import SettingsError
from airflow_provider_metaconv.hooks.google_cloud import GoogleCloud
from airflow_provider_metaconv.operators.load import (
    MetaConversationsToBigQueryOperator,
    MetaConversationsToDuckDBOperator,
)


class DagWarehouse(Protocol):
    """What the DAG needs of a warehouse."""

    setting: str
    """The setting that says where the tables are."""

    param: str
    """What that setting is, for the form of a run by hand."""

    def load_task(self, settings: Any, **arguments: Any) -> BaseOperator:
        """The task that loads; ``settings`` is the output of the task of that name."""

    def open(self, settings: Mapping[str, Any]) -> Any:
        """The warehouse itself, as a context manager."""


class DagDuckDB:
    """A DuckDB file: ``duckdb:///data/conversations.duckdb``."""

    setting = "database"
    param = "A DuckDB file"

    def load_task(self, settings: Any, **arguments: Any) -> BaseOperator:
        """The task ``load_into_duckdb``."""
        return MetaConversationsToDuckDBOperator(task_id="load_into_duckdb", database=settings["database"], **arguments)

    def open(self, settings: Mapping[str, Any]) -> Any:
        """The file of the setting ``database``."""
        from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse

        return DuckDBWarehouse(settings["database"])


class DagBigQuery:
    """A dataset of BigQuery: ``bigquery://dataset`` in the connection's project, or ``bigquery://project.dataset``."""

    setting = "dataset"
    param = "A dataset of BigQuery"

    def load_task(self, settings: Any, **arguments: Any) -> BaseOperator:
        """The task ``load_into_bigquery``."""
        places = {key: settings[key] for key in ("dataset", "project_id", "location", "gcp_conn_id")}
        return MetaConversationsToBigQueryOperator(task_id="load_into_bigquery", **places, **arguments)

    def open(self, settings: Mapping[str, Any]) -> Any:
        """The dataset of the setting ``dataset``; raises ``ImportError`` with a command where the extra is missing."""
        # First, since it says how to install what is missing.
        client = GoogleCloud(settings["gcp_conn_id"]).bigquery_client(settings["project_id"], settings["location"])
        from airflow_provider_metaconv.warehouse.bigquery import BigQueryWarehouse

        return BigQueryWarehouse(client, settings["dataset"], location=settings["location"])


WAREHOUSES: Mapping[str, DagWarehouse] = {"duckdb": DagDuckDB(), "bigquery": DagBigQuery()}

_ADVICE = 'use "duckdb:///data/conversations.duckdb" or "bigquery://project.dataset"'


def parse_warehouse(text: str, *, alone: bool) -> tuple[DagWarehouse, str | None]:
    """The warehouse, and where its tables are; None for a name that stands alone, where a Variable says the rest.

    Raises ``SettingsError`` for anything else; the text is not quoted, since it may hold a password.
    """
    scheme, separator, place = str(text).partition("://")
    if scheme not in WAREHOUSES:
        raise SettingsError(f"warehouse is unknown: {_ADVICE}.")
    if alone and not separator:
        return WAREHOUSES[scheme], None
    if not place or (scheme == "bigquery" and "/" in place):
        raise SettingsError(f"warehouse names no {WAREHOUSES[scheme].setting}: {_ADVICE}.")
    # Workers have working directories of their own.
    if scheme == "duckdb" and (not place.startswith("/") or place.startswith("//")):
        raise SettingsError(
            "warehouse must have an absolute path behind duckdb://, such as duckdb:///data/meta.duckdb."
        )
    return WAREHOUSES[scheme], place

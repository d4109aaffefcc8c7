"""Opening a warehouse by its address: ``duckdb:///path`` or ``bigquery://project.dataset``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from airflow_provider_metaconv.erase.erase import OpenWarehouse
from airflow_provider_metaconv.hooks.google_cloud import GoogleCloud
from airflow_provider_metaconv.warehouse import Warehouse


def warehouse_opener(address: str, cloud: GoogleCloud, project_id: str | None, location: str | None) -> OpenWarehouse:
    """Return the function that opens the warehouse; raises ``ValueError`` for an unknown address.

    That function raises ``ImportError`` with the command to install what is missing.
    """
    scheme, separator, place = str(address).partition("://")
    if not separator or not place or scheme not in ("duckdb", "bigquery"):
        # The text is not quoted, because it may contain a password.
        raise ValueError('warehouse must be "duckdb:///data/conversations.duckdb" or "bigquery://project.dataset".')

    @contextlib.contextmanager
    def opened() -> Iterator[Warehouse]:
        if scheme == "duckdb":
            from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse

            with DuckDBWarehouse(place) as database:
                yield database
            return
        # First, because its ImportError contains the installation command.
        client = cloud.bigquery_client(project_id, location)
        from airflow_provider_metaconv.warehouse.bigquery import BigQueryWarehouse

        with BigQueryWarehouse(client, place, location=location) as dataset:
            yield dataset

    return opened

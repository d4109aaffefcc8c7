"""DuckDB as a warehouse: a database in one file, no server; the SQL is in the ``.sql`` files beside."""

from airflow_provider_metaconv.warehouse.duckdb.warehouse import DuckDBWarehouse

__all__ = ["DuckDBWarehouse"]

"""DuckDB as a warehouse: one database file, no server. The SQL is in ``templates``."""

from airflow_provider_metaconv.warehouse.duckdb.warehouse import DuckDBWarehouse

__all__ = ["DuckDBWarehouse"]

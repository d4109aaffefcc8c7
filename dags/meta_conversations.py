"""Every conversation of your Facebook Pages, Messenger and Instagram, into files and a warehouse, every hour.

Nothing here needs editing. The Airflow Variable ``meta_conversations`` must be JSON with ``pages``, ``destination``,
and ``database`` (DuckDB) or ``dataset`` (BigQuery); it may hold any other setting of ``meta_conversations_dag``. What
must be known when the file is parsed comes from the environment.
"""

from os import environ

from airflow_provider_metaconv.dag import meta_conversations_dag

dag = meta_conversations_dag(
    "meta_conversations",
    # Meta shows only the 20 newest messages of an Instagram thread: the busier the threads, the shorter the interval.
    schedule=environ.get("META_CONVERSATIONS_SCHEDULE", "@hourly"),
    warehouse=environ.get("META_CONVERSATIONS_WAREHOUSE", "duckdb"),  # or "bigquery"
    variable="meta_conversations",
    extract_pool=environ.get("META_CONVERSATIONS_EXTRACT_POOL", "default_pool"),
    # One process at a time may open a DuckDB file: name a pool of one slot here if other DAGs use the same file.
    warehouse_pool=environ.get("META_CONVERSATIONS_WAREHOUSE_POOL", "default_pool"),
)

"""All conversations of your Facebook Pages, Messenger and Instagram, to files and a warehouse, every hour.

Nothing here needs editing. The Airflow Variable ``meta_conversations`` must be JSON with ``pages``, ``destination``,
and ``database`` (DuckDB) or ``dataset`` (BigQuery); it may have any other setting of ``meta_conversations_dag``. The
settings that are needed to parse the file come from the environment.
"""

from datetime import timedelta
from os import environ

from airflow_provider_metaconv.dag import meta_conversations_dag

DAYS = environ.get("META_CONVERSATIONS_RETENTION_DAYS")

dag = meta_conversations_dag(
    "meta_conversations",
    # Meta returns only the 20 newest messages of an Instagram thread: the busier the threads, the shorter the interval.
    schedule=environ.get("META_CONVERSATIONS_SCHEDULE", "@hourly"),
    warehouse=environ.get("META_CONVERSATIONS_WAREHOUSE", "duckdb"),  # or "bigquery"
    variable="meta_conversations",
    # Older messages leave files and tables; the Variable may set another number of days.
    retention=timedelta(days=float(DAYS)) if DAYS else None,
    extract_pool=environ.get("META_CONVERSATIONS_EXTRACT_POOL", "default_pool"),
    # Only one process at a time can open a DuckDB file: set a pool with one slot if other DAGs use the same file.
    warehouse_pool=environ.get("META_CONVERSATIONS_WAREHOUSE_POOL", "default_pool"),
)

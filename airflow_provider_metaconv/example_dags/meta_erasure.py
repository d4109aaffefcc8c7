"""Erases a person from the files and tables of ``meta_conversations``, after somebody has approved.

Nothing here needs editing: destination and tables are those of the Airflow Variable ``meta_conversations``. Trigger it
with the param ``person_id``.
"""

from os import environ

from airflow_provider_metaconv.erasure_dag import meta_erasure_dag

dag = meta_erasure_dag(
    "meta_erasure",
    warehouse=environ.get("META_CONVERSATIONS_WAREHOUSE", "duckdb"),  # or "bigquery"
    variable="meta_conversations",
    warehouse_pool=environ.get("META_CONVERSATIONS_WAREHOUSE_POOL", "default_pool"),
)

"""BigQuery as a warehouse: load jobs stage the files, one transaction merges them. The SQL is in ``templates``."""

from airflow_provider_metaconv.warehouse.bigquery.load_state import BigQueryStep, JobReference
from airflow_provider_metaconv.warehouse.bigquery.warehouse import BigQueryWarehouse

__all__ = ["BigQueryStep", "BigQueryWarehouse", "JobReference"]

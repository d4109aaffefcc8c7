"""BigQuery as a warehouse: load jobs stage the files, one transaction merges them; the SQL is in the files beside."""

from airflow_provider_metaconv.warehouse.bigquery.load_state import BigQueryStep, JobReference
from airflow_provider_metaconv.warehouse.bigquery.warehouse import BigQueryWarehouse

__all__ = ["BigQueryStep", "BigQueryWarehouse", "JobReference"]

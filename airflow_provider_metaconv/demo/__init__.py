"""The whole path on one machine, through Airflow itself: ``python -m airflow_provider_metaconv.demo``."""

"""The whole pipeline on one machine, run by Airflow itself: ``python -m airflow_provider_metaconv.demo``."""

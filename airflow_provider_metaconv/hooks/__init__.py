"""Floor 3: Airflow Connections to Graph clients."""

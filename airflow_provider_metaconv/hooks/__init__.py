"""Layer 3: from Airflow Connections to Graph and Google Cloud clients."""

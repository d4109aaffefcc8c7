"""What Airflow shows of a task besides its log: metrics, lineage and links."""

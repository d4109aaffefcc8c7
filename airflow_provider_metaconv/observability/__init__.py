"""What Airflow shows of a task beside its log: metrics, lineage and links."""

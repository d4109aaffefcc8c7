"""DAGs to copy into the DAG folder; the same files are in ``dags/`` of the repository."""

"""DAGs to copy into the DAG folder. The same files are in the repository's ``dags/``."""

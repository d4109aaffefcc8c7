"""Floor 1: Meta's Graph API over a ready ``requests.Session``; knows nothing of Airflow, files or tables."""

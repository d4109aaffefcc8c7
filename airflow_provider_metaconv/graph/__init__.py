"""Layer 1: Meta's Graph API over a ``requests.Session``. It does not depend on Airflow, files or tables."""

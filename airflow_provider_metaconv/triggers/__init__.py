"""Layer 3: triggers that wait in Airflow's triggerer while no worker slot is occupied."""

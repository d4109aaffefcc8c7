"""Floor 3: what Airflow's triggerer waits for while no worker is held."""

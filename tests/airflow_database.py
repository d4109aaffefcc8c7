"""Airflow's metadata database, migrated once per test run: a migration takes longer than most tests."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

NewDatabase = Callable[[Path], None]
"""Creates an Airflow home with its settings and a migrated, empty SQLite database."""


@pytest.fixture(scope="session")
def new_airflow_database(tmp_path_factory: pytest.TempPathFactory) -> NewDatabase:
    base = tmp_path_factory.getbasetemp()
    home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "migrated_airflow"
    home.mkdir(exist_ok=True)

    def copy_to(airflow_home: Path) -> None:
        with (home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (home / "is_migrated").exists():
                _migrate(home)
                (home / "is_migrated").touch()
        airflow_home.mkdir(parents=True, exist_ok=True)
        shutil.copy2(home / "airflow.db", airflow_home)
        # Written once: processes that start at the same time would each write their own, with another key.
        settings = (home / "airflow.cfg").read_text("utf-8").replace(str(home), str(airflow_home))
        (airflow_home / "airflow.cfg").write_text(settings, "utf-8")

    return copy_to


def _migrate(home: Path) -> None:
    unwanted = ("PYTHONDONTWRITEBYTECODE", "PYTEST_XDIST_WORKER")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted and "AIRFLOW" not in name}
    environment = kept | {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

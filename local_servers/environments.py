"""The servers' virtual environments: local-bigquery's dependencies conflict with Airflow's."""

from __future__ import annotations

import sys
from pathlib import Path

from local_servers.pinned_environment import REPOSITORY, PinnedEnvironment
from local_servers.pythons import find_python

FOLDER = Path(__file__).parent
STORAGE = PinnedEnvironment(
    REPOSITORY / ".venv-google-storage", FOLDER / "storage_requirements.txt", lambda: Path(sys.executable)
)
BIGQUERY = PinnedEnvironment(
    REPOSITORY / ".venv-google-bigquery",
    FOLDER / "bigquery_requirements.txt",
    lambda: find_python("3.13"),
    "local_servers.duckdb_extensions",
)

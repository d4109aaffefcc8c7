"""The demo's folder: where Airflow lives, where files and tables go, and how processes are started in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

DAG_ID = "meta_conversations"


@dataclass(frozen=True, slots=True)
class Workspace:
    """One folder that holds everything a demo makes."""

    folder: Path

    @property
    def airflow_home(self) -> Path:
        """Airflow's own database and logs."""
        return self.folder / "airflow"

    @property
    def files(self) -> Path:
        """The extracted files and their manifests."""
        return self.folder / "files"

    @property
    def database(self) -> Path:
        """The DuckDB file."""
        return self.folder / "meta_conversations.duckdb"

    @property
    def log(self) -> Path:
        """What Airflow printed."""
        return self.folder / "airflow.log"

    def prepare(self, *, keep_data: bool) -> None:
        """Makes the folder; removes what an earlier demo extracted unless it is to be kept."""
        if not keep_data:
            shutil.rmtree(self.files, ignore_errors=True)
            self.database.unlink(missing_ok=True)
        self.log.unlink(missing_ok=True)
        self.airflow_home.mkdir(parents=True, exist_ok=True)

    def airflow_environment(self, dags: Path) -> dict[str, str]:
        """The environment of a quiet local Airflow; knows nothing of the demo's own token."""
        inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "META_ACCESS_TOKEN")}
        return inherited | {
            "AIRFLOW_HOME": str(self.airflow_home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }

    def settings(self, connection: Mapping[str, Any], pages: list[str]) -> dict[str, str]:
        """What the sample DAG reads from the environment: the connection, and the Variable with its settings."""
        settings = {"destination": str(self.files), "database": str(self.database), "pages": pages}
        return {
            "AIRFLOW_CONN_META_GRAPH_DEFAULT": json.dumps(connection),
            "AIRFLOW_VAR_META_CONVERSATIONS": json.dumps(settings),
        }


def airflow_command(*arguments: str) -> list[str]:
    """The command line of this Python's own Airflow."""
    return [sys.executable, "-m", "airflow", *arguments]


def run_arguments(logical_date: str, params: Mapping[str, Any]) -> list[str]:
    """What to tell Airflow to run the sample DAG once, in the foreground."""
    return ["dags", "test", DAG_ID, logical_date, "--conf", json.dumps(dict(params))]


@contextmanager
def process(command: list[str], environment: Mapping[str, str], output: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own; whatever of the group is left is ended when the block is."""
    # Started from this list alone, without a shell.
    child = subprocess.Popen(  # noqa: S603
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()

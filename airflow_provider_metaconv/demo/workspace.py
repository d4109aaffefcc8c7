"""The demo's folder: Airflow's home, files and tables, and the processes that run in it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder with everything that a demo creates."""

    folder: Path

    @property
    def airflow_home(self) -> Path:
        """The folder of Airflow's database and logs."""
        return self.folder / "airflow"

    @property
    def results(self) -> Path:
        """The file with the final state of each run."""
        return self.folder / "runs.txt"

    @property
    def log(self) -> Path:
        """The file with Airflow's output."""
        return self.folder / "airflow.log"

    def prepare(self) -> None:
        """Create the folder for this user only, and remove Airflow's earlier output."""
        self.log.unlink(missing_ok=True)
        self.results.unlink(missing_ok=True)
        # Airflow's database and logs, and the messages, must not be readable for others.
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.airflow_home.mkdir(exist_ok=True)

    @property
    def is_open_to_others(self) -> bool:
        """Whether other users of this machine can access the demo's files, as in a folder of earlier releases."""
        return bool(self.folder.stat().st_mode & 0o077)

    @property
    def api_server(self) -> str:
        """The command that shows the demo's runs in Airflow's UI, to whoever opens it."""
        settings = f"AIRFLOW_HOME={shlex.quote(str(self.airflow_home))} AIRFLOW__CORE__LOAD_EXAMPLES=False"
        return f"{settings} AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS=True {sys.executable} -m airflow api-server"

    def airflow_environment(self, dags: Path) -> dict[str, str]:
        """Return the environment of a quiet local Airflow, without the demo's own token."""
        inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "META_ACCESS_TOKEN")}
        return inherited | {
            "AIRFLOW_HOME": str(self.airflow_home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }


@contextmanager
def process(
    arguments: list[str], environment: Mapping[str, str], output: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python module in its own process group, which is killed at the end of the block."""
    # Started without a shell.
    child = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", *arguments],
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        # SIGKILL, because Airflow's dag.test() ignores SIGTERM.
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


class Airflow:
    """An Airflow process that runs the sample DAGs, and its results so far."""

    def __init__(self, child: subprocess.Popen[bytes], results: Path) -> None:
        self._child = child
        self._results = results

    def start_run(self, dag: str, logical_date: str, params: Mapping[str, Any]) -> None:
        """Start a run of the DAG in the module of that name, with these params."""
        assert self._child.stdin is not None  # noqa: S101  (it was started with a pipe)
        self._asked = len(self.states()) + 1
        request = {"dag": dag, "logical_date": logical_date, "conf": dict(params)}
        self._child.stdin.write(json.dumps(request).encode() + b"\n")
        self._child.stdin.flush()

    def is_running(self) -> bool:
        """Whether the latest run is still in progress."""
        return self._child.poll() is None and len(self.states()) < self._asked

    def states(self) -> list[str]:
        """Return the final states of the runs so far."""
        return self._results.read_text().splitlines() if self._results.exists() else []

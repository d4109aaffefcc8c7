"""The demo's folder: where Airflow lives, where files and tables go, and how processes are started in it."""

from __future__ import annotations

import json
import os
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
    """One folder that holds everything a demo makes."""

    folder: Path

    @property
    def airflow_home(self) -> Path:
        """Airflow's own database and logs."""
        return self.folder / "airflow"

    @property
    def results(self) -> Path:
        """How each of Airflow's runs ended."""
        return self.folder / "runs.txt"

    @property
    def log(self) -> Path:
        """What Airflow printed."""
        return self.folder / "airflow.log"

    def prepare(self) -> None:
        """Makes the folder, for this user alone; removes what Airflow printed the last time."""
        self.log.unlink(missing_ok=True)
        self.results.unlink(missing_ok=True)
        # Airflow's database and logs are for nobody else, and neither are the messages.
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.airflow_home.mkdir(exist_ok=True)

    def airflow_environment(self, dags: Path) -> dict[str, str]:
        """The environment of a quiet local Airflow; knows nothing of the demo's own token."""
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
    """A module of this Python in a process group of its own; what is left of it is ended when the block is."""
    # Started from this list alone, without a shell.
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
        # For good: Airflow's dag.test() ignores a polite request.
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


class Airflow:
    """One Airflow process that runs the sample DAG, and the results it has given so far."""

    def __init__(self, child: subprocess.Popen[bytes], results: Path) -> None:
        self._child = child
        self._results = results

    def start_run(self, logical_date: str, params: Mapping[str, Any]) -> None:
        """Begins a run of the DAG with these params."""
        assert self._child.stdin is not None  # noqa: S101  (it was started with a pipe)
        self._asked = len(self.states()) + 1
        self._child.stdin.write(json.dumps({"logical_date": logical_date, "conf": dict(params)}).encode() + b"\n")
        self._child.stdin.flush()

    def is_running(self) -> bool:
        """Whether the run that was begun last is still at work."""
        return self._child.poll() is None and len(self.states()) < self._asked

    def states(self) -> list[str]:
        """How the runs ended so far."""
        return self._results.read_text().splitlines() if self._results.exists() else []

"""A real Airflow in its own folder, which runs DAGs on request."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from tests.airflow_database import NewDatabase

REPOSITORY = Path(__file__).parents[2]
SECONDS_FOR_A_RUN = 90


class Airflow:
    """One Airflow process, its home, and all its output."""

    def __init__(self, home: Path, environment: dict[str, str], python: str = sys.executable) -> None:
        self.home = home
        self._python = python
        self.log = home / "printed.log"
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW") and k != "PYTHONDONTWRITEBYTECODE"},
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            **environment,
        }
        self._results = home / "results.jsonl"
        self._process: subprocess.Popen[str] | None = None
        self._output: IO[str] | None = None
        self._asked = 0

    def start(self) -> None:
        """Starts the process, which waits for requests."""
        self._output = self.log.open("w")
        self._process = subprocess.Popen(
            [self._python, str(Path(__file__).parent / "run_dags.py"), str(self._results)],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(
        self,
        logical_date: str | None = "2026-11-20T12:30:00+00:00",
        *,
        file: str = "meta_conversations",
        warehouse: str = "duckdb",
        **conf: Any,
    ) -> dict[str, Any]:
        """Runs the DAG in that file with these params; returns the state, the tasks and their return values."""
        assert self._process is not None
        assert self._process.stdin is not None
        # Counted, so that the result of a run that took too long is never taken for that of the next.
        self._asked += 1
        request = {"file": file, "logical_date": logical_date, "conf": conf, "warehouse": warehouse}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        deadline = time.monotonic() + SECONDS_FOR_A_RUN
        while len(results := self._results_so_far()) < self._asked:
            assert self._process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.05)
        result: dict[str, Any] = json.loads(results[self._asked - 1])
        return result

    def _results_so_far(self) -> list[str]:
        if not self._results.exists():
            return []
        # The last line may be incomplete.
        return [line for line in self._results.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def stop(self) -> None:
        """Kills the process: ``dag.test()`` ignores SIGTERM."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._output is not None:
            self._output.close()


@pytest.fixture(scope="session")
def airflow_at(new_airflow_database: NewDatabase) -> Iterator[Any]:
    """A factory for Airflows, which are stopped at the end."""
    started: list[Airflow] = []

    def make(home: Path, environment: dict[str, str]) -> Airflow:
        new_airflow_database(home / "airflow")
        airflow = Airflow(home, environment)
        started.append(airflow)
        airflow.start()
        return airflow

    yield make
    for airflow in started:
        airflow.stop()

"""A real Airflow in its own folder, which runs DAGs on request."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from copy import copy
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import IO, Any

import pytest

REPOSITORY = Path(__file__).parents[2]
SECONDS_FOR_A_RUN = 100


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
        self._environment_of_runs: dict[str, str] = {}
        self._printed_before = 0
        self._results = home / "results.jsonl"
        self._process: subprocess.Popen[str] | None = None
        self._output: IO[str] | None = None
        # So that the result of a run that took too long is never taken for that of the next.
        self._numbers = count()

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

    def with_environment(self, environment: dict[str, str]) -> Airflow:
        """The same process, which runs DAGs with these environment variables."""
        same = copy(self)
        same._environment_of_runs = environment
        same._printed_before = len(self.log.read_text())
        return same

    def printed(self) -> str:
        """All output, or that since ``with_environment``."""
        return self.log.read_text()[self._printed_before :]

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
        number = next(self._numbers)
        environment = self._environment_of_runs | {"META_CONVERSATIONS_WAREHOUSE": warehouse}
        request = {"file": file, "logical_date": logical_date, "conf": conf, "environment": environment}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        deadline = time.monotonic() + SECONDS_FOR_A_RUN
        while len(results := self._results_so_far()) <= number:
            assert self._process.poll() is None, self.printed()[-3000:]
            assert time.monotonic() < deadline, self.printed()[-3000:]
            time.sleep(0.05)
        result: dict[str, Any] = json.loads(results[number])
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
def airflow_at() -> Iterator[Any]:
    """A factory for Airflows, which are stopped at the end."""
    started: list[Airflow] = []

    def make(home: Path, environment: dict[str, str]) -> Airflow:
        airflow = Airflow(home, environment)
        started.append(airflow)
        airflow.start()
        return airflow

    yield make
    for airflow in started:
        airflow.stop()


@pytest.fixture(scope="session")
def statsd() -> Iterator[socket.socket]:
    """The socket to which the shared Airflow sends its metrics."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        receiver.setblocking(False)
        yield receiver


@pytest.fixture(scope="session")
def shared_airflow(tmp_path_factory: pytest.TempPathFactory, airflow_at: Any, statsd: socket.socket) -> Airflow:
    """One Airflow for several files of tests: each start takes as long as several runs.

    It sends metrics, and lineage to ``lineage.jsonl``.
    """
    home = tmp_path_factory.mktemp("shared_airflow")
    lineage = {"type": "file", "log_file_path": str(home / "lineage.jsonl"), "append": True}
    environment = {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API_AUTH__JWT_SECRET": token_hex(32),
        "AIRFLOW__METRICS__STATSD_ON": str(find_spec("statsd") is not None),
        "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
        "AIRFLOW__METRICS__STATSD_PORT": str(statsd.getsockname()[1]),
        "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
        "AIRFLOW__OPENLINEAGE__SELECTIVE_ENABLE": "True",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(lineage),
    }
    made: Airflow = airflow_at(home, environment)
    return made

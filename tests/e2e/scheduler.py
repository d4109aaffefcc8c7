"""A real Airflow with a scheduler and LocalExecutor, as local processes, without a triggerer."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import requests

# No log server: it would listen on every address.
PARTS = (("api-server",), ("dag-processor",), ("scheduler", "--skip-serve-logs"))
SECONDS_TO_MIGRATE = 120
SECONDS_TO_START = 180
SECONDS_TO_STOP = 10
SECONDS_BETWEEN_POLLS = 0.25
FAILED = {"new_state": "failed"}


@dataclass(frozen=True)
class Seen:
    """A task instance when it was first seen with this state and try number."""

    task_id: str
    state: str | None
    try_number: int
    start: datetime | None
    end: datetime | None

    @staticmethod
    def from_row(row: dict[str, Any]) -> Seen:
        start, end = (datetime.fromisoformat(row[name]) if row[name] else None for name in ("start_date", "end_date"))
        return Seen(row["task_id"], row["state"], row["try_number"], start, end)


class Scheduler:
    """Airflow's parts, each in its own session, so that no process outlives ``stop()``."""

    prefix: tuple[str, ...] = ()
    """The words before each part's command."""

    python: str = sys.executable
    """The Python whose Airflow runs."""

    def __init__(
        self,
        home: Path,
        dags: Path,
        environment: dict[str, str],
        *,
        workers: int,
        parts: tuple[tuple[str, ...], ...] = PARTS,
    ) -> None:
        port = free_port()
        self._parts_to_start = parts
        self._home = home
        self._url = f"http://127.0.0.1:{port}"
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW") and k != "PYTHONDONTWRITEBYTECODE"},
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__API__BASE_URL": self._url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self._url}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": str(workers),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            **environment,
        }
        self._api = requests.Session()
        self._parts: list[subprocess.Popen[bytes]] = []
        self._lasting: list[subprocess.Popen[bytes]] = []
        self._outputs = ExitStack()

    def start(self, dag_id: str) -> None:
        """Returns when the DAG can be run."""
        self.migrate()
        self._launch_parts()
        self._wait(SECONDS_TO_START, lambda: self._is_logged_in() and self._answers(f"dags/{dag_id}"))

    def migrate(self) -> None:
        """Creates the metadata database."""
        migration = self._launch("db", "migrate")
        assert migration.wait(SECONDS_TO_MIGRATE) == 0, self._printed()

    def run(self, dag_id: str, seconds: float, fail: Callable[[], str | None] = lambda: None) -> list[Seen]:
        """Runs the DAG once, to its end; returns the states of its task instances, in order.

        ``fail`` is polled for a running task to mark as failed, as a person would.
        """
        return self.wait_for(self.trigger(dag_id), seconds, fail)

    def trigger(self, dag_id: str, **conf: Any) -> str:
        """Triggers a run and returns its path in the API."""
        body = {"logical_date": None, "conf": conf}
        response = self._api.post(f"{self._url}/api/v2/dags/{dag_id}/dagRuns", json=body, timeout=30)
        response.raise_for_status()
        return f"dags/{dag_id}/dagRuns/{response.json()['dag_run_id']}"

    def respond(self, run: str, task_id: str, option: str, seconds: float) -> dict[str, Any]:
        """Waits until the task asks a person, and chooses an option; returns what Airflow shows to that person."""
        path = f"{run}/taskInstances/{task_id}/-1/hitlDetails"
        # Until the scheduler knows that the task waits, Airflow takes a task that continues for one that was lost.
        waits = re.compile(rf"TaskInstance Finished: .*task_id={task_id}, run_id={re.escape(run.rpartition('/')[2])}")
        log = self._home / "scheduler.log"
        self._wait(seconds, lambda: bool(waits.search(log.read_text())) and self._answers(path))
        shown = self._get(path)
        body = {"chosen_options": [option]}
        self._api.patch(f"{self._url}/api/v2/{path}", json=body, timeout=30).raise_for_status()
        return shown

    def wait_for(self, run: str, seconds: float, fail: Callable[[], str | None] = lambda: None) -> list[Seen]:
        """Waits until a run has ended; returns as ``run`` does."""
        seen: list[Seen] = []
        last: dict[str, tuple[str | None, int]] = {}

        def has_ended() -> bool:
            # The run is read before its tasks: once it has ended, they do not change.
            try:
                state, rows = self._get(run)["state"], self._get(f"{run}/taskInstances")["task_instances"]
            except requests.RequestException:  # a busy machine; the next poll may succeed
                return False
            if task_id := fail():
                patched = self._api.patch(f"{self._url}/api/v2/{run}/taskInstances/{task_id}", json=FAILED, timeout=30)
                patched.raise_for_status()
            for each in map(Seen.from_row, rows):
                if last.get(each.task_id) != (each.state, each.try_number):
                    last[each.task_id] = (each.state, each.try_number)
                    seen.append(each)
            return state in ("success", "failed")

        self._wait(seconds, has_ended, lambda: "\n".join(map(str, seen)))
        return seen

    def stop(self) -> None:
        """Ends all processes of all parts, first with SIGTERM; raises ``AssertionError`` if one is left."""
        sessions = {part.pid for part in self._parts}
        for part in self._parts:
            if part.poll() is None:
                os.killpg(part.pid, signal.SIGTERM)
        deadline = time.monotonic() + SECONDS_TO_STOP
        for part in self._parts:
            with suppress(subprocess.TimeoutExpired):
                part.wait(max(0.0, deadline - time.monotonic()))
        # By session, not by group: each task runs in its own group.
        deadline = time.monotonic() + SECONDS_TO_STOP
        while left := processes_of(sessions):
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            for part in self._parts:
                part.poll()
            assert time.monotonic() < deadline, left
            time.sleep(0.05)
        self._outputs.close()

    def _launch_parts(self) -> None:
        """Starts the parts that run until ``stop()``."""
        self._lasting += [self._launch(*arguments) for arguments in self._parts_to_start]

    def _launch(self, *arguments: str, name: str = "", **environment: str) -> subprocess.Popen[bytes]:
        output = self._outputs.enter_context((self._home / f"{name or arguments[0]}.log").open("wb"))
        part = subprocess.Popen(
            [*self.prefix, self.python, "-m", "airflow", *arguments],
            cwd=self._home,
            env={**self._environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._parts.append(part)
        return part

    def _wait(self, seconds: float, is_over: Callable[[], bool], describe: Callable[[], str] = str) -> None:
        deadline = time.monotonic() + seconds
        while not is_over():
            ended = [part.args for part in self._lasting if part.poll() is not None]
            assert not ended, f"{ended} ended\n{describe()}\n{self._printed()}"
            assert time.monotonic() < deadline, f"timed out after {seconds} s\n{describe()}\n{self._printed()}"
            time.sleep(SECONDS_BETWEEN_POLLS)

    def _is_logged_in(self) -> bool:
        """Airflow 3.1 wants a token even where everybody is an administrator; others have users, who log in."""
        try:
            response = self._api.get(f"{self._url}/auth/token", timeout=30)
        except requests.RequestException:
            return False
        if response.ok:
            self._api.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
        return True

    def _answers(self, path: str) -> bool:
        try:
            return self._api.get(f"{self._url}/api/v2/{path}", timeout=30).ok
        except requests.RequestException:
            return False

    def _get(self, path: str) -> dict[str, Any]:
        response = self._api.get(f"{self._url}/api/v2/{path}", timeout=30)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    def _printed(self) -> str:
        parts, tries = self._home.glob("*.log"), (self._home / "airflow" / "logs").rglob("attempt=*.log")
        ends = [(log, 1500) for log in sorted(parts)] + [(log, 3000) for log in sorted(tries)]
        return "\n".join(f"--- {log}\n{log.read_text(errors='replace')[-length:]}" for log, length in ends)


def as_time(seconds: float) -> datetime:
    """A time in Airflow's form."""
    return datetime.fromtimestamp(seconds, UTC)


def free_port() -> int:
    """A free loopback port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def processes_of(sessions: set[int]) -> list[psutil.Process]:
    """The running processes of these sessions, in any group."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getsid(process.pid) in sessions and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found

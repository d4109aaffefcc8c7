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
from dataclasses import dataclass, field
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
FINAL = {"success", "failed", "skipped", "upstream_failed"}


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


@dataclass
class Run:
    """A run of a DAG: its path in the API, its state, and the states of its task instances, in order."""

    path: str
    state: str = "queued"
    seen: list[Seen] = field(default_factory=list)

    @property
    def has_ended(self) -> bool:
        return self.state in ("success", "failed")

    def of(self, task_id: str) -> list[Seen]:
        return [each for each in self.seen if each.task_id == task_id]

    def last_states(self) -> dict[str, str | None]:
        """The state in which each task instance was last seen."""
        return {each.task_id: each.state for each in self.seen}

    def record(self, rows: list[dict[str, Any]]) -> None:
        """Adds the task instances that have changed, as the API describes them."""
        last = {each.task_id: (each.state, each.try_number) for each in self.seen}
        now = map(Seen.from_row, rows)
        self.seen += [each for each in now if last.get(each.task_id) != (each.state, each.try_number)]


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
            # DAGs never change: reading them every 30 seconds would take more time than most tasks.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
            # SQLite has one writer at a time: on a busy machine the others wait longer than its 5 seconds.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow' / 'airflow.db'}?timeout=60",
            **environment,
        }
        self._api = requests.Session()
        self._parts: list[subprocess.Popen[bytes]] = []
        self._lasting: list[subprocess.Popen[bytes]] = []
        self._outputs = ExitStack()
        self._followed: list[Run] = []

    def start(self, dag_id: str) -> None:
        """Returns when the DAG can be run; the database must exist."""
        self._launch_parts()
        self.wait(SECONDS_TO_START, lambda: self._is_logged_in() and self._answers(f"dags/{dag_id}"))

    def migrate(self) -> None:
        """Creates the metadata database."""
        migration = self._launch("db", "migrate")
        assert migration.wait(SECONDS_TO_MIGRATE) == 0, self._printed()

    def run(self, dag_id: str, seconds: float) -> Run:
        """Runs the DAG once, to its end."""
        return self.wait_for(self.follow(dag_id), seconds)

    def follow(self, dag_id: str, **conf: Any) -> Run:
        """Triggers a run, which is recorded during all waits until it has ended."""
        return self.watch(self.trigger(dag_id, **conf))

    def watch(self, path: str) -> Run:
        """Records the run with this path in the API, as ``follow`` does."""
        run = Run(path)
        self._followed.append(run)
        return run

    def wait_for(self, run: Run, seconds: float) -> Run:
        """Waits until a followed run has ended, and returns it."""
        self.wait(seconds, lambda: run.has_ended)
        return run

    def trigger(self, dag_id: str, **conf: Any) -> str:
        """Triggers a run and returns its path in the API."""
        body = {"logical_date": None, "conf": conf}
        response = self._api.post(f"{self._url}/api/v2/dags/{dag_id}/dagRuns", json=body, timeout=30)
        response.raise_for_status()
        return f"dags/{dag_id}/dagRuns/{response.json()['dag_run_id']}"

    def fail(self, run: Run, task_id: str) -> None:
        """Marks a task as failed, as a person would."""
        url = f"{self._url}/api/v2/{run.path}/taskInstances/{task_id}"
        self._api.patch(url, json=FAILED, timeout=30).raise_for_status()

    def respond(self, run: Run, task_id: str, option: str, seconds: float) -> dict[str, Any]:
        """Waits until the task asks a person, and chooses an option; returns what Airflow shows to that person."""
        path = f"{run.path}/taskInstances/{task_id}/-1/hitlDetails"
        # Until the scheduler knows that the task waits, Airflow takes a task that continues for one that was lost.
        waits = re.compile(
            rf"TaskInstance Finished: .*task_id={task_id}, run_id={re.escape(run.path.rpartition('/')[2])}"
        )
        log = self._home / "scheduler.log"
        self.wait(seconds, lambda: bool(waits.search(log.read_text())) and self._answers(path))
        shown = self._get(path)
        body = {"chosen_options": [option]}
        self._api.patch(f"{self._url}/api/v2/{path}", json=body, timeout=30).raise_for_status()
        return shown

    def wait(self, seconds: float, is_over: Callable[[], bool], describe: Callable[[], str] = str) -> None:
        """Polls until ``is_over``; after ``seconds`` raises ``AssertionError`` with the ends of all logs."""
        deadline = time.monotonic() + seconds
        while not self._polled(is_over):
            ended = [part.args for part in self._lasting if part.poll() is not None]
            assert not ended, f"{ended} ended\n{describe()}\n{self._printed()}"
            assert time.monotonic() < deadline, f"timed out after {seconds} s\n{describe()}\n{self._printed()}"
            time.sleep(SECONDS_BETWEEN_POLLS)

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

    def _polled(self, is_over: Callable[[], bool]) -> bool:
        with suppress(requests.RequestException):  # a busy machine; the next poll may succeed
            for run in self._followed:
                if not run.has_ended:
                    run.record(self._get(f"{run.path}/taskInstances")["task_instances"])
                    if set(run.last_states().values()) <= FINAL:
                        run.state = self._get(run.path)["state"]
            return is_over()
        return False

    def _is_logged_in(self) -> bool:
        """Airflow 3.1 wants a token even where everybody is an administrator; others have users, who log in."""
        response = self._api.get(f"{self._url}/auth/token", timeout=30)
        if response.ok:
            self._api.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
        return True

    def _answers(self, path: str) -> bool:
        return self._api.get(f"{self._url}/api/v2/{path}", timeout=30).ok

    def _get(self, path: str) -> dict[str, Any]:
        response = self._api.get(f"{self._url}/api/v2/{path}", timeout=30)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    def _printed(self) -> str:
        seen = [str(each) for run in self._followed for each in run.seen]
        parts, tries = self._home.glob("*.log"), (self._home / "airflow" / "logs").rglob("attempt=*.log")
        ends = [(log, 1500) for log in sorted(parts)] + [(log, 3000) for log in sorted(tries)]
        logs = [f"--- {log}\n{log.read_text(errors='replace')[-length:]}" for log, length in ends]
        return "\n".join([*seen, *logs])


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

"""The Airflow of ``scheduler.py`` with CeleryExecutor and two workers, like two machines that share a folder."""

from __future__ import annotations

import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.celery.servers import Servers
from tests.e2e.scheduler import Scheduler, processes_of

WORKERS = ("east", "west")
SLOTS_OF_A_WORKER = 4
SECONDS_TO_BE_READY = 60
HEARTBEAT_TIMEOUT = 20
"""Airflow considers a task dead after so many seconds without a heartbeat; the default is 300."""

SETTINGS = Path(__file__).parent / "config"


@dataclass(frozen=True)
class Try:
    """One try of a task: its worker and its outcome."""

    label: str
    number: int
    machine: str | None
    state: str | None
    start: datetime | None
    end: datetime | None

    @staticmethod
    def from_row(row: dict[str, Any]) -> Try:
        start, end = (datetime.fromisoformat(row[name]) if row[name] else None for name in ("start_date", "end_date"))
        label = row["rendered_map_index"] or row["task_id"]
        return Try(label, row["try_number"], row["hostname"] or None, row["state"], start, end)


class Cluster(Scheduler):
    """Scheduler, API server, DAG processor and workers; stop it like ``Scheduler``."""

    # The emulator, which measures the pace, has priority on a busy machine.
    prefix = ("nice", "-n", "10")

    def __init__(self, home: Path, dags: Path, environment: dict[str, str], servers: Servers) -> None:
        settings = {
            # The workers are local only, so root may run them.
            "C_FORCE_ROOT": "1",
            "AIRFLOW__CELERY__BROKER_URL": servers.broker_url,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{servers.database_url}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(SLOTS_OF_A_WORKER),
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "airflow_local_settings.machine",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": servers.database_url,
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
            "PYTHONPATH": str(SETTINGS),
        }
        super().__init__(home, dags, {**settings, **environment}, workers=len(WORKERS) * SLOTS_OF_A_WORKER)
        self._workers: dict[str, int] = {}

    def start(self, dag_id: str) -> None:
        """Returns when the DAG can be run and every worker accepts tasks."""
        self.migrate()
        super().start(dag_id)
        logs = [self._home / f"worker-{worker}.log" for worker in WORKERS]
        self.wait(SECONDS_TO_BE_READY, lambda: all(b" ready." in log.read_bytes() for log in logs))

    def refused_backfill(self, dag_id: str, start: datetime, end: datetime) -> str:
        """Requests a backfill and returns why it was refused; "" if it was not."""
        body = {"dag_id": dag_id, "from_date": start.isoformat(), "to_date": end.isoformat()}
        response = self._api.post(f"{self._url}/api/v2/backfills", json=body, timeout=10)
        return "" if response.ok else str(response.json()["detail"])

    def run_of(self, path: str) -> dict[str, Any]:
        """The API's description of a run."""
        return self._get(path)

    def tries(self, run: str, task_id: str = "extract") -> list[Try]:
        """The latest try of each instance of a task."""
        rows = self._get(f"{run}/taskInstances?task_id={task_id}&limit=100")["task_instances"]
        return [Try.from_row(row) for row in rows if row["task_id"] == task_id]

    def printed(self) -> str:
        """The ends of all logs."""
        return self._printed()

    def kill(self, worker: str) -> float:
        """Kills all processes of a worker at once, like a power failure, and returns the time."""
        session = self._workers[worker]
        self._lasting = [part for part in self._lasting if part.pid != session]
        # Stopped first, so that no process can notice another's death and report it to Airflow.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in processes_of({session}):
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
        return time.time()

    def _launch_parts(self) -> None:
        super()._launch_parts()
        for worker in WORKERS:
            # Without the log server, which listens on every address, and the workers' gossip, which takes seconds.
            options = ("--skip-serve-logs", "--without-mingle", "--without-gossip", "--celery-hostname", worker)
            part = self._launch("celery", "worker", *options, name=f"worker-{worker}", TEST_MACHINE=worker)
            self._workers[worker] = part.pid
            self._lasting.append(part)


def copied_dags(home: Path, repository: Path) -> Path:
    """A DAG folder with the unchanged sample DAG, and the DAG whose tasks are stopped."""
    dags = home / "dags"
    dags.mkdir()
    for name in ("dags/meta_conversations.py", "tests/e2e/scheduler_dags/stops.py"):
        shutil.copy(repository / name, dags)
    return dags

"""Real runs for the coverage page: an emulator, runs by ``dag.test()``, and an API server under a path, with users."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from airflow_provider_metaconv.emulator import EmulatorServer, EmulatorSettings, Fault, World, WorldSettings
from tests.airflow_database import NewDatabase
from tests.e2e.conftest import REPOSITORY, Airflow
from tests.e2e.scheduler import SECONDS_TO_START, Scheduler

DAG_ID = "meta_conversations"
PASSWORDS = {"admin": "first-password", "viewer": "second-password", "guest": "third-password"}
OTHER_DAG = """
from airflow.sdk import DAG

dag = DAG("another_dag", schedule=None)
"""


@dataclass(frozen=True)
class Plan:
    """A history and the windows after it, all before ``now``, with what goes wrong in each of them."""

    now: datetime
    pages: int
    messages: int
    windows: int
    hours: int
    faults: Mapping[int, Sequence[Fault]]

    def bounds(self, number: int) -> tuple[str, str]:
        """The params ``since`` and ``until`` of the window with this number; 0 is the history."""
        first = self.now - timedelta(hours=self.hours * self.windows)
        until = first + timedelta(hours=self.hours * number)
        since = "begin" if number == 0 else (until - timedelta(hours=self.hours)).isoformat()
        return since, until.isoformat()


class PageServer(Scheduler):
    """An Airflow under the path ``/airflow`` that only answers requests: its runs have ended."""

    def __init__(self, home: Path, dags: Path, environment: dict[str, str], python: str) -> None:
        self.python = python
        passwords = home / "passwords.json"
        passwords.write_text(json.dumps(PASSWORDS))
        users = {
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,viewer:viewer,guest:",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        }
        super().__init__(home, dags, {**environment, **users}, workers=1, parts=(("api-server",),))
        self._url = f"{self._url}/airflow"
        self._environment["AIRFLOW__API__BASE_URL"] = self._url

    @property
    def url(self) -> str:
        return self._url

    def printed(self) -> str:
        return self._printed()

    def launch(self) -> None:
        self._launch_parts()

    def wait_until_ready(self) -> None:
        self.wait(SECONDS_TO_START, lambda: self._answers("version"))

    def session(self, user: str) -> str:
        """The value of the cookie that logs a user in."""
        body = {"username": user, "password": PASSWORDS[user]}
        response = requests.post(f"{self._url}/auth/token", json=body, timeout=20)
        response.raise_for_status()
        return str(response.json()["access_token"])


class Stage:
    """Everything that the page needs: ``prepare()`` starts it, ``play()`` runs the DAG, ``close()`` ends it."""

    def __init__(self, home: Path, plan: Plan, python: str) -> None:
        self.home = home
        self.plan = plan
        world = World.generate(WorldSettings(pages=plan.pages, messages=plan.messages, now=plan.now, days=8))
        self.emulator = EmulatorServer(world, EmulatorSettings(usage_floor=0, messenger_calls=(600, 3600)))
        self._python = python

    @property
    def database(self) -> Path:
        return self.home / "conversations.duckdb"

    def prepare(self, new_database: NewDatabase) -> None:
        """Creates Airflow's database, and starts all processes; the server needs longer than the first run."""
        self.emulator.start()
        dags = self.home / "dags"
        dags.mkdir()
        for name in (DAG_ID, "meta_token_expiry"):
            shutil.copy(REPOSITORY / "dags" / f"{name}.py", dags)
        (dags / "another_dag.py").write_text(OTHER_DAG)
        connection = {"conn_type": "meta_graph", "host": self.emulator.url, "password": self.emulator.user_token}
        extra = {"calls_per_second": 1000, "app_secret": self.emulator.app_secret}
        settings = {"pages": "all", "destination": str(self.home / "files"), "database": str(self.database)}
        environment = {
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW_CONN_META_GRAPH_DEFAULT": json.dumps({**connection, "extra": extra}),
            "AIRFLOW_VAR_META_CONVERSATIONS": json.dumps(settings),
            "META_CONVERSATIONS_SCHEDULE": "0 */3 * * *",
            "META_TOKEN_EXPIRY_ON_UNKNOWN": "warn",
        }
        self.server = PageServer(self.home, dags, environment, self._python)
        if self._python == sys.executable:
            new_database(self.home / "airflow")
        else:
            self.server.migrate()
        self.runner = Airflow(self.home, environment, self._python)
        self.runner.start()
        self.server.launch()

    def play(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Runs the DAG for the windows with these numbers; returns the results."""
        results = []
        for number in numbers:
            self.emulator.clear_faults()
            for fault in self.plan.faults.get(number, ()):
                self.emulator.add_fault(fault)
            since, until = self.plan.bounds(number)
            results.append(self.runner.run(None, since=since, until=until))
        return results

    def close(self) -> None:
        self.runner.stop()
        self.server.stop()
        self.emulator.__exit__(None, None, None)

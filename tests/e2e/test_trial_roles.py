"""What each role may do in the trial: Airflow's own API, with the users and roles of docker-compose.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.airflow_database import NewDatabase
from tests.e2e.conftest import REPOSITORY
from tests.e2e.leftovers import leaks
from tests.e2e.scheduler import SECONDS_TO_START, Scheduler

pytestmark = [pytest.mark.timeout(180), pytest.mark.scheduler]

PASSWORDS = {"admin": "first-password", "operator": "second-password", "viewer": "third-password"}
CONNECTION = {"connection_id": "meta_graph_default", "conn_type": "meta_graph", "password": "not-a-real-token"}
VARIABLE = {"key": "meta_conversations", "value": "{}"}
DAG = """
from airflow.sdk import DAG

dag = DAG("meta_conversations", schedule=None)
"""


def settings_of_the_trial() -> dict[str, str]:
    """The settings for users in docker-compose.yaml."""
    composed = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text("utf-8"))
    environments = [service.get("environment", {}) for service in composed["services"].values()]
    return {
        name: str(value)
        for environment in environments
        if isinstance(environment, dict)
        for name, value in environment.items()
        if "AUTH_MANAGER" in name and not name.endswith("PASSWORDS_FILE")
    }


class ApiServer(Scheduler):
    """An Airflow without a scheduler: triggered runs are not executed."""

    def _launch_parts(self) -> None:
        super()._launch_parts()
        assert self._launch("dag-processor", "--num-runs", "1").wait(SECONDS_TO_START) == 0, self._printed()

    def _answers(self, path: str) -> bool:
        return super()._answers("version")

    @property
    def folder(self) -> Path:
        return self._home

    @property
    def url(self) -> str:
        return self._url

    def call(self, user: str | None, method: str, path: str, body: Any = None) -> int:
        """The status of the response to a user."""
        headers = {} if user is None else {"Authorization": f"Bearer {self.token(user)}"}
        url = f"{self._url}/api/v2/{path}"
        return requests.request(method, url, json=body, headers=headers, timeout=10).status_code

    def token(self, user: str) -> str:
        answer = self.log_in(user, PASSWORDS[user])
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def log_in(self, user: str, password: str) -> requests.Response:
        body = {"username": user, "password": password}
        return requests.post(f"{self._url}/auth/token", json=body, timeout=10)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, new_airflow_database: NewDatabase) -> Iterator[ApiServer]:
    home = tmp_path_factory.mktemp("roles")
    (home / "dags").mkdir()
    (home / "dags" / "meta_conversations.py").write_text(DAG)
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps(PASSWORDS))
    environment = {
        **settings_of_the_trial(),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__CORE__FERNET_KEY": "9Lk1v0mRVV3Vn2rSCmqPlvBSDAmUUtRSLBsMz7dXbPE=",
    }
    new_airflow_database(home / "airflow")
    server = ApiServer(home, home / "dags", environment, workers=1, parts=(("api-server",),))
    try:
        server.start("meta_conversations")
        assert server.call("admin", "POST", "connections", CONNECTION) == 201
        assert server.call("admin", "POST", "variables", VARIABLE) == 201
        yield server
    finally:
        server.stop()


RUNS = "dags/meta_conversations/dagRuns"
ALLOWED = [
    ("admin", "GET", "connections/meta_graph_default", None, 200),
    ("admin", "GET", "variables/meta_conversations", None, 200),
    ("admin", "PATCH", "variables/meta_conversations", VARIABLE, 200),
    ("admin", "GET", "dags/meta_conversations", None, 200),
    ("operator", "GET", "dags/meta_conversations", None, 200),
    ("operator", "PATCH", "dags/meta_conversations", {"is_paused": False}, 200),
    ("operator", "POST", RUNS, {"logical_date": None}, 200),
    ("viewer", "GET", "dags/meta_conversations", None, 200),
    ("viewer", "GET", RUNS, None, 200),
]
REFUSED = [
    *(
        (user, method, path, body)
        for user in ("operator", "viewer")
        for method, path, body in (
            ("GET", "connections", None),
            ("GET", "connections/meta_graph_default", None),
            ("DELETE", "connections/meta_graph_default", None),
            ("PATCH", "connections/meta_graph_default", CONNECTION | {"host": "https://evil.example.com"}),
            ("POST", "connections", CONNECTION | {"connection_id": "another"}),
            ("POST", "connections/test", CONNECTION),
            ("GET", "variables", None),
            ("GET", "variables/meta_conversations", None),
            ("POST", "variables", VARIABLE | {"key": "another"}),
            ("PATCH", "variables/meta_conversations", VARIABLE),
            ("DELETE", "variables/meta_conversations", None),
            ("GET", "config", None),
            ("POST", "pools", {"name": "another", "slots": 1}),
        )
    ),
    ("viewer", "POST", RUNS, {"logical_date": None}),
    ("viewer", "DELETE", "dags/meta_conversations", None),
    ("viewer", "PATCH", "dags/meta_conversations", {"is_paused": True}),
]


@pytest.mark.parametrize(("user", "method", "path", "body", "expected"), ALLOWED)
def test_each_role_can_do_its_work(
    airflow: ApiServer, user: str, method: str, path: str, body: Any, expected: int
) -> None:
    assert airflow.call(user, method, path, body) == expected


@pytest.mark.parametrize(("user", "method", "path", "body"), REFUSED)
def test_only_the_admin_reaches_connections_variables_and_settings(
    airflow: ApiServer, user: str, method: str, path: str, body: Any
) -> None:
    assert airflow.call(user, method, path, body) == 403


@pytest.mark.parametrize("path", ["dags", "connections/meta_graph_default", "variables/meta_conversations"])
def test_the_api_requires_a_login(airflow: ApiServer, path: str) -> None:
    assert airflow.call(None, "GET", path) == 401


@pytest.mark.parametrize("path", ["auth/token", "auth/token/login"])
def test_logging_in_requires_a_password(airflow: ApiServer, path: str) -> None:
    answer = requests.get(f"{airflow.url}/{path}", timeout=10, allow_redirects=False)
    assert answer.status_code == 403
    assert not answer.cookies


@pytest.mark.parametrize(("user", "password"), [("admin", "admin"), ("admin", ""), ("nobody", "first-password")])
def test_a_wrong_password_is_refused(airflow: ApiServer, user: str, password: str) -> None:
    assert airflow.log_in(user, password).status_code in (400, 401)


def test_stored_connection_passwords_are_encrypted(airflow: ApiServer) -> None:
    assert airflow.call("admin", "GET", "connections/meta_graph_default") == 200
    assert leaks(airflow.folder, {"password": CONNECTION["password"]}) == []

"""docker-compose.yaml without Docker: everything it names exists, and what of it is ours starts as a plain process."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.google_servers.environments import BIGQUERY, STORAGE

REPOSITORY = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
AIRFLOW = sorted(name for name, service in SERVICES.items() if str(service.get("command", "")).startswith("airflow "))
KNOWN_KEYS = {
    "build",
    "command",
    "depends_on",
    "environment",
    "healthcheck",
    "image",
    "ports",
    "restart",
    "volumes",
    "working_dir",
}
CONDITIONS = {"service_healthy", "service_completed_successfully"}
# Options of the Celery provider, which brings its own section.
CELERY = {"broker_url", "result_backend"}


def names_and_services() -> list[Any]:
    return [pytest.param(name, service, id=name) for name, service in SERVICES.items()]


@pytest.mark.parametrize(("name", "service"), names_and_services())
def test_a_service_uses_what_compose_knows_and_what_is_there(name: str, service: dict[str, Any]) -> None:
    assert set(service) <= KNOWN_KEYS
    for needed, how in service.get("depends_on", {}).items():
        assert needed in SERVICES
        assert how["condition"] in CONDITIONS
        assert "healthcheck" in SERVICES[needed] or how["condition"] == "service_completed_successfully"
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (REPOSITORY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


@pytest.mark.parametrize(("name", "service"), names_and_services())
def test_a_service_that_goes_on_says_whether_it_is_well(name: str, service: dict[str, Any]) -> None:
    assert (name != "init") == ("healthcheck" in service)


@pytest.mark.parametrize(("name", "service"), names_and_services())
def test_ports_are_open_to_this_machine_alone_and_are_the_commands(name: str, service: dict[str, Any]) -> None:
    for port in service.get("ports", []):
        address, _, inside = port.rpartition(":")
        assert address.startswith("127.0.0.1:")
        assert f"--port {inside}" in service["command"]


def test_every_option_of_airflow_exists() -> None:
    from airflow.configuration import conf

    described = conf.configuration_description
    variables = [name for service in SERVICES.values() for name in service.get("environment", {})]
    options = {re.fullmatch(r"AIRFLOW__(\w+?)__(\w+)", name) for name in variables if name.startswith("AIRFLOW__")}
    asked = {(match[1].lower(), match[2].lower()) for match in options if match}
    assert len(asked) > 10
    known = {(section, option) for section in described for option in described[section]["options"]}
    assert set() == {each for each in asked if each not in known and not (each[0] == "celery" and each[1] in CELERY)}


def test_no_secret_is_more_than_a_trials() -> None:
    secret = re.compile(r"SECRET|PASSWORD|FERNET|SQL_ALCHEMY|RESULT_BACKEND")
    values = {
        name: value
        for service in SERVICES.values()
        for name, value in service.get("environment", {}).items()
        if secret.search(name)
    }
    assert len(values) >= 5
    for value in values.values():
        assert re.search(r"\$\{TRIAL_\w+:-(trial-only[-a-z]*)?\}", value)


def test_the_settings_are_the_sample_dags() -> None:
    import json

    environment = SERVICES["worker"]["environment"]
    sample = (REPOSITORY / "dags" / "meta_conversations.py").read_text(encoding="utf-8")
    settings = json.loads(environment["AIRFLOW_VAR_META_CONVERSATIONS"])
    assert [] == [key for key in settings if f'"{key}": ' not in sample]
    for name in ("AIRFLOW_CONN_META_GRAPH_DEFAULT", "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT"):
        assert json.loads(environment[name])["conn_type"] in ("meta_graph", "google_cloud_platform")
    hosts = re.findall(r"http://([\w-]+):(\d+)", json.dumps(environment))
    assert {("api-server", "8080"), ("graph", "8080"), ("storage", "9023"), ("bigquery", "9050")} == set(hosts)


@pytest.mark.parametrize("name", [name for name in AIRFLOW if "celery" not in SERVICES[name]["command"]])
def test_airflow_knows_the_command(name: str) -> None:
    words = SERVICES[name]["command"].split()
    command = [sys.executable, "-m", "airflow", *(word for word in words[1:] if not word.isdigit()), "--help"]
    shown = subprocess.run(
        [word for word in command if word != "--port"], capture_output=True, text=True, check=True, timeout=60
    )
    assert all(option in shown.stdout for option in words if option.startswith("--"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def started(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, start_new_session=True)
    try:
        yield
    finally:
        process.kill()
        process.wait(10)


def answers(url: str, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return True
    return False


@pytest.mark.parametrize("name", ["graph", "storage", "bigquery"])
def test_what_is_ours_starts_as_a_process_and_is_well(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    service, port = SERVICES[name], free_port()
    [line] = re.findall(r"python -m ([^\"]+?)(?:\"|$)", service["command"].rpartition("exec ")[2])
    replaced = {"0.0.0.0": "127.0.0.1", "/data": str(tmp_path)}
    words = [replaced.get(word, word) for word in shlex.split(line)]
    words[words.index("--port") + 1] = str(port)
    python, environment = sys.executable, dict(os.environ)
    if name != "graph":
        request.getfixturevalue(f"{name}_server")  # makes the environment, or skips
        server = {"storage": STORAGE, "bigquery": BIGQUERY}[name]
        python, environment = str(server.python), server.variables()
        environment["STORAGE_EMULATOR_HOST"] = "http://127.0.0.1:1"
    [path] = re.findall(r"http://localhost:\d+(/[^']*)", str(service["healthcheck"]["test"]))
    with started([python, "-m", *words], environment):
        assert answers(f"http://127.0.0.1:{port}{path.rstrip(')')}")


@pytest.mark.parametrize("name", ["storage", "bigquery"])
def test_what_a_container_installs_first_is_in_the_checkout(name: str) -> None:
    command = SERVICES[name]["command"]
    [requirements] = re.findall(r"--requirement (\S+)", command)
    assert (REPOSITORY / requirements).exists()
    for module in re.findall(r"python -m (\S+)", command):
        assert (REPOSITORY / (module.replace(".", "/") + ".py")).exists()


def test_the_image_is_built_from_this_checkout_with_the_extras_that_exist() -> None:
    dockerfile = SERVICES["worker"]["build"]["dockerfile_inline"]
    [extras] = re.findall(r"/opt/airflow/provider\[(.+?)\]", dockerfile)
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert [] == [extra for extra in extras.split(",") if not re.search(rf"^{extra} = \[", project, re.MULTILINE)]
    assert "COPY --chown=airflow:root . /opt/airflow/provider" in dockerfile

"""docker-compose.yaml without Docker: everything it names exists, and our services start as plain processes."""

from __future__ import annotations

import json
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
from cryptography.fernet import Fernet

from airflow_provider_metaconv.dag_settings import variable_settings
from airflow_provider_metaconv.dag_warehouses import WAREHOUSES
from local_servers.environments import BIGQUERY, STORAGE
from tests.airflow_commands import help_of
from tools import trial

REPOSITORY = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
COMMANDS = {
    name: match[1]
    for name, service in SERVICES.items()
    if (match := re.search(r"(?:^|exec )(airflow [^\"]+)", str(service.get("command", ""))))
}
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
# Options of the Celery provider, which adds its own section.
CELERY = {"broker_url", "result_backend"}


def names_and_services() -> list[Any]:
    return [pytest.param(name, service, id=name) for name, service in SERVICES.items()]


@pytest.mark.parametrize(("name", "service"), names_and_services())
def test_a_service_uses_known_keys_and_existing_resources(name: str, service: dict[str, Any]) -> None:
    assert set(service) <= KNOWN_KEYS
    for needed, how in service.get("depends_on", {}).items():
        assert needed in SERVICES
        assert how["condition"] in CONDITIONS
        assert "healthcheck" in SERVICES[needed] or how["condition"] == "service_completed_successfully"
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (REPOSITORY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


@pytest.mark.parametrize(("name", "service"), names_and_services())
def test_every_long_running_service_has_a_health_check(name: str, service: dict[str, Any]) -> None:
    assert (name != "init") == ("healthcheck" in service)


@pytest.mark.parametrize(("name", "service"), names_and_services())
def test_ports_are_on_loopback_and_match_the_command(name: str, service: dict[str, Any]) -> None:
    for port in service.get("ports", []):
        address, _, inside = port.rpartition(":")
        assert address.startswith("127.0.0.1:")
        assert f"--port {inside}" in service["command"]


def test_every_airflow_option_exists() -> None:
    from airflow.configuration import conf

    described = conf.configuration_description
    variables = [name for service in SERVICES.values() for name in service.get("environment", {})]
    options = {re.fullmatch(r"AIRFLOW__(\w+?)__(\w+)", name) for name in variables if name.startswith("AIRFLOW__")}
    asked = {(match[1].lower(), match[2].lower()) for match in options if match}
    assert len(asked) > 10
    known = {(section, option) for section in described for option in described[section]["options"]}
    assert set() == {each for each in asked if each not in known and not (each[0] == "celery" and each[1] in CELERY)}


SECRET = re.compile(r"SECRET|PASSWORD|FERNET|SQL_ALCHEMY|RESULT_BACKEND|BROKER|AUTH$")


def test_the_file_contains_neither_secrets_nor_defaults_for_them() -> None:
    values = {
        f"{service}.{name}": value
        for service, content in SERVICES.items()
        for name, value in content.get("environment", {}).items()
        if SECRET.search(name) and "PASSWORDS_FILE" not in name
    }
    assert len(values) >= 10
    for value in values.values():
        assert re.search(r"\$\{TRIAL_\w+:\?run make trial\}", value)


def test_the_trial_creates_exactly_the_required_secrets() -> None:
    asked = set(re.findall(r"\$\{(TRIAL_\w+):\?", (REPOSITORY / "docker-compose.yaml").read_text("utf-8")))
    assert set(trial.new_secrets()) == asked


def test_the_trials_secrets_are_random_private_and_created_once(tmp_path: Path) -> None:
    file = tmp_path / ".env.trial"
    assert trial.write_once(file)
    assert file.stat().st_mode & 0o777 == 0o600
    first = file.read_text("utf-8")
    assert not trial.write_once(file)
    assert first == file.read_text("utf-8")
    values = dict(line.split("=", 1) for line in first.splitlines())
    assert len(set(values.values())) == len(values)
    assert not set(values.values()) & set(trial.new_secrets().values())
    Fernet(values["TRIAL_FERNET_KEY"].encode())
    assert len(values["TRIAL_JWT_SECRET"]) >= 64


def test_git_and_images_exclude_the_secrets() -> None:
    assert ".env.trial" in (REPOSITORY / ".gitignore").read_text("utf-8").splitlines()
    assert ".env*" in (REPOSITORY / ".dockerignore").read_text("utf-8").splitlines()


def test_admin_rights_require_a_password() -> None:
    environment = SERVICES["api-server"]["environment"]
    assert environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] == "False"
    users = dict(user.split(":") for user in environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"].split(","))
    assert users == {"admin": "admin", "operator": "user", "viewer": "viewer"}
    assert "ADMIN_PASSWORD" not in SERVICES["worker"]["environment"]


def test_the_passwords_file_is_where_airflow_looks(tmp_path: Path) -> None:
    service = SERVICES["api-server"]
    command = service["command"].replace("$$", "$").replace("/opt/airflow", str(tmp_path))
    command = command.replace("exec airflow api-server --port 8080", "true")
    passwords = {f"{name.upper()}_PASSWORD": f"of-{name}" for name in ("admin", "operator", "viewer")}
    subprocess.run(shlex.split(command), check=True, env={**os.environ, **passwords})
    file = tmp_path / "passwords.json"
    assert service["environment"]["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"] == "/opt/airflow/passwords.json"
    assert {name: f"of-{name}" for name in ("admin", "operator", "viewer")} == json.loads(file.read_text("utf-8"))
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "name", ["trial/requirements.txt", *(f"local_servers/{n}_requirements.txt" for n in ("storage", "bigquery"))]
)
def test_each_package_of_the_trial_is_pinned_by_hash(name: str) -> None:
    text = (REPOSITORY / name).read_text("utf-8")
    packages = re.split(r"\n(?=[a-z])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
    assert len(packages) > 1
    assert [
        package
        for package in packages
        if not re.match(r"[\w.-]+(\[[\w,]+\])?==\S+", package) or "--hash=sha256:" not in package
    ] == []
    assert "://" not in text
    for service in SERVICES.values():
        installing = [
            *str(service.get("build", {}).get("dockerfile_inline", "")).splitlines(),
            service.get("command", ""),
        ]
        lines = [line for line in installing if "pip install" in line and "--requirement" in line]
        assert all("--require-hashes" in line for line in lines)


def test_each_image_can_be_pinned_by_digest() -> None:
    images = [service["image"] for service in SERVICES.values()]
    images.append(SERVICES["worker"]["build"]["args"]["BASE"])
    assert [each for each in images if each != "metaconv-trial" and not re.match(r"\$\{TRIAL_\w+_IMAGE:-", each)] == []


def test_the_settings_match_the_sample_dag() -> None:
    environment = SERVICES["worker"]["environment"]
    found = variable_settings(environment["AIRFLOW_VAR_META_CONVERSATIONS"], "meta_conversations")
    [place] = {"database", "dataset"} & set(found)
    assert WAREHOUSES[environment["META_CONVERSATIONS_WAREHOUSE"]].setting == place
    for name in ("AIRFLOW_CONN_META_GRAPH_DEFAULT", "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT"):
        assert json.loads(environment[name])["conn_type"] in ("meta_graph", "google_cloud_platform")
    hosts = re.findall(r"http://([\w-]+):(\d+)", json.dumps(environment))
    assert set(hosts) == {("api-server", "8080"), ("graph", "8080"), ("storage", "9023"), ("bigquery", "9050")}


@pytest.mark.parametrize("name", sorted(name for name in COMMANDS if "celery" not in COMMANDS[name]))
def test_airflow_commands_exist(name: str) -> None:
    words = COMMANDS[name].split()
    shown = help_of(*(word for word in words[1:] if not word.isdigit() and word != "--port"))
    assert all(option in shown for option in words if option.startswith("--"))


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


def responds(url: str, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return True
    return False


@pytest.mark.parametrize(
    "name", ["graph", *(pytest.param(name, marks=pytest.mark.google) for name in ("storage", "bigquery"))]
)
def test_our_services_start_and_pass_their_health_check(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    service, port = SERVICES[name], free_port()
    [line] = re.findall(r"python -m ([^\"]+?)(?:\"|$)", service["command"].rpartition("exec ")[2])
    replaced = {"0.0.0.0": "127.0.0.1", "/data": str(tmp_path)}
    words = [replaced.get(word, word) for word in shlex.split(line)]
    words[words.index("--port") + 1] = str(port)
    python, environment = sys.executable, dict(os.environ)
    if name != "graph":
        request.getfixturevalue(f"{name}_server")  # creates the environment, or skips
        server = {"storage": STORAGE, "bigquery": BIGQUERY}[name]
        python, environment = str(server.python), server.variables()
        environment["STORAGE_EMULATOR_HOST"] = "http://127.0.0.1:1"
    [path] = re.findall(r"http://localhost:\d+(/[^']*)", str(service["healthcheck"]["test"]))
    with started([python, "-m", *words], environment):
        assert responds(f"http://127.0.0.1:{port}{path.rstrip(')')}")


@pytest.mark.parametrize("name", ["storage", "bigquery"])
def test_what_containers_install_is_in_the_checkout(name: str) -> None:
    command = SERVICES[name]["command"]
    [requirements] = re.findall(r"--requirement (\S+)", command)
    assert (REPOSITORY / requirements).exists()
    for module in re.findall(r"python -m (\S+)", command):
        assert (REPOSITORY / (module.replace(".", "/") + ".py")).exists()


def test_the_image_is_built_from_this_checkout() -> None:
    dockerfile = SERVICES["worker"]["build"]["dockerfile_inline"]
    assert "COPY --chown=airflow:root . /opt/airflow/provider" in dockerfile
    assert "FROM $${BASE}" in dockerfile
    pinned = (REPOSITORY / "trial" / "requirements.txt").read_text("utf-8")
    for package in ("apache-airflow", "apache-airflow-providers-google", "duckdb", "pyarrow", "isal", "hatchling"):
        assert re.search(rf"^{package}==", pinned, re.MULTILINE), package

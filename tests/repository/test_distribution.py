"""The wheel and the source distribution: complete, and a working provider when installed on their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from airflow_provider_metaconv import __version__

pytestmark = pytest.mark.distribution

REPOSITORY = Path(__file__).parents[2]
PACKAGE = "airflow_provider_metaconv"
SUFFIXES = (".css", ".html", ".js", ".py", ".sql", ".typed")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=REPOSITORY, check=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    [found] = built.glob("*.whl")
    return found


def test_the_wheel_contains_every_module_query_page_and_dag(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    sources = [path for path in (REPOSITORY / PACKAGE).rglob("*") if path.suffix in SUFFIXES]
    assert len(sources) > 100
    assert {path.relative_to(REPOSITORY).as_posix() for path in sources} - inside == set()
    dags = {f"{PACKAGE}/example_dags/{path.name}" for path in (REPOSITORY / "dags").glob("*.py")}
    assert len(dags) == 3
    assert dags - inside == set()


def test_the_source_distribution_contains_what_packagers_need(built: Path) -> None:
    [found] = built.glob("*.tar.gz")
    with tarfile.open(found) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    pages = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "docs").rglob("*") if path.is_file()}
    assert set() == {"README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", *pages} - inside


def test_airflow_finds_the_installed_provider_and_its_dags(wheel: Path, tmp_path: Path) -> None:
    """The dependencies come from this environment; the package itself does not."""
    venv.create(tmp_path / "venv", with_pip=False)
    [site] = (tmp_path / "venv").glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")}
    environment |= {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}

    def output(*arguments: str) -> str:
        command = [str(tmp_path / "venv" / "bin" / "python"), *arguments]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    where = output("-c", f"import {PACKAGE}; print({PACKAGE}.__file__)").splitlines()[-1]
    assert Path(where).is_relative_to(site)
    providers = json.loads(output("-m", "airflow", "providers", "list", "--output", "json").splitlines()[-1])
    assert "airflow-provider-metaconv" in {provider["package_name"] for provider in providers}
    code = f"from {PACKAGE}.example_dags import meta_conversations, meta_erasure, meta_token_expiry; "
    code += "print(meta_conversations.dag, meta_erasure.dag)"
    assert output("-c", code).splitlines()[-1] == "<DAG: meta_conversations> <DAG: meta_erasure>"


def test_the_metadata_has_version_and_links(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    [name] = [name for name in archive.namelist() if name.endswith("METADATA")]
    metadata = Parser().parsestr(archive.read(name).decode())
    links = dict(link.split(", ") for link in metadata.get_all("Project-URL", []))
    assert metadata["Version"] == __version__
    assert metadata["Author"] == "airflow-provider-metaconv contributors"
    assert set(links) >= {"Repository", "Documentation", "Changelog", "Issues"}
    assert all(link.startswith("https://") for link in links.values())


def test_each_extra_installs_its_dependencies(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    [name] = [name for name in archive.namelist() if name.endswith("METADATA")]
    lines = archive.read(name).decode().splitlines()
    by_extra: dict[str, set[str]] = {}
    for line in lines:
        if match := re.match(r"Requires-Dist: ([\w-]+).*; extra == '(\w+)'", line):
            by_extra.setdefault(match[2], set()).add(match[1])
    google = {"apache-airflow-providers-google", "google-cloud-bigquery", "google-cloud-storage"}
    assert by_extra["google"] == google
    assert by_extra["duckdb"] == {"duckdb", "pytz"}
    assert by_extra["parquet"] == {"pyarrow"}
    assert by_extra["privacy"] == {"phonenumbers", "python-stdnum"}
    assert by_extra["emulator"] == {"starlette", "uvicorn"}
    assert by_extra["demo"] == {"rich", *by_extra["duckdb"], *by_extra["emulator"], *by_extra["privacy"]}


WITHOUT_EXTRAS = """
import importlib, pkgutil, sys

import {package}

BARRED = {{"duckdb", "google", "phonenumbers", "pyarrow", "stdnum", "rich", "starlette", "uvicorn"}}
OURS = {package}.__path__[0]


class Bar:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BARRED:
            frame = sys._getframe(1)
            while frame is not None and "importlib" in frame.f_code.co_filename:
                frame = frame.f_back
            if frame is not None and frame.f_code.co_filename.startswith(OURS):
                raise ImportError(name)
        return None


sys.meta_path.insert(0, Bar())
left_out = ("emulator", "demo", "example_dags", "pytest_plugin")
left_out += ("files.storage.gcs", "google_errors", "warehouse.bigquery")
for module in pkgutil.walk_packages({package}.__path__, "{package}."):
    if not module.name.removeprefix("{package}.").startswith(left_out):
        importlib.import_module(module.name)
        print(module.name)
"""


def test_a_worker_needs_no_extras(wheel: Path, tmp_path: Path) -> None:
    """Imports of the extras' libraries are refused from our modules only; Airflow may import them itself."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    environment = os.environ | {"AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-c", WITHOUT_EXTRAS.format(package=PACKAGE)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    imported = done.stdout.split()
    assert {f"{PACKAGE}.dag", f"{PACKAGE}.operators.load", f"{PACKAGE}.hooks.meta_graph"} <= set(imported)


def test_entry_points_for_pytest_and_airflow_exist(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    [name] = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
    entries = archive.read(name).decode()
    assert f"[pytest11]\nmeta_graph = {PACKAGE}.pytest_plugin" in entries
    assert "[apache_airflow_provider]" in entries

"""What the other tests rest on when the servers' environments are made, and when they cannot be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from . import environments
from .environments import REPOSITORY, EnvironmentFailed, ServerEnvironment


def fake_environment(folder: Path, after_install: str = "") -> ServerEnvironment:
    """An environment that needs nothing from anywhere."""
    (folder / "requirements.txt").write_text("# nothing\n")
    return ServerEnvironment(folder / "made", folder / "requirements.txt", lambda: Path(sys.executable), after_install)


def test_an_environment_is_made_once_and_again_when_its_requirements_change(tmp_path: Path) -> None:
    said: list[str] = []
    environment = fake_environment(tmp_path)
    environment.ensure(said.append)
    environment.ensure(said.append)
    assert 1 == len(said)
    assert environment.python.exists()
    environment.requirements.write_text("# other\n")
    assert not environment.is_ready
    environment.ensure(said.append)
    assert 2 == len(said)


def test_a_half_made_environment_is_made_again(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailed, match="exit status 1"):
        fake_environment(tmp_path, "tests.no_such_module").ensure()
    rest = tmp_path / "made" / "rest"
    rest.touch()
    assert not fake_environment(tmp_path).is_ready
    fake_environment(tmp_path).ensure()
    assert not rest.exists()


def test_without_uv_pip_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "find_uv", lambda: None)
    environment = fake_environment(tmp_path)
    environment.ensure()
    assert environment.is_ready


@pytest.mark.parametrize(("required", "outcome"), [("", "1 skipped"), ("1", "1 error")])
def test_without_its_python_tests_are_skipped_unless_they_are_required(
    tmp_path: Path, required: str, outcome: str
) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "from tests.google_servers import environments, fixtures\n"
        "from tests.google_servers.environments import ServerEnvironment\n"
        "from tests.pythons import find_python\n"
        "from tests.google_servers.fixtures import *\n"
        "fixtures.BIGQUERY = ServerEnvironment(\n"
        "    fixtures.BIGQUERY.folder / 'no', fixtures.BIGQUERY.requirements, lambda: find_python('3.99'))\n"
        "@pytest.fixture(scope='session')\n"
        "def storage_server(): return None\n"
        "def test_it(bigquery_server): pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "-c", "/dev/null", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), "METACONV_REQUIRE_GOOGLE_SERVERS": required},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in done.stdout
    assert "uv python install 3.99" in done.stdout


def test_the_command_runs_another_with_both_servers_and_a_bucket() -> None:
    script = (
        "import os, sys, urllib.request\n"
        "bucket = os.environ['STORAGE_EMULATOR_HOST'] + '/storage/v1/b/my-bucket'\n"
        "datasets = '/bigquery/v2/projects/' + os.environ['GOOGLE_CLOUD_PROJECT'] + '/datasets'\n"
        "urllib.request.urlopen(bucket), urllib.request.urlopen(os.environ['BIGQUERY_EMULATOR_HOST'] + datasets)\n"
        "sys.exit(7)\n"
    )
    command = [
        sys.executable,
        "-m",
        "tests.google_servers",
        "--bucket",
        "my-bucket",
        "--",
        sys.executable,
        "-c",
        script,
    ]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (7, "") == (done.returncode, done.stderr)

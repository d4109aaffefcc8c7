"""The servers from outside: started by the command, and skipped where a Python is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from local_servers.pinned_environment import REPOSITORY
from local_servers.servers import BigQueryServer


@pytest.mark.parametrize(("required", "outcome"), [("", "1 skipped"), ("1", "1 error")])
def test_a_missing_python_skips_tests_unless_servers_are_required(tmp_path: Path, required: str, outcome: str) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "from tests import google_fixtures as fixtures\n"
        "from local_servers.pinned_environment import PinnedEnvironment\n"
        "from local_servers.pythons import find_python\n"
        "from tests.google_fixtures import *\n"
        "fixtures.BIGQUERY = PinnedEnvironment(\n"
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


def test_the_command_runs_a_program_with_both_servers(bigquery_server: BigQueryServer) -> None:
    """The fixture creates the environments or skips the test."""
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
        "local_servers",
        "--bucket",
        "my-bucket",
        "--",
        sys.executable,
        "-c",
        script,
    ]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (7, "")

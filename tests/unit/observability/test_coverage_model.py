"""The coverage page's pure functions, run by node if it is installed. ``make test-ui`` uses them in Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_the_pages_pure_functions_keep_their_promises(tmp_path: Path) -> None:
    source = resources.files("airflow_provider_metaconv.observability.coverage_page") / "static" / "coverage.js"
    # Without a package.json, node would take a file ending in .js for CommonJS.
    module = tmp_path / "coverage.mjs"
    module.write_bytes(source.read_bytes())
    done = subprocess.run(
        [str(NODE), "--test", str(Path(__file__).with_name("coverage.test.mjs"))],
        env=os.environ | {"COVERAGE_MODULE": str(module)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr

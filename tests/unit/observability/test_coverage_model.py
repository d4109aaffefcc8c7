"""The coverage page's pure functions, run by node: the system's or Playwright's, which ``make test-ui`` installs."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import pytest


def _node() -> str | None:
    playwright = find_spec("playwright")
    folders = [] if playwright is None else playwright.submodule_search_locations or []
    return shutil.which("node") or next(
        (found for folder in folders if (found := shutil.which("node", path=f"{folder}/driver"))), None
    )


NODE = _node()


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

"""Finding another Python: the one found runs, and a missing one is reported."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from local_servers import pythons


def test_the_python_found_runs_and_has_the_version() -> None:
    python = pythons.find_python("3.11")
    assert "3.11" in subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout


def test_a_python_that_does_not_run_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setattr(pythons, "candidates", lambda version: iter([shim, tmp_path / "missing"]))
    with pytest.raises(
        pythons.PythonMissing, match=r"Python 3.13 is needed .*uv python install 3.13.*METACONV_PYTHON313"
    ):
        pythons.find_python("3.13")

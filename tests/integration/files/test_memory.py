"""Memory is bounded in bytes, not in rows: rows of a megabyte cost no more than many short ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MOST_MB = 150


def megabytes(what: str, file_format: str, folder: Path) -> int:
    """Measured in a separate process."""
    command = [sys.executable, "-m", "tests.integration.files.memory", what, file_format, str(folder)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
def test_files_of_large_messages_need_little_memory(tmp_path: Path, file_format: str) -> None:
    used = {what: megabytes(what, file_format, tmp_path) for what in ("write_lists", "rewrite", "verify")}
    assert {what: mb for what, mb in used.items() if mb > MOST_MB} == {}


@pytest.mark.google
@pytest.mark.timeout(600)
@pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
def test_sending_large_messages_to_bigquery_needs_little_memory(tmp_path: Path, file_format: str) -> None:
    megabytes("write_lists", file_format, tmp_path)
    assert megabytes("send", file_format, tmp_path) <= MOST_MB

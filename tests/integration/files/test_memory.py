"""Memory is bounded by bytes, not by rows: a megabyte in each of them costs no more than many short ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MOST_MB = 150


def megabytes(what: str, file_format: str, folder: Path) -> int:
    """Measured in a process of its own."""
    command = [sys.executable, "-m", "tests.integration.files.memory", what, file_format, str(folder)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
def test_messages_of_a_megabyte_are_written_rewritten_and_read_in_little_memory(
    tmp_path: Path, file_format: str
) -> None:
    used = {what: megabytes(what, file_format, tmp_path) for what in ("write_lists", "rewrite", "verify")}
    assert {what: mb for what, mb in used.items() if mb > MOST_MB} == {}


@pytest.mark.google
@pytest.mark.timeout(600)
@pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
def test_they_are_sent_to_bigquery_in_little_memory(tmp_path: Path, file_format: str) -> None:
    megabytes("write_lists", file_format, tmp_path)
    assert megabytes("send", file_format, tmp_path) <= MOST_MB

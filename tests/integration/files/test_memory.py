"""Memory is bounded in bytes, not in rows: rows of a megabyte cost no more than many short ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MOST_MB = 50
"""The 80 rows would need 80."""


def megabytes(what: str, file_format: str, folder: Path) -> int:
    """Measured in a separate process."""
    command = [sys.executable, "-m", "tests.integration.files.memory", what, file_format, str(folder)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("file_format", "most_to_write", "most_to_rewrite"), [("ndjson", MOST_MB, MOST_MB), ("parquet", 120, 150)]
)
def test_files_of_large_messages_need_little_memory(
    tmp_path: Path, file_format: str, most_to_write: int, most_to_rewrite: int
) -> None:
    """The limit is between what any number of rows needs and that with all of them in memory."""
    assert megabytes("write_lists", file_format, tmp_path) <= most_to_write
    assert megabytes("rewrite", file_format, tmp_path) <= most_to_rewrite
    assert megabytes("verify", file_format, tmp_path) <= MOST_MB


@pytest.mark.google
@pytest.mark.timeout(600)
@pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
def test_sending_large_messages_to_bigquery_needs_little_memory(tmp_path: Path, file_format: str) -> None:
    """Google's libraries need 50, and whole files 40 more."""
    megabytes("write_lists", file_format, tmp_path)
    assert megabytes("send", file_format, tmp_path) <= 70

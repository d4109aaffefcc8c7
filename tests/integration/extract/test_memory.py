"""Memory is bounded in bytes: it does not grow with the number of long messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_metaconv.emulator import MessageSpec, ThreadSpec
from airflow_provider_metaconv.extract.extraction import WORKERS
from tests.integration.extract.scene import MINUTE, UNTIL, scene

MEBIBYTE = 1024 * 1024
MESSAGES = 64
"""Of 1 MiB each, which is what they would need in memory."""


def long_text() -> str:
    """A text of 1 MiB that does not compress below half."""
    return os.urandom(MEBIBYTE // 2).hex()


@pytest.mark.parametrize(
    ("file_format", "conversations", "workers", "most_mebibytes"),
    [
        ("ndjson", 1, WORKERS, 75),
        ("ndjson", MESSAGES, WORKERS, 75),
        ("parquet", 4, 1, 105),
    ],
)
def test_large_messages_are_streamed(
    tmp_path: Path, file_format: str, conversations: int, workers: int, most_mebibytes: int
) -> None:
    """The limit is between what an extraction of any number of messages needs and that with all messages in memory."""
    each = MESSAGES // conversations
    specs = [
        ThreadSpec(
            "MESSENGER",
            [MessageSpec(UNTIL - MINUTE * (n + 1) - timedelta(seconds=m), long_text()) for m in range(each)],
            thread_id=f"t_{n}",
        )
        for n in range(conversations)
    ]
    with scene(tmp_path, specs, gzip=False) as page:
        command = [sys.executable, "-m", "tests.integration.extract.memory_of_an_extraction", page.server.url]
        arguments = [
            page.server.user_token,
            str(page.folder),
            file_format,
            str(conversations),
            str(workers),
            UNTIL.isoformat(),
        ]
        printed = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    figures = json.loads(printed.stdout.splitlines()[-1])
    assert figures["messages"] == MESSAGES
    assert figures["peak"] - figures["before"] <= most_mebibytes

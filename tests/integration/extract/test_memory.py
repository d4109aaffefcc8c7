"""Memory is bounded in bytes: it does not grow with the number of long messages."""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_metaconv.emulator import MessageSpec, ThreadSpec
from tests.integration.extract.scene import MINUTE, UNTIL, scene

MEBIBYTE = 1024 * 1024
MESSAGES = 100
"""Of 1 MiB each. With all of them in memory the peak would be far above the limit."""

MOST_MEBIBYTES = 150


def long_text(number: int) -> str:
    """A text of 1 MiB that hardly compresses."""
    return base64.b64encode(random.Random(number).randbytes(MEBIBYTE * 3 // 4)).decode()


@pytest.mark.parametrize(("file_format", "conversations"), [("ndjson", 1), ("ndjson", MESSAGES), ("parquet", 4)])
def test_large_messages_are_streamed(tmp_path: Path, file_format: str, conversations: int) -> None:
    each = MESSAGES // conversations
    specs = [
        ThreadSpec(
            "MESSENGER",
            [
                MessageSpec(UNTIL - MINUTE * (n + 1) - timedelta(seconds=m), long_text(n * each + m))
                for m in range(each)
            ],
            thread_id=f"t_{n}",
        )
        for n in range(conversations)
    ]
    with scene(tmp_path, specs, gzip=False) as page:
        command = [sys.executable, "-m", "tests.integration.extract.memory_of_an_extraction", page.server.url]
        arguments = [page.server.user_token, str(page.folder), file_format, UNTIL.isoformat()]
        printed = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    figures = json.loads(printed.stdout.splitlines()[-1])
    assert figures["messages"] == MESSAGES
    assert figures["peak"] - figures["before"] <= MOST_MEBIBYTES

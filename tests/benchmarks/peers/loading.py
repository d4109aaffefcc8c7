"""The cost of loading a million messages into DuckDB, then 1 % of them changed; each load in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.load import load_manifests
from airflow_provider_metaconv.schema import Row
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from local_servers.pinned_environment import REPOSITORY
from tests.benchmarks.sample_rows import DAY, MESSAGES_IN_A_CONVERSATION, conversations, messages, write_window
from tests.integration.peak_memory import peak_megabytes

MESSAGES = 1_000_000
CHANGED = MESSAGES // 100
Figures = dict[str, float]


def loading_cost() -> dict[str, Figures]:
    """Seconds and peak memory in MB, by what was loaded."""
    return {
        f"{name} from {file_format}": figures
        for file_format in ("ndjson", "parquet")
        for name, figures in _both(file_format)
    }


def _both(file_format: str) -> Iterator[tuple[str, Figures]]:
    with tempfile.TemporaryDirectory(prefix="metaconv-bench-") as name:
        folder = Path(name)
        all_of_it, later = LocalStorage(folder / "all"), LocalStorage(folder / "later")
        ledger = MESSAGES // MESSAGES_IN_A_CONVERSATION
        write_window(all_of_it, file_format, messages(MESSAGES), conversations(ledger))
        read = DAY + timedelta(hours=1)
        write_window(later, file_format, _changed(), conversations(ledger // 100, read))
        yield "1,000,000 messages", _load(folder, all_of_it, MESSAGES)
        yield "10,000 changed ones of 1,000,000", _load(folder, later, CHANGED)


def _changed() -> Iterator[Row]:
    """Every hundredth message, with a new reaction."""
    later = (DAY + timedelta(hours=1)).isoformat()
    for number, row in enumerate(messages(MESSAGES)):
        if number % 100 == 0:
            yield row | {"reactions": [{"reaction": "love", "users": [{"id": "9"}]}], "extracted_time": later}


def _load(folder: Path, window: LocalStorage, expected: int) -> Figures:
    command = [sys.executable, "-m", "tests.benchmarks.peers.loading"]
    arguments = [str(folder / "messages.duckdb"), window.uri("_manifest.json")]
    done = subprocess.run([*command, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-1000:])
    figures: Figures = json.loads(done.stdout)
    if figures.pop("changed") != expected:
        raise RuntimeError(f"{expected} new or changed messages were expected")
    return figures


def main(database: str, manifest: str) -> None:
    """Loads one manifest and prints the cost."""
    started = time.perf_counter()
    with DuckDBWarehouse(database) as warehouse:
        result = load_manifests([manifest], warehouse).tables["messages"]
    seconds = time.perf_counter() - started
    changed = result.inserted + result.updated
    print(json.dumps({"seconds": seconds, "peak_mb": peak_megabytes(), "changed": changed}))


if __name__ == "__main__":
    main(*sys.argv[1:])

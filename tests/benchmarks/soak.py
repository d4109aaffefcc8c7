"""A million messages with all kinds of faults at once: ``make soak``. Prints the cost, and fails if one is missing.

An emulator in its own process injects every kind of fault. Each attempt of the extraction runs in its own process, so
that its peak memory can be measured. An attempt that ends in a rate limit is followed by another, as in Airflow.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from tests.integration.peak_memory import peak_megabytes

UNTIL = datetime(2026, 11, 20, tzinfo=UTC)
MOST_ATTEMPTS = 40
MESSENGER_FOLDERS = ("inbox", "page_done", "spam", "other")
FAULTS: list[dict[str, Any]] = [
    {"code": 80006, "after_calls": 400, "every": 1500, "times": 4, "block_seconds": 3, "regain_minutes": 1},
    {"code": 613, "every": 700, "times": 6, "after_calls": 100, "regain_minutes": 0},
    {"name": "100/cursor", "after_calls": 900, "every": 3000, "times": 2, "route": "conversations"},
    {"name": "repeated_cursor", "after_calls": 1700, "times": 1, "route": "conversations"},
    {"name": "too_much_data", "more_than": 4000},
    *(
        {"name": name, "probability": 0.004, "seed": seed}
        for seed, name in enumerate(
            ("2", "1/99", "html_500", "service_unavailable_200", "reset_before", "reset_middle", "truncated_json")
        )
    ),
    *(
        {"name": name, "probability": 0.004, "seed": seed}
        for seed, name in enumerate(("truncated_gzip", "empty_page", "short_page", "foreign_next"), start=100)
    ),
]


def main(messages: int = 1_000_000) -> None:
    """Extracts both platforms; prints one line per attempt, and a summary."""
    with tempfile.TemporaryDirectory() as folder, emulator(Path(folder), messages) as server:
        started = time.perf_counter()
        for platform in ("MESSENGER", "INSTAGRAM"):
            peaks = list(attempts(server, Path(folder) / platform, platform))
            check(server, Path(folder) / platform, platform)
            print(f"{platform}: {len(peaks)} attempts, peak memory {max(peaks):.0f} MB, {min(peaks):.0f} MB at least")
        statistics = requests.get(f"{server['url']}/_emulator/statistics", timeout=60).json()
        print(f"{statistics['calls']} calls in {time.perf_counter() - started:.0f} s; faults: {statistics['faults']}")


@contextmanager
def emulator(folder: Path, messages: int) -> Iterator[dict[str, Any]]:
    """The emulator with its faults, on a free port."""
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "airflow_provider_metaconv.emulator", "--pages", "1", "--days", "365"]
    command += ["--messages", str(messages), "--now", UNTIL.isoformat(), "--ready-file", str(ready)]
    with subprocess.Popen([*command, "--faults", json.dumps(FAULTS)], stdout=subprocess.DEVNULL) as process:
        try:
            while not ready.exists():
                assert process.poll() is None, "the emulator did not start"
                time.sleep(0.2)
            yield json.loads(ready.read_text())
        finally:
            process.terminate()


def attempts(server: dict[str, Any], folder: Path, platform: str) -> Iterator[float]:
    """Runs attempts until the extraction is done; yields the peak memory of each in megabytes."""
    for _ in range(MOST_ATTEMPTS):
        command = [sys.executable, "-m", "tests.benchmarks.soak", server["url"], server["page_tokens"]["100"]]
        done = subprocess.run([*command, str(folder), platform], capture_output=True, text=True)
        if not done.stdout:
            raise SystemExit(done.stderr[-2000:])
        figures = json.loads(done.stdout.splitlines()[-1])
        print(f"  {platform}: {figures}", flush=True)
        yield figures["peak_megabytes"]
        if figures["ended"] == "done":
            return
        time.sleep(figures.get("wait", 0))
    raise SystemExit("the extraction does not finish")


def check(server: dict[str, Any], folder: Path, platform: str) -> None:
    """Checks that every message is in the files once, by the emulator's ground truth."""
    import duckdb

    query = {"page_id": "100", "platform": platform, "folder": "all", "until": UNTIL.isoformat(), "ids": "true"}
    truth = requests.get(f"{server['url']}/_emulator/ground_truth", params=query, timeout=600).json()
    found = duckdb.execute(f"SELECT message_id FROM read_json('{folder}/messages-*.ndjson.gz')").fetchall()
    ids = sorted(row[0] for row in found)
    assert truth["message_ids"] == ids, f"{len(truth['message_ids'])} expected, {len(ids)} found"
    stats = json.loads((folder / "_manifest.json").read_bytes())["stats"]
    print(f"{platform}: all {len(ids):,} messages, each once; {stats}")


def one_attempt(url: str, token: str, folder: str, platform: str) -> None:
    """Runs one attempt in this process; prints its figures as JSON."""
    from airflow_provider_metaconv.extract.extraction import extract_conversations
    from airflow_provider_metaconv.extract.rows import ExtractionContext
    from airflow_provider_metaconv.files.storage.local import LocalStorage
    from airflow_provider_metaconv.graph.auth import Credentials
    from airflow_provider_metaconv.graph.client import GraphClient
    from airflow_provider_metaconv.graph.conversations import ConversationsEdge
    from airflow_provider_metaconv.graph.errors import GraphError, RateLimitError
    from airflow_provider_metaconv.graph.limits import Pacer
    from airflow_provider_metaconv.graph.session import graph_session
    from airflow_provider_metaconv.window import Window

    client = GraphClient(
        graph_session(),
        Credentials(token),
        base_url=url,
        own_ids={"100"},
        pacer=Pacer(1e9),
        sleep=lambda s: time.sleep(s / 20),
    )
    folders = MESSENGER_FOLDERS if platform == "MESSENGER" else (None,)
    edges = [ConversationsEdge(client.get, "100", platform, name) for name in folders]
    scope = ExtractionContext(platform, "100", frozenset({"100"}), Window(None, UNTIL))
    figures: dict[str, Any] = {"ended": "done"}
    try:
        result = extract_conversations(edges, scope, LocalStorage(folder), client)
        if not result.complete:
            # The operator would fail and Airflow would retry.
            figures = {"ended": f"partial: {result.gaps}"[:60]}
    except RateLimitError as error:
        figures = {"ended": str(error)[:60], "wait": min(error.retry_after, 3)}
    except GraphError as error:
        figures = {"ended": str(error)[:60]}
    print(json.dumps(figures | {"calls": client.calls, "peak_megabytes": round(peak_megabytes(), 1)}))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        one_attempt(*sys.argv[1:])
    else:
        main(*map(int, sys.argv[1:]))

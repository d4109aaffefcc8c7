"""Speed and memory of an extraction: ``make benchmark``. Figures, not asserts; the README quotes them.

An emulator in its own process serves one Page. For each file format the extraction runs in a fresh process, without
pacing. A first, unmeasured run makes the emulator render its responses, so that only the client is measured.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

MESSAGES = 60_000


def main() -> None:
    """Runs each measurement in its own process; each prints one line."""
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.json"
        command = [sys.executable, "-m", "airflow_provider_metaconv.emulator", "--pages", "1"]
        command += ["--messages", str(MESSAGES), "--now", "2026-11-20T00:00:00+00:00", "--ready-file", str(ready)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as emulator:
            try:
                while not ready.exists():
                    assert emulator.poll() is None, "the emulator did not start"
                    time.sleep(0.1)
                server = json.loads(ready.read_text())
                for file_format in ("ndjson", "ndjson", "parquet"):
                    subprocess.run(
                        [sys.executable, "-m", __spec__.name, server["url"], server["page_tokens"]["100"], file_format],
                        check=True,
                    )
            finally:
                emulator.terminate()


def measure(url: str, token: str, file_format: str) -> None:
    """Extracts all of Page 100. Prints messages per second, and memory above that of the process after its imports."""
    from airflow_provider_metaconv.extract.extraction import Settings, extract_conversations
    from airflow_provider_metaconv.extract.rows import ExtractionContext
    from airflow_provider_metaconv.files.storage.local import LocalStorage
    from airflow_provider_metaconv.graph.auth import Credentials
    from airflow_provider_metaconv.graph.client import GraphClient
    from airflow_provider_metaconv.graph.conversations import ConversationsEdge
    from airflow_provider_metaconv.graph.limits import Pacer
    from airflow_provider_metaconv.graph.session import graph_session
    from airflow_provider_metaconv.window import Window

    if file_format == "parquet":
        import pyarrow.parquet  # noqa: F401  (the library's own size is not the extraction's)
    base = _peak_megabytes()
    messages = calls = 0
    started = time.perf_counter()
    for platform in ("MESSENGER", "INSTAGRAM"):
        client = GraphClient(graph_session(), Credentials(token), base_url=url, own_ids={"100"}, pacer=Pacer(1e9))
        folders = ("inbox", "page_done", "spam", "other") if platform == "MESSENGER" else (None,)
        edges = [ConversationsEdge(client.get, "100", platform, folder) for folder in folders]
        scope = ExtractionContext(platform, "100", frozenset({"100"}), Window(None, datetime(2026, 11, 21, tzinfo=UTC)))
        with tempfile.TemporaryDirectory() as folder:
            figures = client
            done = extract_conversations(edges, scope, LocalStorage(folder), figures, Settings(file_format))
        messages, calls = messages + done.messages, calls + done.calls
    seconds = time.perf_counter() - started
    print(
        f"{file_format:8}{messages:8,} messages in {seconds:5.2f} s: {messages / seconds:8,.0f} a second, "
        f"{calls} calls, {_peak_megabytes() - base:5.1f} MB above {base:.0f} MB"
    )


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(*sys.argv[1:])
    else:
        main()

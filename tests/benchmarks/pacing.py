"""How well an extraction uses the allowed pace without exceeding it: ``make benchmark``. Each call takes 1.5 s."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from airflow_provider_metaconv.emulator import EmulatorServer, EmulatorSettings, uniform_world
from airflow_provider_metaconv.extract.extraction import Settings, extract_conversations
from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.extract.rows import ExtractionContext
from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.graph.auth import Credentials
from airflow_provider_metaconv.graph.client import GraphClient
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.graph.session import graph_session
from airflow_provider_metaconv.window import Window

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def main() -> None:
    """Reads 8 conversations of 1,000 messages each, with the default pacer of 2 calls per second."""
    world = uniform_world(threads=8, messages_per_thread=1000, now=NOW, spacing_seconds=1)
    with EmulatorServer(world, EmulatorSettings(latency_ms=1500)) as server, tempfile.TemporaryDirectory() as folder:
        client = GraphClient(
            graph_session(), Credentials(server.page_token("100")), base_url=server.url, own_ids={"100"}
        )
        edge = ConversationsEdge(client.get, "100", "MESSENGER")
        scope = ExtractionContext("MESSENGER", "100", frozenset({"100"}), Window(None, NOW))
        started = time.perf_counter()
        settings = Settings(sizes=Sizes(8, 50, 100))
        extract_conversations([edge], scope, LocalStorage(Path(folder)), client, settings)
        # Everything waits for the response to the list's only call, so that nothing runs in parallel with it.
        seconds = time.perf_counter() - started - 1.5
        most = server.statistics()["max_calls_in_10_seconds"]["100"]
        used = 100 * (client.calls - 1) / seconds / 2
        print(
            f"{client.calls} calls of 1.5 s in {seconds:.1f} s: {used:.0f} % of 2 per second; maximum in 10 s: {most}"
        )


if __name__ == "__main__":
    main()

"""Extracts from a Graph API into a folder, in a separate process, and prints how much memory that took.

python -m tests.integration.extract.memory_of_an_extraction URL TOKEN FOLDER FORMAT CONVERSATIONS WORKERS UNTIL
"""

from __future__ import annotations

import json
import sys
from datetime import datetime

from airflow_provider_metaconv.extract.extraction import Settings, extract_conversations
from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.extract.rows import ExtractionContext
from airflow_provider_metaconv.files import LocalStorage, PartsWriter
from airflow_provider_metaconv.graph.auth import page_identity
from airflow_provider_metaconv.graph.client import GraphClient
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.graph.credentials import Credentials
from airflow_provider_metaconv.graph.limits import Pacer
from airflow_provider_metaconv.graph.session import MEBIBYTE, Bounds, graph_session
from airflow_provider_metaconv.schema import MESSAGES
from airflow_provider_metaconv.window import Window
from tests.integration.peak_memory import peak_megabytes


def main() -> None:
    """Prints ``{"before": MiB, "peak": MiB, "messages": n}``."""
    url, token, folder, file_format, conversations, workers, until = sys.argv[1:]
    client = GraphClient(graph_session(Bounds(16 * MEBIBYTE)), Credentials(token), base_url=url, pacer=Pacer(1e6))
    identity = page_identity(client.get, "100", with_instagram=False)
    client.use_page(identity)
    edge = ConversationsEdge(client.get, "100", "MESSENGER", None, None)
    context = ExtractionContext("MESSENGER", "100", identity.own_ids, Window(None, datetime.fromisoformat(until)))
    if file_format == "parquet":
        # Memory of pyarrow itself, and of pandas where installed, is not counted.
        with PartsWriter(LocalStorage(f"{folder}-before"), MESSAGES, file_format) as writer:
            writer.write([{"message_id": "m"}])
    settings = Settings(file_format, Sizes(int(conversations), 100), int(workers))
    before = peak_megabytes()
    result = extract_conversations([edge], context, LocalStorage(folder), client, settings)
    figures = {"before": before, "peak": peak_megabytes(), "messages": result.messages}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()

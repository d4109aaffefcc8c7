"""This provider's extraction, as a task runs it, into a local folder and without pacing."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime

from airflow_provider_metaconv.extract.extraction import Settings, extract_conversations
from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.extract.rows import ExtractionContext
from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.graph.auth import Credentials, page_identity
from airflow_provider_metaconv.graph.client import GraphClient
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.graph.limits import Pacer
from airflow_provider_metaconv.graph.session import graph_session
from airflow_provider_metaconv.window import Window
from tests.benchmarks.peers.clients.measuring import PAGE_ID, SINCE, TOKEN, UNTIL, Job, run


def extract(job: Job) -> None:
    """Extracts the window's messages and ledger, with the format and sizes of the options."""
    shape = job.shape
    client = GraphClient(graph_session(), Credentials(TOKEN), base_url=job.base_url, pacer=Pacer(1e9))
    if shape.whole_task:
        client.use_page(page_identity(client.get, PAGE_ID, with_instagram=False))
    edge = ConversationsEdge(client.get, PAGE_ID, "MESSENGER")
    window = Window(SINCE, UNTIL) if shape.incremental else Window(None, datetime(2026, 11, 21, tzinfo=UTC))
    scope = ExtractionContext("MESSENGER", PAGE_ID, frozenset({PAGE_ID}), window)
    given = (shape.page_size, shape.nested, shape.follow_up) if job.options.get("given_sizes") else None
    fixed = job.options.get("sizes", given)
    sizes = None if fixed is None else Sizes(*fixed)
    workers = {"workers": job.options["workers"]} if "workers" in job.options else {}
    settings = Settings(job.options["format"], sizes=sizes, **workers)
    extract_conversations([edge], scope, LocalStorage(job.folder / "out"), client, settings)


def found_ids(job: Job) -> Iterable[str]:
    """The ids in the parts that the manifest names."""
    manifest = json.loads((job.folder / "out" / "_manifest.json").read_bytes())
    for file in manifest["files"]:
        path = job.folder / "out" / file["path"]
        if file["table"] != "messages":
            continue
        if path.suffix == ".parquet":
            import pyarrow.parquet

            yield from pyarrow.parquet.read_table(path, columns=["message_id"])["message_id"].to_pylist()
        else:
            with gzip.open(path) as lines:
                for line in lines:
                    yield json.loads(line)["message_id"]


if __name__ == "__main__":
    if '"parquet"' in sys.argv[4]:
        from airflow_provider_metaconv.files.parquet import arrow_schema
        from airflow_provider_metaconv.schema import MESSAGES

        # Imports pyarrow as the writer does, and pandas if installed, with the first array: the libraries' memory does
        # not depend on the rows.
        arrow_schema(MESSAGES).empty_table()
        pyarrow = sys.modules["pyarrow"]
        pyarrow.array([""])
    run(extract, found_ids)

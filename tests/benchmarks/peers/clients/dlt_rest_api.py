"""dlt's rest_api source into DuckDB: conversations, and a child resource that requests each one's messages.

Its intermediate files are its default, INSERT statements, or set by the option. In an incremental shape it uses the
newest-first early stop that its documentation describes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}

import dlt
import duckdb
from dlt.sources.rest_api import RESTAPIConfig, rest_api_source

from tests.benchmarks.peers.clients.measuring import MESSAGE_FIELDS, PAGE_ID, SINCE, TOKEN, Job, run


def extract(job: Job) -> None:
    """Extracts all messages of the Page into a DuckDB table."""
    pipeline = dlt.pipeline(
        "messages",
        pipelines_dir=str(job.folder / "pipelines"),
        destination=dlt.destinations.duckdb(str(job.folder / "messages.duckdb")),
        dataset_name="graph",
        progress=None,
    )
    pipeline.run(rest_api_source(_config(job)), loader_file_format=job.options.get("files"))


def _config(job: Job) -> RESTAPIConfig:
    paginator = {"type": "json_link", "next_url_path": "paging.next"}
    conversations: dict[str, Any] = {
        "path": f"{PAGE_ID}/conversations",
        "params": {"platform": "MESSENGER", "fields": "id,updated_time", "limit": job.shape.page_size},
        "data_selector": "data",
        "paginator": paginator,
    }
    resource: dict[str, Any] = {"name": "conversations", "endpoint": conversations}
    messages: dict[str, Any] = {
        "path": "{resources.conversations.id}/messages",
        "params": {"fields": MESSAGE_FIELDS, "limit": job.shape.follow_up},
        "data_selector": "data",
        "paginator": paginator,
    }
    if job.shape.incremental:
        since = f"{SINCE.isoformat()[:19]}+0000"
        newest_first = {"cursor_path": "updated_time", "initial_value": since, "row_order": "desc"}
        conversations["incremental"] = newest_first
    return {
        "client": {"base_url": f"{job.base_url}/v26.0/", "auth": {"type": "bearer", "token": TOKEN}},
        "resource_defaults": {"primary_key": "id", "write_disposition": "append"},
        "resources": [resource, {"name": "messages", "endpoint": messages}],
    }


def found_ids(job: Job) -> Iterable[str]:
    """The ids in the table."""
    with duckdb.connect(str(job.folder / "messages.duckdb")) as database:
        tables = {name for (name,) in database.sql("SELECT table_name FROM information_schema.tables").fetchall()}
        if "messages" not in tables:
            return []
        return [row[0] for row in database.sql("SELECT id FROM graph.messages").fetchall()]


if __name__ == "__main__":
    run(extract, found_ids)

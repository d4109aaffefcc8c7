"""airbyte-cdk with a declarative manifest and ten workers: a stream of messages, partitioned by conversation.

Its output is written as the JSON lines that a destination would read. In an incremental shape the conversations are a
data feed, which it reads only back to its state.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any

import orjson
from airbyte_cdk.models import (
    AirbyteMessageSerializer,
    ConfiguredAirbyteCatalogSerializer,
    Type,
)
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource

from tests.benchmarks.peers.clients.measuring import MESSAGE_FIELDS, PAGE_ID, SINCE, TOKEN, UNTIL, Job, run

WORKERS = 10


def extract(job: Job) -> None:
    """Writes all messages of the Page as Airbyte's JSON lines."""
    logging.disable(logging.INFO)
    stream = {"name": "messages", "json_schema": {}, "supported_sync_modes": ["full_refresh"]}
    configured = {"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "append"}
    catalog = ConfiguredAirbyteCatalogSerializer.load({"streams": [configured]})
    source = ConcurrentDeclarativeSource(catalog=catalog, config={}, state=[], source_config=_manifest(job))
    with (job.folder / "messages.jsonl").open("wb") as out:
        for message in source.read(logging.getLogger("airbyte"), {}, catalog, []):
            out.write(orjson.dumps(AirbyteMessageSerializer.dump(message), option=orjson.OPT_APPEND_NEWLINE))


def _manifest(job: Job) -> dict[str, Any]:
    conversations = _stream(
        job,
        "conversations",
        f"{PAGE_ID}/conversations",
        {"platform": "MESSENGER", "fields": "id,updated_time"},
        job.shape.page_size,
    )
    if job.shape.incremental:
        conversations["incremental_sync"] = {
            "type": "DatetimeBasedCursor",
            "cursor_field": "updated_time",
            "cursor_datetime_formats": ["%Y-%m-%dT%H:%M:%S%z"],
            "datetime_format": "%Y-%m-%dT%H:%M:%S%z",
            "start_datetime": f"{SINCE.isoformat()[:19]}+0000",
            "end_datetime": f"{UNTIL.isoformat()[:19]}+0000",
            "is_data_feed": True,
        }
    messages = _stream(
        job,
        "messages",
        "{{ stream_partition.conversation_id }}/messages",
        {"fields": MESSAGE_FIELDS},
        job.shape.follow_up,
    )
    parent: dict[str, Any] = {
        "type": "ParentStreamConfig",
        "stream": conversations,
        "parent_key": "id",
        "partition_field": "conversation_id",
    }
    if job.shape.incremental:
        parent["incremental_dependency"] = True
    messages["retriever"]["partition_router"] = {
        "type": "SubstreamPartitionRouter",
        "parent_stream_configs": [parent],
    }
    return {
        "version": "7.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["messages"]},
        "streams": [messages],
        "concurrency_level": {
            "type": "ConcurrencyLevel",
            "default_concurrency": WORKERS,
            "max_concurrency": WORKERS,
        },
    }


def _stream(job: Job, name: str, path: str, parameters: dict[str, str], limit: int) -> dict[str, Any]:
    return {
        "type": "DeclarativeStream",
        "name": name,
        "primary_key": "id",
        "schema_loader": {
            "type": "InlineSchemaLoader",
            "schema": {"type": "object", "additionalProperties": True, "properties": {"id": {"type": "string"}}},
        },
        "retriever": {
            "type": "SimpleRetriever",
            "record_selector": {
                "type": "RecordSelector",
                "extractor": {"type": "DpathExtractor", "field_path": ["data"]},
            },
            "requester": {
                "type": "HttpRequester",
                "url_base": f"{job.base_url}/v26.0/",
                "path": path,
                "http_method": "GET",
                "request_parameters": parameters,
                "authenticator": {"type": "BearerAuthenticator", "api_token": TOKEN},
            },
            "paginator": {
                "type": "DefaultPaginator",
                "page_size_option": {
                    "type": "RequestOption",
                    "inject_into": "request_parameter",
                    "field_name": "limit",
                },
                "page_token_option": {
                    "type": "RequestOption",
                    "inject_into": "request_parameter",
                    "field_name": "after",
                },
                "pagination_strategy": {
                    "type": "CursorPagination",
                    "page_size": limit,
                    "cursor_value": "{{ response.paging.cursors.after }}",
                    "stop_condition": "{{ 'next' not in response.get('paging', {}) }}",
                },
            },
        },
    }


def found_ids(job: Job) -> Iterable[str]:
    """The ids of the emitted records."""
    with (job.folder / "messages.jsonl").open() as lines:
        for line in lines:
            message = json.loads(line)
            if message["type"] == Type.RECORD.value:
                yield message["record"]["data"]["id"]


if __name__ == "__main__":
    run(extract, found_ids)

"""Undocumented responses: nothing crashes, nothing is lost silently, and the files can still be loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from airflow_provider_metaconv.extract.extraction import Settings, extract_conversations
from airflow_provider_metaconv.extract.rows import ExtractionContext
from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.graph.auth import Credentials
from airflow_provider_metaconv.graph.client import GraphClient
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.graph.errors import TransientError
from airflow_provider_metaconv.graph.limits import Pacer
from airflow_provider_metaconv.load import load_manifests
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from airflow_provider_metaconv.window import Window
from tests.integration.extract.extraction import Written, written

UNTIL = datetime(2026, 11, 21, tzinfo=UTC)
TIME = "2026-11-20T09:30:39+0000"


class Canned:
    """A server that returns the same response to every call."""

    def __init__(self) -> None:
        self.response: dict[str, Any] = {}
        canned = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(canned.response).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Logs nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def canned() -> Iterator[Canned]:
    running = Canned()
    yield running
    running.server.shutdown()
    running.server.server_close()


def extracted(canned: Canned, folder: Path, conversation: dict[str, Any], file_format: str = "ndjson") -> Written:
    """What is written for a list with this one conversation; it must load as well."""
    found, manifest = written_for(canned, folder, conversation, file_format)
    load([manifest], folder)
    return found


def load(manifests: list[str], folder: Path) -> None:
    with DuckDBWarehouse(folder / "warehouse.duckdb") as warehouse:
        load_manifests(manifests, warehouse)


def written_for(
    canned: Canned, folder: Path, conversation: dict[str, Any], file_format: str = "ndjson"
) -> tuple[Written, str]:
    """What is written for a list with this one conversation, and the path of its manifest."""
    canned.response = {"data": [conversation]}
    url = f"http://127.0.0.1:{canned.server.server_address[1]}"
    pacer = Pacer(1e6)
    client = GraphClient(requests.Session(), Credentials("token"), base_url=url, pacer=pacer, attempts=1)
    scope = ExtractionContext("MESSENGER", "100", frozenset({"100"}), Window(None, UNTIL))
    edges = [ConversationsEdge(client.get, "100", "MESSENGER")]
    figures = client
    done = extract_conversations(edges, scope, LocalStorage(folder), figures, Settings(file_format))
    return (written(folder) if file_format == "ndjson" else Written({}, [], [], [], [])), done.manifest


def conversation(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "t_1", "updated_time": TIME, "messages": {"data": list(messages)}, **fields}


VALUES = [1, -1, 10**30, 1.5, True, [], ["x"], {}, {"id": "x"}, "text", None]


@pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
@pytest.mark.parametrize("field", ["message", "sticker", "from", "to", "tags", "attachments", "shares", "reactions"])
def test_a_malformed_field_loses_neither_the_message_nor_the_load(
    canned: Canned, tmp_path: Path, field: str, file_format: str
) -> None:
    messages = [{"id": f"m_{n}", "created_time": TIME, field: value} for n, value in enumerate(VALUES)]
    found = extracted(canned, tmp_path, conversation(*messages), file_format)
    if file_format == "ndjson":
        assert [f"m_{n}" for n in range(len(VALUES))] == sorted(found.message_ids, key=lambda i: int(i[2:]))


@pytest.mark.parametrize("field", ["message_count", "participants", "updated_time", "unheard_of"])
def test_a_malformed_conversation_field_loses_nothing(canned: Canned, tmp_path: Path, field: str) -> None:
    message, manifests = {"id": "m_1", "created_time": TIME}, []
    for number, value in enumerate(VALUES):
        found, manifest = written_for(canned, tmp_path / str(number), conversation(message, **{field: value}))
        assert (value, found.message_ids) == (value, ["m_1"])
        manifests.append(manifest)
    load(manifests, tmp_path)


@pytest.mark.parametrize(
    "node", [{"id": "m_1"}, {"created_time": TIME}, {"id": "m_1", "created_time": "2026-13-45"}, {}]
)
def test_a_message_without_id_or_time_makes_its_conversation_incomplete(
    canned: Canned, tmp_path: Path, node: dict[str, Any]
) -> None:
    found = extracted(canned, tmp_path, conversation(node))
    [row], [gap] = found.conversations, found.gaps
    assert (row["status"], row["messages_extracted"], row["messages_unavailable"]) == ("truncated_by_platform", 0, 0)
    assert gap["messages_known"] == 1
    assert row["reason"].startswith("1 messages came without an id or a time")


@pytest.mark.parametrize("paging", ["text", [], {"cursors": "x", "next": "y"}, {"next": "https://x.example.com"}, 7])
def test_malformed_paging_never_ends_a_list_silently(canned: Canned, tmp_path: Path, paging: object) -> None:
    canned.response = {"data": [conversation({"id": "m_1", "created_time": TIME})], "paging": paging}
    url = f"http://127.0.0.1:{canned.server.server_address[1]}"
    client = GraphClient(requests.Session(), Credentials("token"), base_url=url, pacer=Pacer(1e6), attempts=1)
    edge = ConversationsEdge(client.get, "100", "MESSENGER")
    if paging == []:
        assert edge.conversations(["id"], 5).next_parameters is None
        return
    with pytest.raises(Exception, match=r"next page|invalid paging object") as caught:
        edge.conversations(["id"], 5)
    assert type(caught.value).__name__ in ("UnexpectedResponseError", "CursorError")


def test_a_conversation_without_an_id_is_an_error(canned: Canned, tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="without an ID"):
        extracted(canned, tmp_path, {"updated_time": TIME})


def test_the_next_attempt_rereads_a_list_with_a_missing_id(canned: Canned, tmp_path: Path) -> None:
    whole = [conversation({"id": f"m_{n}", "created_time": TIME}) | {"id": f"t_{n}"} for n in range(3)]
    url = f"http://127.0.0.1:{canned.server.server_address[1]}"

    def extract() -> None:
        client = GraphClient(requests.Session(), Credentials("token"), base_url=url, pacer=Pacer(1e6), attempts=1)
        scope = ExtractionContext("MESSENGER", "100", frozenset({"100"}), Window(None, UNTIL))
        edges = [ConversationsEdge(client.get, "100", "MESSENGER")]
        extract_conversations(edges, scope, LocalStorage(tmp_path), client)

    canned.response = {"data": [whole[0], {"updated_time": TIME}, whole[2]]}
    with pytest.raises(TransientError, match="without an ID"):
        extract()
    canned.response = {"data": whole}
    extract()
    assert sorted(written(tmp_path).message_ids) == ["m_0", "m_1", "m_2"]

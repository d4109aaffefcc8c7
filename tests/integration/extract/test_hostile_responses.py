"""Nothing that Meta sends stops an extraction: any text or JSON is stored, or its conversation is marked."""

from __future__ import annotations

import gc
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_metaconv.extract.extraction import Settings, extract_conversations
from airflow_provider_metaconv.extract.rows import ExtractionContext
from airflow_provider_metaconv.files.manifest import CHECKPOINT_NAME
from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.graph.client import GraphClient
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.load import load_manifests
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from airflow_provider_metaconv.window import Window
from tests.integration.extract.extraction import written
from tests.integration.graph.scripted_server import Reply, ScriptedServer, graph_error, reply

TIME = "2026-11-20T09:30:39+0000"
UNTIL = datetime(2026, 11, 21, tzinfo=UTC)
HALF = r"\ud83d"


def extract(client: GraphClient, folder: Path, file_format: str = "ndjson") -> Any:
    scope = ExtractionContext("MESSENGER", "100", frozenset({"100"}), Window(None, UNTIL))
    edges = [ConversationsEdge(client.get, "100", "MESSENGER")]
    return extract_conversations(edges, scope, LocalStorage(folder), client, Settings(file_format))


def loaded(done: Any, folder: Path) -> None:
    load([done.manifest], folder)


def load(manifests: list[str], folder: Path) -> None:
    with DuckDBWarehouse(folder / "warehouse.duckdb") as warehouse:
        load_manifests(manifests, warehouse)


def message(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "created_time": TIME, **fields}


@pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
def test_unpaired_surrogates_anywhere_lose_nothing(tmp_path: Path, file_format: str) -> None:
    """In ids, names, cursors, participants and texts, while checkpoints are written after each call."""
    person = {"id": f"7{HALF}", "name": f"Half {HALF}"}

    def raw(body: Any) -> Reply:
        return reply(json.dumps(body).replace("\\\\", "\\").encode())

    def respond(path: str, query: dict[str, str]) -> Reply:
        if path == "100/conversations":
            whole = {
                "data": [message(f"m_1{HALF}", message=f"a{HALF}", **{"from": person, "to": {"data": [person]}})],
                "paging": {"cursors": {"after": f"QVFI{HALF}"}, "next": "https://graph.facebook.com/x"},
            }
            first = {"id": f"t_1{HALF}", "updated_time": TIME, "messages": whole, "participants": {"data": [person]}}
            return raw({"data": [first, {"id": "t_2", "updated_time": TIME}]})
        if path.endswith("messages"):
            return raw({"data": [message(f"{path[:3]}{HALF}{query.get('after')}", message=HALF)]})
        if path.endswith("participants"):
            return raw({"data": [person]})
        return raw({"id": "t_2", "updated_time": TIME, "messages": {"data": [message("m_3")]}})

    with ScriptedServer(respond) as server:
        done = extract(server.client(attempts=2), tmp_path, file_format)
    loaded(done, tmp_path)
    assert not (tmp_path / CHECKPOINT_NAME).exists()
    assert done.conversations == 2
    assert done.messages == 3


@pytest.mark.parametrize("half", [f"QVFI{HALF}", f"{HALF}\\udc00\\ud83d", f"{HALF}{HALF}"])
def test_an_unpaired_surrogate_in_a_cursor_keeps_the_checkpoint_valid(tmp_path: Path, half: str) -> None:
    def respond(path: str, query: dict[str, str]) -> Reply:
        first = {"id": "t_1", "updated_time": TIME, "messages": {"data": [message("m_1")]}}
        if query.get("after"):
            return reply({"data": [first | {"id": "t_2", "messages": {"data": [message("m_2")]}}]})
        paging = {"cursors": {"after": "CURSOR"}, "next": "https://graph.facebook.com/x"}
        return reply(json.dumps({"data": [first], "paging": paging}).replace("CURSOR", half).encode())

    with ScriptedServer(respond) as server:
        done = extract(server.client(attempts=1), tmp_path)
    loaded(done, tmp_path)
    assert (done.conversations, done.messages) == (2, 2)


DEPTHS = [150, 254, 300, 600, 1100, 20_000]


@pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
@pytest.mark.parametrize("field", ["attachments", "message", "from", "participants", "unheard_of", "updated_time"])
def test_values_of_any_depth_lose_no_message(tmp_path: Path, file_format: str, field: str) -> None:
    # What earlier tests left must not be finalized at the end of the stack, where every finalizer fails.
    gc.collect()
    load([deep_message_of(depth, field, file_format, tmp_path / str(depth)) for depth in DEPTHS], tmp_path)


def deep_message_of(depth: int, field: str, file_format: str, folder: Path) -> str:
    """Extracts one message with lists of this depth in a field, and returns the path of the manifest."""
    deep = "[" * depth + '"x"' + "]" * depth

    def respond(path: str, _: dict[str, str]) -> Reply:
        deep_message = message("m_1", **{field: "DEEP"})
        first = {"id": "t_1", "updated_time": TIME, "messages": {"data": [deep_message]}}
        if field in ("participants", "updated_time"):
            first |= {field: "DEEP", "messages": {"data": [message("m_1")]}}
        body: Any = {"data": [first]} if path == "100/conversations" else first
        body = {"data": [deep_message]} if path.endswith("messages") else body
        return reply(json.dumps(body).replace('"DEEP"', deep).encode())

    with ScriptedServer(respond) as server:
        done = extract(server.client(attempts=1), folder, file_format)
    assert (depth, done.conversations, done.messages) == (depth, 1, 1)
    if file_format == "ndjson":
        assert written(folder).message_ids == ["m_1"]
    return str(done.manifest)


UNREADABLE = [
    b"[" * 100_000,
    b'{"id": "t_1", "messages": ' + b"[" * 300_000,
    b"",
    b"\xff\xfe",
    b"<html>",
    b'{"id": ' + b"9" * 5000 + b"}",
    b'{"id": "t_1"}{"id": "t_1"}',
]


@pytest.mark.parametrize("body", UNREADABLE, ids=range(len(UNREADABLE)))
def test_an_unreadable_conversation_is_marked_and_the_others_are_read(tmp_path: Path, body: bytes) -> None:
    def respond(path: str, query: dict[str, str]) -> Reply:
        rows = [{"id": f"t_{n}", "updated_time": TIME} for n in range(3)]
        if path == "100/conversations":
            if "messages" in query["fields"]:
                return graph_error(1, "Please reduce the amount of data you're asking for, then retry your request")
            return reply({"data": rows})
        if path.startswith("t_1"):
            return reply(body)
        if path.endswith("messages"):
            return reply({"data": [message(f"m_{path[2]}")]})
        return reply(rows[int(path[2])] | {"messages": {"data": [message(f"m_{path[2]}")]}})

    with ScriptedServer(respond) as server:
        done = extract(server.client(attempts=2), tmp_path)
    loaded(done, tmp_path)
    found = written(tmp_path)
    assert sorted(found.message_ids) == ["m_0", "m_2"]
    assert {row["conversation_id"]: row["status"] for row in found.conversations if row["status"] != "complete"} == {
        "t_1": "unreadable"
    }


NUMBERS = ["9" * 5000, "-" + "9" * 5000, "1e999", "NaN", "-Infinity", "1e-999"]


@pytest.mark.parametrize("field", ["message_count", "message", "sticker", "tags", "participants"])
def test_numbers_of_any_size_lose_nothing(tmp_path: Path, field: str) -> None:
    first = {"id": "t_1", "updated_time": TIME, "messages": {"data": [message("m_1", **{field: "ODD"})]}, field: "ODD"}
    manifests = []
    for number, value in enumerate(NUMBERS):
        body = json.dumps({"data": [first]}).replace('"ODD"', value).encode()
        with ScriptedServer(lambda *_, body=body: reply(body)) as server:
            manifests.append(extract(server.client(attempts=1), tmp_path / str(number)).manifest)
        assert (value, written(tmp_path / str(number)).message_ids) == (value, ["m_1"])
    load(manifests, tmp_path)

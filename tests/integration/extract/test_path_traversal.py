"""An id is always one path segment: no call leaves the API version, and a bad id costs only its own conversation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_provider_metaconv.extract.extraction import Settings, extract_conversations
from airflow_provider_metaconv.extract.rows import ExtractionContext
from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.window import Window
from tests.integration.extract.extraction import SkippedTime, written
from tests.integration.graph.scripted_server import Reply, ScriptedServer, graph_error, reply

TIME = "2026-11-20T09:30:39+0000"
UNUSUAL_IDS = [
    "..",
    ".",
    "../me",
    "../../evil",
    "t_9/../../me",
    "?access_token=x",
    "#",
    "a?b",
    "a/b",
    "%2e%2e",
    "..\\me",
    "\\..\\",
]
TRAVERSING_IDS = {"..", ".", "../me", "../../evil", "t_9/../../me", "..\\me", "\\..\\"}


def extract(server: ScriptedServer, folder: Path, known: Sequence[str] = ()) -> None:
    clock = SkippedTime()
    client = server.client()
    scope = ExtractionContext("MESSENGER", "100", frozenset({"100"}), Window(None, datetime(2026, 11, 21, tzinfo=UTC)))
    settings = Settings(accept_partial=bool(known), clock=clock, sleep=clock.skip)
    edges = [ConversationsEdge(client.get, "100", "MESSENGER")]
    extract_conversations(edges, scope, LocalStorage(folder), client, settings, lambda: known)


def message(number: int) -> dict[str, str]:
    return {"id": f"m_{number}", "created_time": TIME, "message": "x"}


def is_inside(path: str) -> bool:
    """Whether a path, as received, is at most one id and one edge."""
    segments = path.split("/")
    return (
        len(segments) <= 2 and not {".", ".."} & set(segments) and segments[-1] in ("conversations", "messages", path)
    )


def test_listed_ids_never_leave_the_api_version(tmp_path: Path) -> None:
    def respond(path: str, _: dict[str, str]) -> Reply:
        if path == "100/conversations":
            # Without nested messages each conversation needs its own call.
            rows = [{"id": name, "updated_time": TIME} for name in [*UNUSUAL_IDS, "t_1"]]
            return reply({"data": rows})
        if path.endswith("/messages"):
            return reply({"data": [message(len(server.requests))]})
        return graph_error(2, "later", 500)

    server = ScriptedServer(respond)
    with server:
        extract(server, tmp_path)
    assert [path for path in server.paths if not is_inside(path)] == []
    statuses = {row["conversation_id"]: row["status"] for row in written(tmp_path).conversations}
    assert statuses == {name: "unreadable" if name in TRAVERSING_IDS else "complete" for name in [*UNUSUAL_IDS, "t_1"]}


@pytest.mark.parametrize("unprintable", ["t_\x00", "t_\n9", "\x1b[31m", "\u202et_9"])
def test_an_unprintable_id_costs_only_its_own_conversation(tmp_path: Path, unprintable: str) -> None:
    def respond(path: str, _: dict[str, str]) -> Reply:
        if path == "100/conversations":
            return reply({"data": [{"id": name, "updated_time": TIME} for name in (unprintable, "t_1")]})
        if path == "t_1":
            return reply({"id": "t_1", "updated_time": TIME, "messages": {"data": [message(1)]}})
        return graph_error(100, "Unsupported get request. Object does not exist", 400)

    with ScriptedServer(respond) as server:
        extract(server, tmp_path)
    statuses = {row["conversation_id"]: row["status"] for row in written(tmp_path).conversations}
    shown = "".join(character if character.isprintable() else "\ufffd" for character in unprintable)
    assert statuses == {shown: "unreadable", "t_1": "complete"}


@pytest.mark.parametrize("known", [["t_1", *UNUSUAL_IDS]])
def test_ids_of_earlier_results_never_leave_the_api_version(tmp_path: Path, known: list[str]) -> None:
    def respond(path: str, _: dict[str, str]) -> Reply:
        if path == "100/conversations":
            return graph_error(1, "An unknown error occurred", 500)
        if path.endswith("/messages"):
            return reply({"data": [message(len(server.requests))]})
        return graph_error(2, "later", 500)

    server = ScriptedServer(respond)
    with server:
        extract(server, tmp_path, known)
    assert [path for path in server.paths if not is_inside(path)] == []
    assert "t_1/messages" in server.paths
    statuses = {row["conversation_id"]: row["status"] for row in written(tmp_path).conversations}
    assert {statuses[name] for name in TRAVERSING_IDS} == {"unreadable"}
    assert statuses["t_1"] == "complete"


def test_the_link_to_the_next_page_is_never_followed(tmp_path: Path) -> None:
    def respond(path: str, query: dict[str, str]) -> Reply:
        more = "https://evil.example.com/../../v1.0/me?after=QVFI&access_token=x&fields=evil&limit=1"
        return reply({"data": []} if "after" in query else {"data": [], "paging": {"next": more}})

    with ScriptedServer(respond) as server:
        extract(server, tmp_path)
    assert set(server.paths) == {"100/conversations"}
    assert all(query["fields"] != "evil" and "access_token" not in query for _, query in server.requests)
    assert "QVFI" in {query.get("after") for _, query in server.requests}

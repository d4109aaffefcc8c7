"""A response counts only if it is what was requested: the list, the conversation, the messages."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_metaconv.graph.conversations import ConversationsEdge, nested_messages
from airflow_provider_metaconv.graph.errors import (
    Action,
    CursorError,
    ItemUnavailableError,
    TooMuchDataError,
    UnexpectedResponseError,
    UnexpectedRowsError,
)
from airflow_provider_metaconv.graph.pagination import ResultPage
from tests.integration.graph.scripted_server import Reply, ScriptedServer, graph_error, in_turn, reply

ROW = {"id": "t_1", "updated_time": "2026-11-20T09:30:39+0000"}
ONCE: tuple[Action, ...] = ()


def edge(server: ScriptedServer, folder: str | None = None) -> ConversationsEdge:
    return ConversationsEdge(server.client().get, "100", "MESSENGER", folder)


def test_the_list_is_requested_with_all_parameters_and_its_position() -> None:
    with ScriptedServer(in_turn(reply({"data": [ROW]}))) as server:
        page = edge(server, "spam").conversations(["id", "updated_time"], 50, {"until": "17", "__paging_token": "B"})
        [(path, query)] = server.requests
    assert page == ResultPage([ROW], None)
    assert path == "100/conversations"
    assert query == {
        "platform": "MESSENGER",
        "fields": "id,updated_time",
        "limit": "50",
        "folder": "spam",
        "until": "17",
        "__paging_token": "B",
    }


MALFORMED_LISTS: list[Any] = [
    {},
    {"data": None},
    {"data": [None]},
    {"data": [{}]},
    {"data": [{"id": ""}]},
    {"data": [{"id": None}]},
    {"data": [{"id": True}]},
    {"data": [{"id": ["t_1"]}]},
    {"data": [ROW, {"updated_time": "2026-11-20T09:30:39+0000"}]},
    {"id": "100"},
]


@pytest.mark.parametrize("body", MALFORMED_LISTS)
def test_a_malformed_list_is_requested_again(body: dict[str, Any]) -> None:
    with ScriptedServer(in_turn(reply(body), reply({"data": [ROW]}))) as server:
        assert edge(server).conversations(["id"], 50).items == [ROW]
        assert len(server.requests) == 2


@pytest.mark.parametrize("body", MALFORMED_LISTS)
def test_a_malformed_list_is_never_read_as_empty(body: dict[str, Any]) -> None:
    with ScriptedServer(in_turn(reply(body))) as server, pytest.raises(UnexpectedResponseError):
        edge(server).conversations(["id"], 50, retried=ONCE)
    assert len(server.requests) == 1


def test_a_numeric_id_is_accepted() -> None:
    with ScriptedServer(in_turn(reply({"data": [{"id": 7}]}))) as server:
        assert edge(server).conversations(["id"], 50).items == [{"id": 7}]


@pytest.mark.parametrize(
    "body", [{}, {"id": "t_2"}, {"id": None}, {"messages": {"data": []}}, {"data": []}, {"success": True}]
)
def test_another_object_is_not_accepted_as_the_conversation(body: dict[str, Any]) -> None:
    with ScriptedServer(in_turn(reply(body), reply(ROW))) as server:
        assert edge(server).conversation("t_1", ["id"]) == ROW
        with pytest.raises(UnexpectedResponseError):
            edge(server).conversation("t_2", ["id"], retried=ONCE)
    assert server.paths == ["t_1", "t_1", "t_2"]


def test_an_old_style_error_is_not_an_empty_conversation() -> None:
    body = {"error_code": 1, "error_msg": "An unknown error occurred"}
    with ScriptedServer(in_turn(reply(body))) as server, pytest.raises(TooMuchDataError):
        edge(server).conversation("t_1", ["id"], retried=ONCE)


def test_invalid_message_rows_are_rejected_unless_lenient() -> None:
    body = reply({"data": [{"id": "m_1"}, None]})
    with ScriptedServer(in_turn(body)) as server, pytest.raises(UnexpectedRowsError):
        edge(server).messages("t_1", ["id"], 100, retried=ONCE)
    with ScriptedServer(in_turn(body)) as server:
        page = edge(server).messages("t_1", ["id"], 100, lenient_rows=True)
        assert page == ResultPage([{"id": "m_1"}, {}], None)
        assert server.requests == [("t_1/messages", {"fields": "id", "limit": "100"})]


@pytest.mark.parametrize("body", [{}, {"id": "t_1"}, {"data": {}}, {"messages": {"data": []}}])
def test_a_response_without_a_list_is_not_read_as_empty(body: dict[str, Any]) -> None:
    with ScriptedServer(in_turn(reply(body))) as server, pytest.raises(UnexpectedResponseError):
        edge(server).messages("t_1", ["id"], 100, retried=ONCE)


def test_a_conversation_id_is_always_one_path_segment() -> None:
    paths: list[str] = []

    def respond(path: str, _: dict[str, str]) -> Reply:
        paths.append(path)
        return reply({"data": []})

    with ScriptedServer(respond) as server:
        for conversation_id in ("a/b", "a?b=c", "a#b", "100%2Fme", "ü", "a b", "a..b", "...", "%2E%2E%2Fme"):
            edge(server).messages(conversation_id, ["id"], 1)
    assert paths == [
        f"{quoted}/messages"
        for quoted in (
            "a%2Fb",
            "a%3Fb%3Dc",
            "a%23b",
            "100%252Fme",
            "%C3%BC",
            "a%20b",
            "a..b",
            "...",
            "%252E%252E%252Fme",
        )
    ]


@pytest.mark.parametrize(
    "conversation_id", ["", ".", "..", "../me", "../../evil", "t_1/..", "t_1/../me", "t_1/./x", "..\\me", "a/..\\b"]
)
def test_an_id_with_path_traversal_is_never_requested(conversation_id: str) -> None:
    with ScriptedServer(in_turn(reply({"data": []}))) as server, pytest.raises(ItemUnavailableError):
        edge(server).messages(conversation_id, ["id"], 1)
    with pytest.raises(ItemUnavailableError):
        edge(server).conversation(conversation_id, ["id"])
    with pytest.raises(ItemUnavailableError):
        edge(server).participants(conversation_id, {})
    assert server.requests == []


def test_a_refused_cursor_is_not_retried() -> None:
    refusal = graph_error(100, "(#100) The After Cursor specified exceeds the max limit supported by this endpoint")
    with ScriptedServer(in_turn(refusal)) as server, pytest.raises(CursorError):
        edge(server).conversations(["id"], 50, {"after": "x"})
    assert len(server.requests) == 1


def test_nested_messages_are_a_field() -> None:
    assert nested_messages(["id", "message"], 25) == "messages.limit(25){id,message}"

"""Wherever Meta quotes a token, no part of it gets into files, checkpoints or results."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_metaconv.extract.extraction import PartialWindowError, Settings, extract_conversations
from airflow_provider_metaconv.extract.rows import ExtractionContext
from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.graph.auth import PageIdentity
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.graph.errors import GraphError
from airflow_provider_metaconv.window import Window
from tests.integration.graph.scripted_server import Reply, ScriptedServer, graph_error, reply

TOKEN, PAGE_TOKEN = "t0ken-of-the-connection", "t0ken-of-the-page"
TIME = "2026-11-20T09:30:39+0000"
ECHO: dict[str, Any] = {
    "error_user_title": f"Title {TOKEN}",
    "error_user_msg": f"Words {PAGE_TOKEN}",
    "fbtrace_id": f"A{TOKEN}",
}


def respond(path: str, query: dict[str, str]) -> Reply:
    if query.get("folder") == "spam":
        return graph_error(10, f"(#10) {TOKEN} may not {PAGE_TOKEN}", **ECHO)
    if path == "100/conversations":
        more = {"cursors": {"after": "QVFI"}, "next": f"https://graph.facebook.com/x?access_token={TOKEN}"}
        whole = {"data": [{"id": "m_1", "created_time": TIME}], "paging": more}
        return reply({"data": [{"id": "t_1", "updated_time": TIME, "messages": whole}]})
    return graph_error(100, f"Unsupported get request of {TOKEN}.", error_subcode=33, **ECHO)


@pytest.mark.parametrize("accept_partial", [False, True])
def test_a_token_quoted_by_meta_is_in_no_file_or_result(tmp_path: Path, accept_partial: bool) -> None:
    outcome: object
    with ScriptedServer(respond) as server:
        client = server.client(TOKEN)
        client.use_page(PageIdentity("100", "Example Page", PAGE_TOKEN))
        scope = ExtractionContext(
            "MESSENGER", "100", frozenset({"100"}), Window(None, datetime(2026, 11, 21, tzinfo=UTC))
        )
        edges = [ConversationsEdge(client.get, "100", "MESSENGER", folder) for folder in ("inbox", "spam")]
        settings = Settings("ndjson", accept_partial=accept_partial)
        try:
            result = extract_conversations(edges, scope, LocalStorage(tmp_path), client, settings)
            outcome = (result, result.as_dict())
        except (GraphError, PartialWindowError) as error:
            outcome = (error, vars(error))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    texts = [repr(outcome), *(path.read_bytes().decode(errors="replace") for path in files)]
    assert [text for text in texts if TOKEN in text or PAGE_TOKEN in text] == []
    assert any("***" in text for text in texts)


def test_an_attempt_that_ends_early_leaves_no_secret_behind(tmp_path: Path) -> None:
    def limited(path: str, query: dict[str, str]) -> Reply:
        if path == "t_1/messages" and query.get("after") == "QVFI2":
            return graph_error(4, f"(#4) limit of {TOKEN}", **ECHO)
        if path == "t_1/messages":
            rows = [{"id": f"m_{len(server.requests)}", "created_time": TIME}]
            return reply({"data": rows, "paging": {"cursors": {"after": "QVFI2"}, "next": f"x?access_token={TOKEN}"}})
        return respond(path, query)

    server = ScriptedServer(limited)
    with server:
        client = server.client(TOKEN, max_inline_wait=0.0)
        client.use_page(PageIdentity("100", "Example Page", PAGE_TOKEN))
        scope = ExtractionContext(
            "MESSENGER", "100", frozenset({"100"}), Window(None, datetime(2026, 11, 21, tzinfo=UTC))
        )
        with pytest.raises(GraphError) as caught:
            extract_conversations(
                [ConversationsEdge(client.get, "100", "MESSENGER")], scope, LocalStorage(tmp_path), client
            )
    assert TOKEN not in repr(vars(caught.value)) + str(caught.value)
    files = {path.name: path.read_bytes().decode(errors="replace") for path in tmp_path.rglob("*") if path.is_file()}
    assert "_checkpoint.json" in files
    assert [name for name, text in files.items() if TOKEN in text or PAGE_TOKEN in text] == []

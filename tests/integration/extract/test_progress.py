"""Lists end by their content: cursors that are always new but return nothing new are not followed forever."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_metaconv.extract.extraction import Settings, extract_conversations
from airflow_provider_metaconv.extract.rows import ExtractionContext
from airflow_provider_metaconv.files import LocalStorage
from airflow_provider_metaconv.graph.conversations import ConversationsEdge
from airflow_provider_metaconv.graph.errors import GraphError
from airflow_provider_metaconv.graph.statistics import CallStatistics
from airflow_provider_metaconv.window import Window
from tests.integration.extract.extraction import SkippedTime
from tests.integration.extract.scene import UNTIL

MOST_CALLS = 400
TIME = "2026-11-19T12:00:00+0000"
MESSAGE = {"id": "m_1", "created_time": TIME, "message": "hello", "from": {"id": "7", "name": "Ann"}}


class Endless:
    """A Graph API whose list of conversations, or of one conversation's messages, never ends."""

    def __init__(self, endless: str, rows: str) -> None:
        self.endless, self.rows = endless, rows
        self.calls = 0
        self.numbers = itertools.count()

    def get(
        self, path: str, parameters: Mapping[str, str] | None = None, *, parse: Any = None, retried: Any = ()
    ) -> Any:
        self.calls += 1
        assert self.calls <= MOST_CALLS, "the list never ends"
        return parse(self.respond(path.rpartition("/")[2]))

    def respond(self, edge: str) -> dict[str, Any]:
        if edge == "conversations":
            rows = [self.conversation()] if not (self.endless == edge and self.rows == "none") else []
            return self.page(rows, edge)
        if edge == "messages":
            messages: dict[str, list[Any]] = {"none": [], "same": [MESSAGE], "malformed": [{}]}
            return self.page(messages[self.rows], edge)
        return self.conversation()

    def conversation(self) -> dict[str, Any]:
        return {"id": "t_1", "updated_time": TIME, "messages": self.page([MESSAGE], "messages")}

    def page(self, rows: list[Any], edge: str) -> dict[str, Any]:
        if edge != self.endless:
            return {"data": rows}
        cursor = f"c{next(self.numbers)}"
        return {"data": rows, "paging": {"cursors": {"after": cursor}, "next": f"https://example.com/?after={cursor}"}}


@pytest.mark.parametrize(
    ("endless", "rows"),
    [
        ("conversations", "none"),
        ("conversations", "same"),
        ("messages", "none"),
        ("messages", "same"),
        ("messages", "malformed"),
    ],
)
@pytest.mark.parametrize("accept_partial", [False, True])
def test_new_cursors_without_new_rows_come_to_an_end(
    tmp_path: Path, endless: str, rows: str, accept_partial: bool
) -> None:
    graph, clock = Endless(endless, rows), SkippedTime()
    context = ExtractionContext("MESSENGER", "100", frozenset({"100"}), Window(None, UNTIL))
    edges = [ConversationsEdge(graph.get, "100", "MESSENGER")]
    client = SimpleNamespace(consecutive_limits=0, statistics=CallStatistics())
    settings = Settings(accept_partial=accept_partial, clock=clock, sleep=clock.skip)
    try:
        result = extract_conversations(edges, context, LocalStorage(tmp_path), client, settings)
    except GraphError:
        assert endless == "conversations"
    else:
        assert result.messages == 1 or not result.complete

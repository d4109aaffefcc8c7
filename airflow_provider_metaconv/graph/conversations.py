"""The two lists that everything is read from: a Page's conversations, and one conversation's messages.

Source: https://developers.facebook.com/docs/graph-api/reference/page/conversations/
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_metaconv.graph.errors import Action, UnexpectedResponseError
from airflow_provider_metaconv.graph.pagination import ResultPage, parse_page
from airflow_provider_metaconv.graph.request import REPEATED, Get, graph_path


@dataclass(frozen=True, slots=True)
class ConversationsEdge:
    """``GET /{page-id}/conversations`` of one platform, all its parameters, and the messages below it.

    ``folder`` (Messenger only) and ``user_id`` (a Page- or Instagram-scoped id) narrow the list; None: not sent.
    ``retried`` in the methods names the actions for which the call is repeated before its error is raised. A response
    that is not what was asked for is an ``UnexpectedResponseError``.
    """

    get: Get
    page_id: str
    platform: str
    folder: str | None = None
    user_id: str | None = None

    def conversations(
        self,
        fields: Sequence[str],
        limit: int,
        position: Mapping[str, str] | None = None,
        *,
        retried: Collection[Action] = REPEATED,
    ) -> ResultPage:
        """One page of conversations, newest ``updated_time`` first, each with an id; ``limit`` up to 200."""
        narrowed = {"folder": self.folder, "user_id": self.user_id}
        given = {name: value for name, value in narrowed.items() if value is not None}
        parameters = {"platform": self.platform, "fields": ",".join(fields), "limit": str(limit), **given}
        path = graph_path(self.page_id, "conversations")
        return self.get(path, {**parameters, **(position or {})}, parse=_conversations_page, retried=retried)

    def conversation(
        self, conversation_id: str, fields: Sequence[str], *, retried: Collection[Action] = REPEATED
    ) -> dict[str, Any]:
        """One conversation by its id, without its place in the list."""

        def parse(data: dict[str, Any]) -> dict[str, Any]:
            if str(data.get("id")) != conversation_id:
                raise UnexpectedResponseError("Meta's response is not the conversation that was asked for.")
            return data

        return self.get(graph_path(conversation_id), {"fields": ",".join(fields)}, parse=parse, retried=retried)

    def messages(
        self,
        conversation_id: str,
        fields: Sequence[str],
        limit: int,
        position: Mapping[str, str] | None = None,
        *,
        lenient_rows: bool = False,
        retried: Collection[Action] = REPEATED,
    ) -> ResultPage:
        """One page of a conversation's messages, newest first, at most 100; ``lenient_rows``: see ``parse_page``."""
        parameters = {"fields": ",".join(fields), "limit": str(limit), **(position or {})}
        parse = _lenient_page if lenient_rows else parse_page
        return self.get(graph_path(conversation_id, "messages"), parameters, parse=parse, retried=retried)

    def participants(
        self, conversation_id: str, position: Mapping[str, str], *, retried: Collection[Action] = REPEATED
    ) -> ResultPage:
        """One more page of the people in a conversation, where it has more than a conversation node shows."""
        path = graph_path(conversation_id, "participants")
        return self.get(path, {"limit": "100", **position}, parse=parse_page, retried=retried)


def nested_messages(fields: Sequence[str], limit: int) -> str:
    """The field that reads each conversation's newest messages along with it: ``messages.limit(25){id,...}``.

    Source: https://developers.facebook.com/docs/graph-api/guides/field-expansion
    """
    return f"messages.limit({limit}){{{','.join(fields)}}}"


def _conversations_page(data: dict[str, Any]) -> ResultPage:
    page = parse_page(data)
    for row in page.items:
        if not _is_id(row.get("id")):
            raise UnexpectedResponseError("Meta's response lists a conversation without an id.")
        if not str(row["id"]).isprintable():
            # No file, log or address can hold it as it is, and one conversation must not spoil its list.
            row["id"] = "".join(character if character.isprintable() else "\ufffd" for character in row["id"])
    return page


def _lenient_page(data: dict[str, Any]) -> ResultPage:
    return parse_page(data, lenient_rows=True)


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return value != ""
    return isinstance(value, int) and not isinstance(value, bool)

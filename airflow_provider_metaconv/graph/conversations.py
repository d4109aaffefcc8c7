"""The two edges that everything is read from: a Page's conversations, and a conversation's messages.

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
    """``GET /{page-id}/conversations`` of one platform, and the messages of its conversations.

    ``folder`` (Messenger only) and ``user_id`` (a Page- or Instagram-scoped ID) narrow the list; None means not sent.
    The methods' ``retried`` are the actions for which the call is retried before its error is raised. An unexpected
    response raises ``UnexpectedResponseError``.
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
        """Return one page of conversations with IDs, newest ``updated_time`` first; ``limit`` is at most 200."""
        narrowed = {"folder": self.folder, "user_id": self.user_id}
        given = {name: value for name, value in narrowed.items() if value is not None}
        parameters = {"platform": self.platform, "fields": ",".join(fields), "limit": str(limit), **given}
        path = graph_path(self.page_id, "conversations")
        return self.get(path, {**parameters, **(position or {})}, parse=_conversations_page, retried=retried)

    def conversation(
        self, conversation_id: str, fields: Sequence[str], *, retried: Collection[Action] = REPEATED
    ) -> dict[str, Any]:
        """Return one conversation by ID."""

        def parse(data: dict[str, Any]) -> dict[str, Any]:
            if str(data.get("id")) != conversation_id:
                raise UnexpectedResponseError("Meta's response is not the requested conversation.")
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
        """Return one page of messages, newest first, at most 100; for ``lenient_rows`` see ``parse_page``."""
        parameters = {"fields": ",".join(fields), "limit": str(limit), **(position or {})}
        parse = _lenient_page if lenient_rows else parse_page
        return self.get(graph_path(conversation_id, "messages"), parameters, parse=parse, retried=retried)

    def participants(
        self, conversation_id: str, position: Mapping[str, str], *, retried: Collection[Action] = REPEATED
    ) -> ResultPage:
        """Return one more page of participants, for conversations with more than a conversation node lists."""
        path = graph_path(conversation_id, "participants")
        return self.get(path, {"limit": "100", **position}, parse=parse_page, retried=retried)


def nested_messages(fields: Sequence[str], limit: int) -> str:
    """Return the field that reads each conversation's newest messages with it: ``messages.limit(25){id,...}``.

    Source: https://developers.facebook.com/docs/graph-api/guides/field-expansion
    """
    return f"messages.limit({limit}){{{','.join(fields)}}}"


def _conversations_page(data: dict[str, Any]) -> ResultPage:
    page = parse_page(data)
    for row in page.items:
        if not _is_id(row.get("id")):
            raise UnexpectedResponseError("Meta's response lists a conversation without an ID.")
        if not str(row["id"]).isprintable():
            # Files, logs and URLs cannot contain such an ID, and one conversation must not fail the whole list.
            row["id"] = "".join(character if character.isprintable() else "\ufffd" for character in row["id"])
    return page


def _lenient_page(data: dict[str, Any]) -> ResultPage:
    return parse_page(data, lenient_rows=True)


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return value != ""
    return isinstance(value, int) and not isinstance(value, bool)

"""The two lists that everything is read from: a Page's conversations, and one conversation's messages.

Source: https://developers.facebook.com/docs/graph-api/reference/page/conversations/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_metaconv.graph.auth import Get
from airflow_provider_metaconv.graph.paging import Page, page_of


@dataclass(frozen=True, slots=True)
class ConversationsEdge:
    """``GET /{page-id}/conversations`` of one platform, all its parameters, and the messages below it.

    ``folder`` (Messenger only) and ``user_id`` (a Page- or Instagram-scoped id) narrow the list; None: not sent.
    """

    get: Get
    page_id: str
    platform: str
    folder: str | None = None
    user_id: str | None = None

    def conversations(self, fields: Sequence[str], limit: int, after: str | None = None) -> Page:
        """One page of conversations, newest ``updated_time`` first; ``limit`` up to 200."""
        parameters = {"platform": self.platform, "fields": ",".join(fields), "limit": str(limit)}
        optional = {"folder": self.folder, "user_id": self.user_id, "after": after}
        return page_of(self.get(f"{self.page_id}/conversations", parameters | _given(optional)))

    def conversation(self, conversation_id: str, fields: Sequence[str]) -> dict[str, Any]:
        """One conversation by its id, without its place in the list."""
        return self.get(conversation_id, {"fields": ",".join(fields)})

    def messages(self, conversation_id: str, fields: Sequence[str], limit: int, after: str | None = None) -> Page:
        """One page of a conversation's messages, newest first; ``limit`` up to 100."""
        parameters = {"fields": ",".join(fields), "limit": str(limit)}
        return page_of(self.get(f"{conversation_id}/messages", parameters | _given({"after": after})))


def nested_messages(fields: Sequence[str], limit: int) -> str:
    """The field that brings each conversation's newest messages along: ``messages.limit(25){id,...}``.

    Source: https://developers.facebook.com/docs/graph-api/guides/field-expansion
    """
    return f"messages.limit({limit}){{{','.join(fields)}}}"


def _given(parameters: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value is not None}

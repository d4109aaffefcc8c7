"""A plain reader of the emulator for these tests, which only follows cursors."""

from __future__ import annotations

from typing import Any

import requests

from airflow_provider_metaconv.emulator import EmulatorServer

MESSAGE_FIELDS = (
    "id,created_time,from,to,message,attachments,shares{link,name,description,template},story,reactions,"
    "reply_to,sticker,tags,is_unsupported"
)


def get(server: EmulatorServer, path: str, token: str | None = None, **parameters: Any) -> requests.Response:
    """Call a Graph path, by default with the token of Page 100."""
    headers = {"Authorization": f"Bearer {token or server.page_token('100')}"}
    return requests.get(f"{server.url}/v26.0/{path}", params=parameters, headers=headers, timeout=10)


def rows(server: EmulatorServer, path: str, token: str | None = None, **parameters: Any) -> list[dict[str, Any]]:
    """Return all rows of a list, following cursors until ``next`` is absent."""
    found: list[dict[str, Any]] = []
    for _ in range(5_000):
        answer = get(server, path, token, **parameters)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found += body["data"]
        if "next" not in body.get("paging", {}):
            return found
        parameters["after"] = body["paging"]["cursors"]["after"]
    raise AssertionError(f"{path} does not end")


def walk(
    server: EmulatorServer,
    page_id: str = "100",
    platform: str = "MESSENGER",
    limit: int = 25,
    nested: int = 25,
    folder: str | None = None,
) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Return every conversation with all its messages."""
    token = server.page_token(page_id)
    fields = f"id,updated_time,messages.limit({nested}){{{MESSAGE_FIELDS}}}"
    parameters = {"platform": platform, "limit": limit, "fields": fields}
    if folder is not None:
        parameters["folder"] = folder
    result = []
    for conversation in rows(server, f"{page_id}/conversations", token, **parameters):
        page = conversation["messages"]
        messages = list(page["data"])
        if "next" in page.get("paging", {}):
            after = page["paging"]["cursors"]["after"]
            path = f"{conversation['id']}/messages"
            messages += rows(server, path, token, fields=MESSAGE_FIELDS, limit=nested, after=after)
        result.append((conversation, messages))
    return result

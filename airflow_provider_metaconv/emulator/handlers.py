"""Handlers of the Graph routes: each takes a `Call` and its `Reader` and returns the response as JSON text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import MESSAGE_GONE, GraphError, error_body, invalid_parameter, known_error, no_such_field, no_such_object
from .models import Page, World
from .pagination import MESSAGES_CAP, Link, envelope, from_base64, plain_page, read_window, thread_cursor
from .requests import Call, Field, Selection, conversation_page, parse_fields
from .serialization import (
    ATTACHMENT_FIELDS,
    Context,
    attachments_page,
    check_fields,
    check_people,
    message_writer,
    messages_edge,
    participants_page,
    pick_node,
    thread_writer,
    to_json,
)
from .settings import EmulatorSettings
from .tokens import APP_ID, APP_NAME, SCOPES, Token, TokenStore, page_only, permitted

TASKS = ("ADVERTISE", "ANALYZE", "CREATE_CONTENT", "MESSAGING", "MODERATE", "MANAGE")
PAGE_FIELDS = frozenset(
    {
        "id", "name", "access_token", "tasks", "category", "link", "username",
        "instagram_business_account", "connected_instagram_account",
    }
)  # fmt: skip
ACCOUNTS_FIELDS = "access_token,category,name,id,tasks"
NOT_AN_INSPECTOR = (
    "(#100) You must provide an app access token, or a user access token that is an owner or developer of the app"
)


@dataclass(frozen=True)
class Reader:
    """The world, the caller's token, and how rows and pages are rendered."""

    world: World
    token: Token
    context: Context


def conversations(call: Call, reader: Reader) -> str:
    """Return one page of a Page's conversations, newest ``updated_time`` first."""
    page_id = _own_page(call, reader)
    writer = thread_writer(_selection(call))
    shape = reader.context.shapes.of("conversations")
    page = conversation_page(call, reader.world, shape)
    rows = [writer.write(thread, reader.context) for thread in page.threads]
    cursors = (thread_cursor(page.threads[0]), thread_cursor(page.threads[-1])) if page.threads else None
    repeated = ("platform", "folder", "user_id", "fields")
    parameters = {name: call.parameters[name] for name in repeated if name in call.parameters}
    link = Link(f"{call.base_url}/{page_id}/conversations", reader.token.value, parameters)
    return envelope(rows, cursors, link, page.part, page.window, shape)


def conversation(call: Call, reader: Reader) -> str:
    """Return one conversation."""
    _own_page(call, reader)
    writer = thread_writer(_selection(call))
    return writer.write(reader.world.threads[call.object_id], reader.context)


def messages(call: Call, reader: Reader) -> str:
    """Return one page of a conversation's messages, newest first."""
    _own_page(call, reader)
    field = Field("messages", (), _selection(call), call.parameters.get("fields", ""))
    message_writer(field.children)
    window = read_window(call.parameters, MESSAGES_CAP)
    thread = reader.world.threads[call.object_id]
    return messages_edge(thread, field, window, reader.context, call.parameters.get("until"))


def message(call: Call, reader: Reader) -> str:
    """Return one message; raises 9000001 if its details are no longer available."""
    _own_page(call, reader)
    thread, found = reader.world.messages[call.object_id]
    writer = message_writer(_selection(call))
    if found.deleted or thread.place(found) < thread.first_detailed:
        raise GraphError(400, error_body(9000001, MESSAGE_GONE))
    return writer.write(thread, found, reader.context)


def attachments(call: Call, reader: Reader) -> str:
    """Return one page of a message's attachments; the last page is empty."""
    _own_page(call, reader)
    found = reader.world.messages[call.object_id][1]
    selection = _selection(call)
    if isinstance(found.content.get("attachments"), Mapping):
        return to_json(found.content["attachments"])
    check_fields(selection, dict.fromkeys(ATTACHMENT_FIELDS), "MessageAttachment")
    rows = list(found.content.get("attachments", ()))
    after = call.parameters.get("after")
    if after is not None:
        try:
            rows = rows[int(from_base64(after)) + 1 :]
        except ValueError:
            raise invalid_parameter("Invalid cursors values") from None
    if not rows:
        return '{"data":[]}'
    parameters = {name: call.parameters[name] for name in ("fields",) if name in call.parameters}
    link = Link(f"{call.base_url}/{call.object_id}/attachments", reader.token.value, parameters)
    return to_json(attachments_page(rows, selection, link))


def participants(call: Call, reader: Reader) -> str:
    """Return one page of a conversation's participants."""
    _own_page(call, reader)
    field = Field("participants", (), _selection(call), call.parameters.get("fields", ""))
    check_people(field)
    return participants_page(reader.world.threads[call.object_id], field, call.parameters, reader.context)


def _own_page(call: Call, reader: Reader) -> str:
    error = page_only(reader.token, call.page_id or "")
    error = error or permitted(reader.token, call.platform)
    if error is not None:
        raise error
    if call.page_id is None:
        raise known_error("190/page_token")
    return call.page_id


class AccountRoutes:
    """Handlers whose response depends on the caller."""

    def __init__(self, tokens: TokenStore, settings: EmulatorSettings) -> None:
        self._tokens = tokens
        self._settings = settings
        self.routes: Mapping[str, Callable[[Call, Reader], str]] = {
            "page": self.page,
            "me": self.me,
            "app": self.app,
            "accounts": self.accounts,
            "permissions": self.permissions,
            "debug_token": self.debug_token,
        }

    def page(self, call: Call, reader: Reader) -> str:
        """Return a Page; its token only for callers with a role on it."""
        return to_json(self._page_node(call.object_id, reader, _selection(call, "id,name")))

    def me(self, call: Call, reader: Reader) -> str:
        """Return the user who owns the token; for a Page token `read_call` has already selected the Page."""
        _no_app(reader)
        selection = _selection(call, "id,name")
        name = "Emulator User" if reader.token.kind == "USER" else "Emulator System User"
        for each in selection:
            if each.name not in ("id", "name"):
                raise no_such_field(each.name, "User")
        return to_json(pick_node({"id": reader.token.owner_id, "name": name}, selection))

    def app(self, call: Call, _: Reader) -> str:
        """Return the app that issued the token."""
        selection = _selection(call, "link,name,id")
        return to_json(pick_node({"link": "https://www.facebook.com/", "name": APP_NAME, "id": APP_ID}, selection))

    def accounts(self, call: Call, reader: Reader) -> str:
        """Return one page of the Pages on which the user has a role, with their tokens."""
        _no_app(reader)
        if reader.token.kind == "PAGE":
            raise no_such_field("accounts", "Page")
        selection = _selection(call, ACCOUNTS_FIELDS)
        page_ids = [page_id for page_id in reader.world.pages if self._tokens.has_role(page_id)]
        if "pages_show_list" not in reader.token.permissions:
            page_ids = []
        rows = [to_json(self._page_node(page_id, reader, selection)) for page_id in page_ids]
        parameters = {name: call.parameters[name] for name in ("fields",) if name in call.parameters}
        link = Link(f"{call.base_url}/{reader.token.owner_id}/accounts", reader.token.value, parameters)
        return plain_page(rows, link, call.parameters)

    def permissions(self, _: Call, reader: Reader) -> str:
        """Return the permissions that the user granted and declined; raises (#100) for a Page token."""
        _no_app(reader)
        if reader.token.kind == "PAGE":
            raise no_such_field("permissions", "Page")
        granted = reader.token.permissions
        rows = [{"permission": name, "status": "granted"} for name in granted]
        rows += [{"permission": name, "status": "declined"} for name in SCOPES if name not in granted]
        return to_json({"data": rows})

    def debug_token(self, call: Call, reader: Reader) -> str:
        """Return a token's owner, permissions and validity; raises (#100) for a caller that may not inspect tokens."""
        if reader.token.kind not in self._settings.inspectors:
            raise GraphError(400, error_body(100, NOT_AN_INSPECTOR))
        value = call.parameters.get("input_token")
        if not value:
            raise GraphError(400, error_body(100, "(#100) You must provide an input token"))
        try:
            token, error = self._tokens.known(value)
        except KeyError:
            message = "Invalid OAuth access token - Cannot parse access token"
            return to_json({"data": {"is_valid": False, "scopes": [], "error": {"code": 190, "message": message}}})
        return to_json({"data": _token_facts(token, error)})

    def _page_node(self, page_id: str, reader: Reader, selection: Selection) -> Any:
        for each in selection:
            if each.name not in PAGE_FIELDS:
                raise no_such_field(each.name, "Page")
        page = reader.world.pages[page_id]
        caller = reader.token
        node = self._public(page, selection)
        if caller.kind == "APP" or (caller.kind == "PAGE" and caller.owner_id != page_id):
            if not self._settings.pages_are_public:
                raise no_such_object(page_id)
        elif caller.kind == "PAGE":
            node["access_token"] = self._tokens.page_tokens[page_id]
        elif self._tokens.has_role(page_id):
            tasks = self._settings.page_tasks.get(page_id, TASKS)
            node.update({"access_token": self._tokens.page_tokens[page_id], "tasks": list(tasks)})
        return pick_node(node, selection)

    def _public(self, page: Page, selection: Selection) -> dict[str, Any]:
        node: dict[str, Any] = {
            "id": page.id,
            "name": page.name,
            "category": "Retail",
            "link": f"https://www.facebook.com/{page.id}",
        }
        if page.id in self._settings.pages_without_instagram:
            return node  # Graph omits fields without data
        account = {"id": page.instagram_id, "username": page.instagram_username, "name": page.name}
        asked = next((each for each in selection if each.name == "instagram_business_account"), None)
        if asked is None or not asked.children:
            account = {"id": page.instagram_id}
        node["instagram_business_account"] = account
        node["connected_instagram_account"] = {"id": page.instagram_id}
        return node


def _no_app(reader: Reader) -> None:
    if reader.token.kind == "APP":
        raise known_error("2500")


def _token_facts(token: Token, error: str | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "app_id": APP_ID,
        "type": token.kind,
        "application": APP_NAME,
        "expires_at": token.expires_at,
        "data_access_expires_at": token.data_access_expires_at,
        "is_valid": error is None,
        "scopes": list(token.permissions),
        "granular_scopes": [_granular(token, name) for name in token.permissions],
    }
    if token.kind == "APP":
        return {name: facts[name] for name in ("app_id", "type", "application", "is_valid", "scopes")}
    if token.kind == "PAGE":
        facts["profile_id"] = token.owner_id
    else:
        facts["user_id"] = token.owner_id
    if error is not None:
        body = known_error(error).body["error"]
        facts["error"] = {"code": 190, "message": body["message"], "subcode": body.get("error_subcode")}
    return facts


def _granular(token: Token, name: str) -> dict[str, Any]:
    targets = token.targets.get(name)
    return {"scope": name} if targets is None else {"scope": name, "target_ids": list(targets)}


def _selection(call: Call, default: str = "") -> Selection:
    text = call.parameters.get("fields", "").strip() or default
    return parse_fields(text) if text else ()

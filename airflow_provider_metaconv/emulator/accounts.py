"""The routes about the caller: Pages, ``/me``, ``/me/accounts`` and ``/debug_token``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .calls import Call
from .edges import Reader, plain_page
from .errors import GraphError, error_body, known_error, no_such_field, no_such_object
from .fields import Selection, parse_fields
from .jsontext import pick_node, to_json
from .model import Page
from .paging import Link
from .tokens import Token, TokenBook

SCOPES = (
    "pages_show_list",
    "pages_messaging",
    "pages_manage_metadata",
    "pages_read_engagement",
    "instagram_basic",
    "instagram_manage_messages",
    "business_management",
)
TASKS = ("ADVERTISE", "ANALYZE", "CREATE_CONTENT", "MESSAGING", "MODERATE", "MANAGE")
PAGE_FIELDS = frozenset(
    {
        "id", "name", "access_token", "tasks", "category", "link", "username",
        "instagram_business_account", "connected_instagram_account",
    }
)  # fmt: skip
ACCOUNTS_FIELDS = "access_token,category,name,id,tasks"


class AccountRoutes:
    """Answers that depend on who calls."""

    def __init__(self, tokens: TokenBook) -> None:
        self._tokens = tokens
        self.routes: Mapping[str, Callable[[Call, Reader], str]] = {
            "page": self.page,
            "me": self.me,
            "accounts": self.accounts,
            "debug_token": self.debug_token,
        }

    def page(self, call: Call, reader: Reader) -> str:
        """Return a Page; its token only to those who have a role on it."""
        return to_json(self._page_node(call.object_id, reader, _selection(call, "id,name")))

    def me(self, call: Call, reader: Reader) -> str:
        """Return the user the token belongs to; a Page token is led to its Page."""
        selection = _selection(call, "id,name")
        name = "Emulator User" if reader.token.kind == "USER" else "Emulator System User"
        for each in selection:
            if each.name not in ("id", "name"):
                raise no_such_field(each.name, "User")
        return to_json(pick_node({"id": reader.token.owner_id, "name": name}, selection))

    def accounts(self, call: Call, reader: Reader) -> str:
        """Return the Pages a user has a role on, with their tokens."""
        if reader.token.kind == "PAGE":
            raise no_such_field("accounts", "Page")
        selection = _selection(call, ACCOUNTS_FIELDS)
        page_ids = [page_id for page_id in reader.world.pages if self._tokens.has_role(page_id)]
        rows = [to_json(self._page_node(page_id, reader, selection)) for page_id in page_ids]
        parameters = {name: call.parameters[name] for name in ("fields",) if name in call.parameters}
        link = Link(f"{call.base_url}/{reader.token.owner_id}/accounts", reader.token.value, parameters)
        return plain_page(rows, link, call.parameters)

    def debug_token(self, call: Call, reader: Reader) -> str:
        """Return what is known of a token: whose it is and whether it still works."""
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
        if caller.kind == "PAGE" and caller.owner_id != page_id:
            raise no_such_object(page_id)
        node = _public(page, selection)
        if caller.kind == "PAGE" or self._tokens.has_role(page_id):
            node.update({"access_token": self._tokens.page_tokens[page_id], "tasks": list(TASKS)})
        return pick_node(node, selection)


def _public(page: Page, selection: Selection) -> dict[str, Any]:
    account = {"id": page.instagram_id, "username": page.instagram_username, "name": page.name}
    asked = next((each for each in selection if each.name == "instagram_business_account"), None)
    if asked is None or not asked.children:
        account = {"id": page.instagram_id}
    return {
        "id": page.id,
        "name": page.name,
        "category": "Retail",
        "link": f"https://www.facebook.com/{page.id}",
        "instagram_business_account": account,
        "connected_instagram_account": {"id": page.instagram_id},
    }


def _token_facts(token: Token, error: str | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "app_id": "1",
        "type": token.kind,
        "application": "Emulator",
        "expires_at": 0,
        "data_access_expires_at": 0,
        "is_valid": error is None,
        "scopes": list(SCOPES),
    }
    if token.kind == "PAGE":
        facts["profile_id"] = token.owner_id
    else:
        facts["user_id"] = token.owner_id
    if error is not None:
        body = known_error(error).body["error"]
        facts["error"] = {"code": 190, "message": body["message"], "subcode": body.get("error_subcode")}
    return facts


def _selection(call: Call, default: str) -> Selection:
    return parse_fields(call.parameters.get("fields", "").strip() or default)

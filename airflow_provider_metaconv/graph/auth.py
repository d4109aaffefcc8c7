"""The Pages that a token can read: their tokens and IDs."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from airflow_provider_metaconv.graph.credentials import Credentials, is_sendable_token
from airflow_provider_metaconv.graph.error_rules import is_missing_edge
from airflow_provider_metaconv.graph.errors import (
    GraphError,
    InvalidRequestError,
    ItemUnavailableError,
    PermissionDeniedError,
    RateLimitError,
    UnexpectedResponseError,
)
from airflow_provider_metaconv.graph.pagination import ResultPage, pages, parse_page
from airflow_provider_metaconv.graph.redaction import remember, scrub
from airflow_provider_metaconv.graph.request import Get, graph_path
from airflow_provider_metaconv.graph.response import single_line

__all__ = ["Credentials", "Get", "PageIdentity", "list_pages", "page_identity"]

logger = logging.getLogger(__name__)

Pages = TypeVar("Pages")

MESSAGES_TASKS = frozenset({"MESSAGING", "MODERATE", "PROFILE_PLUS_MESSAGING", "PROFILE_PLUS_MODERATE"})
"""The tasks that let a person read conversations. Meta's guide names the first two, its SDK those of new Pages.

Source: https://developers.facebook.com/docs/messenger-platform/conversations
"""

SHORTEST_WAIT_BEFORE_FIRST_CALL = 900.0
"""The minimum wait in seconds for a limit of unknown length on the call for the Page's token."""

_PAGE_FIELDS = "id,name,access_token"
_INSTAGRAM_FIELD = ",instagram_business_account{id,username}"
_DIGITS = re.compile(r"[0-9]{1,40}")


@dataclass(frozen=True, slots=True)
class PageIdentity:
    """A Page as seen by a token: the token to read it with, and the IDs under which the business sends messages."""

    page_id: str
    name: str
    token: str = field(repr=False)
    instagram_account_id: str | None = None
    tasks: tuple[str, ...] | None = None
    """The user's tasks on the Page; None if Meta does not report them, as for a Page token."""
    instagram_username: str | None = None

    @property
    def lacks_messages_task(self) -> bool:
        """Whether the user has none of the tasks that conversations require; False if Meta does not report tasks."""
        return self.tasks is not None and MESSAGES_TASKS.isdisjoint(self.tasks)

    @property
    def own_ids(self) -> frozenset[str]:
        """The IDs that mark a message as sent by the business itself."""
        return frozenset(filter(None, (self.page_id, self.instagram_account_id)))


def page_identity(get: Get, page_id: str, *, with_instagram: bool) -> PageIdentity:
    """Return the Page's own token and IDs, from a Page, user or system user token. Costs one call, or a few more.

    Requests the Page itself first. If that is refused or returns no token, looks for the Page in ``/me/accounts``.
    Raises ``InvalidRequestError`` if INSTAGRAM is wanted and the Page has no linked account, ``PermissionDeniedError``
    if the token has no access to the Page or is another Page's token, and what the calls raise.
    """
    try:
        return _page_identity(get, page_id, with_instagram=with_instagram)
    except RateLimitError as error:
        # Before an extraction's first call, there is no stored count from which a later attempt would wait longer.
        shortest = 0.0 if error.is_estimate else SHORTEST_WAIT_BEFORE_FIRST_CALL
        raise error.with_wait(max(error.retry_after, shortest)) from None


def _page_identity(get: Get, page_id: str, *, with_instagram: bool) -> PageIdentity:
    if not _DIGITS.fullmatch(page_id):
        raise InvalidRequestError(f"page_id {page_id!r} must contain only digits.")
    fields = _PAGE_FIELDS + (_INSTAGRAM_FIELD if with_instagram else "")
    refused: GraphError | None = None
    node: Mapping[str, Any] = {}
    try:
        node = get(graph_path(page_id), {"fields": fields}, parse=lambda data: _page_node(data, page_id))
    except (PermissionDeniedError, ItemUnavailableError) as error:
        refused = error.as_page_error()
    if "access_token" not in node:
        node = _account(get, page_id, fields, refused)
    identity = _identity(node)
    if with_instagram and identity.instagram_account_id is None:
        raise InvalidRequestError(
            f"Page {page_id} has no visible linked Instagram account: link one in the Page settings and grant "
            "instagram_basic, or leave INSTAGRAM out for this Page."
        )
    return identity


def list_pages(get: Get) -> list[PageIdentity]:
    """Return all Pages that a token can read, with their linked Instagram accounts; for a Page token, its own Page.

    Costs one call per 100 Pages. A Page token, and a token that may not see Instagram accounts, cost one more.
    Source: https://developers.facebook.com/docs/graph-api/reference/user/accounts/
    """
    try:
        return pages_of_person(get)
    except GraphError as error:
        if not is_missing_edge(error):
            raise
        return [own_page(get)]


def pages_of_person(get: Get) -> list[PageIdentity]:
    """Return the Pages of a user or system user token, with the user's tasks; raises (#100) for a Page token."""
    nodes = _with_instagram(lambda instagram: _accounts(get, f"{_PAGE_FIELDS},tasks{instagram}"))
    for node in nodes:
        if "access_token" not in node:
            logger.warning("Page %s is left out: the token's user has no task that gives access to it", node["id"])
    return [_identity(node) for node in nodes if "access_token" in node]


def own_page(get: Get) -> PageIdentity:
    """Return the Page of a Page token."""

    def ask(instagram: str) -> PageIdentity:
        return get("me", {"fields": _PAGE_FIELDS + instagram}, parse=_own_page)

    return _with_instagram(ask)


def read_me(get: Get) -> Mapping[str, Any]:
    """Return the ``id`` and ``name`` of the token's owner: a person, a system user or a Page."""
    return get("me", {"fields": "id,name"}, parse=checked_node)


def _with_instagram(ask: Callable[[str], Pages]) -> Pages:
    try:
        return ask(_INSTAGRAM_FIELD)
    except PermissionDeniedError:
        # A token for Messenger only may not request Instagram accounts, and does not need them.
        return ask("")


def _account(get: Get, page_id: str, fields: str, refused: GraphError | None) -> Mapping[str, Any]:
    """Return the Page from the user's accounts; raises ``PermissionDeniedError`` if it is not among them."""
    try:
        found: Mapping[str, Any] = next((node for node in _accounts(get, fields) if node["id"] == page_id), {})
    except GraphError as error:
        if not is_missing_edge(error):
            raise
        found = _wrong_page_token(get, page_id)
    if "access_token" in found:
        return found
    if refused is not None and not isinstance(refused, PermissionDeniedError):
        raise refused
    reason = "" if refused is None else f" Requested directly, Meta says: {refused.meta_text}"
    raise PermissionDeniedError(
        f"The token has no access to Page {page_id}: its user needs the Messages task on that Page, and the app "
        "pages_show_list and pages_read_engagement (and business_management for a Page that a business owns)."
        f"{reason}",
        code=refused.code if refused else None,
        subcode=refused.subcode if refused else None,
    )


def _wrong_page_token(get: Get, page_id: str) -> Mapping[str, Any]:
    me = read_me(get)
    if me["id"] == page_id:
        return {}
    name = single_line(str(me.get("name", "")))
    raise PermissionDeniedError(
        f"This is the token of Page {me['id']} ({name}), not of Page {page_id}: store the token of Page {page_id} as "
        "the connection's password, or that of a user or system user with the Messages task on it."
    )


def _accounts(get: Get, fields: str) -> list[dict[str, Any]]:
    found = pages(
        lambda position: get("me/accounts", {"fields": fields, "limit": "100", **position}, parse=_accounts_page)
    )
    return [node for page in found for node in page.items]


def _accounts_page(data: dict[str, Any]) -> ResultPage:
    page = parse_page(data)
    return ResultPage([checked_node(node) for node in page.items], page.next_parameters)


def _page_node(data: dict[str, Any], page_id: str) -> dict[str, Any]:
    if checked_node(data)["id"] != page_id:
        raise UnexpectedResponseError("Meta's response is not the requested Page.")
    return data


def _own_page(data: dict[str, Any]) -> PageIdentity:
    if "access_token" not in checked_node(data):
        raise UnexpectedResponseError("Meta's response about the Page has no access_token.")
    return _identity(data)


def checked_node(node: dict[str, Any]) -> dict[str, Any]:
    """Return a Page, person or app node whose ID is numeric and whose token, if present, can be sent.

    Raises ``UnexpectedResponseError`` for any other node.
    """
    token = node.get("access_token", "none")
    remember(token if isinstance(token, str) else None)
    instagram = node.get("instagram_business_account") or {"id": "0"}
    is_known = isinstance(instagram, dict) and _is_digits(instagram.get("id")) and _is_digits(node.get("id"))
    if not is_known or not isinstance(token, str) or not is_sendable_token(token):
        raise UnexpectedResponseError("Meta's response is not a Page or account: an ID or token is missing or invalid.")
    return node


def _is_digits(value: Any) -> bool:
    return isinstance(value, str) and _DIGITS.fullmatch(value) is not None


def _identity(node: Mapping[str, Any]) -> PageIdentity:
    instagram = node.get("instagram_business_account") or {}
    tasks, username = node.get("tasks"), instagram.get("username")
    return PageIdentity(
        page_id=node["id"],
        name=scrub(str(node.get("name", ""))),
        token=node["access_token"],
        instagram_account_id=instagram.get("id"),
        tasks=tuple(scrub(str(task)) for task in tasks) if isinstance(tasks, list) else None,
        instagram_username=scrub(username) if isinstance(username, str) else None,
    )

"""Metadata of a token: its owner, kind, permissions and expiry, but never the token itself.

``/debug_token`` has all of it, but does not accept every caller: Meta documents the app's own token, or that of a user
who is a developer of the app (https://developers.facebook.com/docs/graph-api/reference/debug_token). Its response::

    {"data": {"app_id": "1", "type": "PAGE", "application": "…", "is_valid": true, "expires_at": 0,
              "data_access_expires_at": 1795170000, "profile_id": "100", "user_id": "5", "scopes": ["pages_messaging"],
              "granular_scopes": [{"scope": "pages_messaging", "target_ids": ["100"]}]}}

The app's token is its ID and secret. ``/app`` returns the ID, so the connection only needs the secret. If
``/debug_token`` is refused nevertheless, ``/me`` and ``/me/permissions`` are used, and the expiry stays unknown. Meta
accepts the token in question only as a query parameter (a POST is reported to be refused). The parameter is encrypted
in transit like everything else, and ``redaction`` keeps it out of our logs.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from airflow_provider_metaconv.graph.auth import PageIdentity, checked_node, own_page, pages_of_person, read_me
from airflow_provider_metaconv.graph.credentials import Credentials
from airflow_provider_metaconv.graph.error_rules import is_missing_edge, token_error
from airflow_provider_metaconv.graph.errors import (
    BlockedError,
    GraphError,
    RateLimitError,
    TokenError,
    TooMuchDataError,
    TransientError,
    UnexpectedResponseError,
)
from airflow_provider_metaconv.graph.pagination import pages, parse_page
from airflow_provider_metaconv.graph.redaction import scrub
from airflow_provider_metaconv.graph.request import Get
from airflow_provider_metaconv.graph.response import as_int

logger = logging.getLogger(__name__)

OpenClient = Callable[[Credentials], Get]
"""Returns a new client with these credentials, because a refused inspector must not affect the others."""

PAGE, USER, SYSTEM_USER, APP = "PAGE", "USER", "SYSTEM_USER", "APP"
NEVER = datetime.max.replace(tzinfo=UTC)
"""The expiry of a token for which Meta reports 0: later than any other time."""


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What is known of a token; None for anything that Meta does not report.

    ``kind`` is ``PAGE``, ``USER`` or ``SYSTEM_USER``. The two expiry times are aware, and ``NEVER`` if there is none.
    ``targets`` holds, for limited permissions, the IDs of the Pages and accounts that they are limited to.
    """

    kind: str | None = None
    owner_id: str = ""
    owner: str = ""
    app: str | None = None
    permissions: frozenset[str] | None = None
    expires_at: datetime | None = None
    data_access_expires_at: datetime | None = None
    targets: Mapping[str, frozenset[str]] = field(default_factory=dict)


def token_info(credentials: Credentials, open_client: OpenClient) -> TokenInfo:
    """Return a token's metadata, in 2 calls, or 3 with an app secret, and one more if ``/debug_token`` is refused.

    Raises ``TokenError`` for a token that does not work, and what ``/me`` raises.
    """
    get = open_client(credentials)
    info = _inspect(credentials, open_client, get)
    return _with_owner(info, read_me(get))


def token_and_pages(credentials: Credentials, open_client: OpenClient) -> tuple[TokenInfo, list[PageIdentity]]:
    """Return the metadata and the readable Pages. A Page token needs no further call, others one per 100 Pages.

    Raises ``TokenError`` for a token that does not work, and what ``/me`` and ``/me/accounts`` raise.
    """
    get = open_client(credentials)
    info = _inspect(credentials, open_client, get)
    if info.kind == PAGE:
        page = own_page(get)
        return dataclasses.replace(info, owner_id=page.page_id, owner=page.name), [page]
    info = _with_owner(info, read_me(get))
    return info, pages_of_person(get)


def read_debug_token(response: Mapping[str, Any]) -> TokenInfo:
    """Parse a response of ``/debug_token``; raises ``TokenError`` for a token that it calls invalid.

    Raises ``UnexpectedResponseError`` for a response without token data.
    """
    data = _token_data(response)
    if not data["is_valid"]:
        raise _invalid(data.get("error"))
    scopes = data.get("scopes")
    return TokenInfo(
        kind=scrub(str(data["type"])) if data.get("type") else None,
        app=scrub(str(data["application"])) if data.get("application") else None,
        permissions=frozenset(map(str, scopes)) if isinstance(scopes, list) else None,
        expires_at=_moment(data.get("expires_at")),
        data_access_expires_at=_moment(data.get("data_access_expires_at")),
        targets=_targets(data.get("granular_scopes")),
    )


def _inspect(credentials: Credentials, open_client: OpenClient, get: Get) -> TokenInfo:
    inspected = _inspected(credentials, open_client)
    info = _from_permissions(get) if inspected is None else read_debug_token({"data": inspected})
    if info.kind == APP:
        raise TokenError(
            "This is an app token, which cannot read Pages: store a Page, user or system user token as the "
            "connection's password."
        )
    return info


def _token_data(response: Mapping[str, Any]) -> Mapping[str, Any]:
    data = response.get("data")
    if not isinstance(data, Mapping) or "is_valid" not in data:
        raise UnexpectedResponseError("Meta's response has no data about the token.")
    return data


def _inspected(credentials: Credentials, open_client: OpenClient) -> Mapping[str, Any] | None:
    """Return the data of ``/debug_token``; None if it is refused, which says nothing about the token."""
    try:
        inspector = _app_credentials(credentials, open_client) if credentials.app_secret else credentials
        return open_client(inspector)("debug_token", {"input_token": credentials.token}, parse=_token_data)
    except (RateLimitError, TransientError, TooMuchDataError, BlockedError):
        raise
    except GraphError as error:
        logger.info("Meta does not report when the token expires: /debug_token is refused (code %s).", error.code)
        return None


def _app_credentials(credentials: Credentials, open_client: OpenClient) -> Credentials:
    app = open_client(credentials)("app", {"fields": "id"}, parse=checked_node)
    return Credentials(f"{app['id']}|{credentials.app_secret}", credentials.app_secret)


def _from_permissions(get: Get) -> TokenInfo:
    """Return what ``/me/permissions`` reports, which exists for people and system users but not for Pages.

    Source: https://developers.facebook.com/docs/graph-api/reference/user/permissions
    """
    try:
        found = pages(lambda position: get("me/permissions", position, parse=parse_page))
        rows = [row for page in found for row in page.items]
    except GraphError as error:
        if not is_missing_edge(error):
            raise
        return TokenInfo(kind=PAGE)
    granted = frozenset(str(row.get("permission")) for row in rows if row.get("status") == "granted")
    return TokenInfo(permissions=granted)


def _with_owner(info: TokenInfo, me: Mapping[str, Any]) -> TokenInfo:
    return dataclasses.replace(info, owner_id=str(me.get("id", "")), owner=scrub(str(me.get("name", ""))))


def _invalid(error: Any) -> TokenError:
    given: Mapping[str, Any] = error if isinstance(error, Mapping) else {}
    code, subcode = as_int(given.get("code")), as_int(given.get("subcode"))
    return token_error(code, subcode)


def _moment(value: Any) -> datetime | None:
    seconds = as_int(value)
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else NEVER
    except (ValueError, OverflowError, OSError):
        return None


def _targets(granular: Any) -> dict[str, frozenset[str]]:
    rows = [row for row in granular if isinstance(row, Mapping)] if isinstance(granular, list) else []
    listed = [(str(row.get("scope")), row.get("target_ids")) for row in rows]
    return {scope: frozenset(map(str, ids)) for scope, ids in listed if ids and isinstance(ids, list)}

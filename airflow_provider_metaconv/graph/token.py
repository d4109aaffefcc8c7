"""What Meta says of a token: whose it is, of which kind, what it may do and when it ends; never the token itself.

``/debug_token`` knows all of it, but does not answer everyone: Meta documents the app's own token, or that of a user
who is a developer of the app (https://developers.facebook.com/docs/graph-api/reference/debug_token). Its response::

    {"data": {"app_id": "1", "type": "PAGE", "application": "…", "is_valid": true, "expires_at": 0,
              "data_access_expires_at": 1795170000, "profile_id": "100", "user_id": "5", "scopes": ["pages_messaging"],
              "granular_scopes": [{"scope": "pages_messaging", "target_ids": ["100"]}]}}

The app's token is its id and secret, and ``/app`` tells the id: the connection needs the secret alone. Where the
question is refused all the same, ``/me`` and ``/me/permissions`` say what they can, and the ends stay unknown.
Meta takes the token in question as a query parameter only (a POST is reported to be refused), which is encrypted on
its way like everything else, and hidden from our logs by ``redaction``.
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

Opened = Callable[[Credentials], Get]
"""Gives a client of its own under these credentials: an inspector that Meta refuses must not spoil the others."""

PAGE, USER, SYSTEM_USER, APP = "PAGE", "USER", "SYSTEM_USER", "APP"
NEVER = datetime.max.replace(tzinfo=UTC)
"""The end of a token for which Meta says 0: later than any moment that is asked about."""


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What is known of a token; None wherever Meta does not say.

    ``kind`` is ``PAGE``, ``USER`` or ``SYSTEM_USER``; the two ends are aware times, ``NEVER`` for none; ``targets``
    holds the ids of Pages and accounts to which a permission is limited, for those that are.
    """

    kind: str | None = None
    owner_id: str = ""
    owner: str = ""
    app: str | None = None
    permissions: frozenset[str] | None = None
    expires_at: datetime | None = None
    data_access_expires_at: datetime | None = None
    targets: Mapping[str, frozenset[str]] = field(default_factory=dict)


def token_info(credentials: Credentials, opened: Opened) -> TokenInfo:
    """What Meta says of a token, in 2 calls; with an app secret in 3; one more where ``/debug_token`` is refused.

    Raises ``TokenError`` for a token that does not work, and what ``/me`` raises.
    """
    get = opened(credentials)
    info = _known(credentials, opened, get)
    return _with_owner(info, read_me(get))


def token_and_pages(credentials: Credentials, opened: Opened) -> tuple[TokenInfo, list[PageIdentity]]:
    """The same with the Pages that the token reads: no further call for a Page token, one per 100 Pages for others.

    Raises ``TokenError`` for a token that does not work, and what ``/me`` and ``/me/accounts`` raise.
    """
    get = opened(credentials)
    info = _known(credentials, opened, get)
    if info.kind == PAGE:
        page = own_page(get)
        return dataclasses.replace(info, owner_id=page.page_id, owner=page.name), [page]
    info = _with_owner(info, read_me(get))
    return info, pages_of_person(get)


def read_debug_token(response: Mapping[str, Any]) -> TokenInfo:
    """What a response of ``/debug_token`` says; raises ``TokenError`` for a token that it calls invalid.

    Raises ``UnexpectedResponseError`` for a response that says nothing about a token.
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


def _known(credentials: Credentials, opened: Opened, get: Get) -> TokenInfo:
    inspected = _inspected(credentials, opened)
    info = _granted(get) if inspected is None else read_debug_token({"data": inspected})
    if info.kind == APP:
        raise TokenError(
            "The token is an app's own, which reads no Page: store a Page, user or system-user token as the "
            "connection's password."
        )
    return info


def _token_data(response: Mapping[str, Any]) -> Mapping[str, Any]:
    data = response.get("data")
    if not isinstance(data, Mapping) or "is_valid" not in data:
        raise UnexpectedResponseError("Meta's response about the token says nothing about it.")
    return data


def _inspected(credentials: Credentials, opened: Opened) -> Mapping[str, Any] | None:
    """The data of ``/debug_token``, None where it is refused: that alone says nothing about the token."""
    try:
        inspector = _app_credentials(credentials, opened) if credentials.app_secret else credentials
        return opened(inspector)("debug_token", {"input_token": credentials.token}, parse=_token_data)
    except (RateLimitError, TransientError, TooMuchDataError, BlockedError):
        raise
    except GraphError as error:
        logger.info("Meta does not say here when the token ends: /debug_token is refused (code %s).", error.code)
        return None


def _app_credentials(credentials: Credentials, opened: Opened) -> Credentials:
    app = opened(credentials)("app", {"fields": "id"}, parse=checked_node)
    return Credentials(f"{app['id']}|{credentials.app_secret}", credentials.app_secret)


def _granted(get: Get) -> TokenInfo:
    """What ``/me/permissions`` says, which people and system users have and Pages have not.

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

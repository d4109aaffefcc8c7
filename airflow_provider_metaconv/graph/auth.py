"""Who we are to Meta: the bearer header, the app secret proof, and the Page's own token."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from airflow_provider_metaconv.graph.errors import InvalidRequestError, PermissionDeniedError, TokenError
from airflow_provider_metaconv.graph.paging import pages

logger = logging.getLogger(__name__)

Get = Callable[[str, Mapping[str, str]], dict[str, Any]]
Answer = TypeVar("Answer")

_SECRET_PATTERNS = re.compile(
    r"((?:access_token|input_token|appsecret_proof|client_secret|fb_exchange_token)(?:=|%3D|\"?\s*:\s*\"?))[^&\s\"'\\,}]+"
    r"|(Bearer\s+)\S+"
    r"|\bEAA[A-Za-z0-9]{8,}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A token and, where the app demands proofs, its secret; neither is ever shown by ``repr``.

    Raises ``TokenError`` for a token that cannot be sent in a header: empty, or with spaces or line breaks.
    """

    token: str = field(repr=False)
    app_secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.token:
            raise TokenError("The access token is empty: store one as the connection's password.")
        if not self.token.isascii() or not self.token.isprintable() or " " in self.token:
            raise TokenError(
                "The access token contains a space, a line break or another character that no token has: "
                "store it again as the connection's password, without what was copied around it."
            )

    @property
    def headers(self) -> dict[str, str]:
        """The token as a header: in a URL it would end up in logs."""
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def parameters(self) -> dict[str, str]:
        """``appsecret_proof``: the hex HMAC-SHA256 of the token that this call uses, under the app secret.

        Source: https://developers.facebook.com/docs/graph-api/guides/secure-requests
        """
        if not self.app_secret:
            return {}
        proof = hmac.new(self.app_secret.encode(), self.token.encode(), hashlib.sha256).hexdigest()
        return {"appsecret_proof": proof}

    def scrub(self, text: str) -> str:
        """The text with this token, its proof, the app secret and anything that looks like a token blotted out."""
        for secret in (self.token, self.app_secret, *self.parameters.values()):
            if secret:
                text = text.replace(secret, "***")
        return scrub(text)


def scrub(text: str) -> str:
    """The text with everything that looks like a token, a proof or a secret blotted out."""
    return _SECRET_PATTERNS.sub(lambda match: f"{match[1] or match[2] or ''}***", text)


class SecretFilter(logging.Filter):
    """Keeps proofs and tokens out of the request lines that urllib3 writes at log level DEBUG."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrites the record where it holds a secret; never drops it."""
        line = record.getMessage()
        clean = scrub(line)
        if clean != line:
            record.msg, record.args = clean, ()
        return True


@dataclass(frozen=True, slots=True)
class PageIdentity:
    """A Page as its token sees it: the token to read it with, and the ids under which the business writes."""

    page_id: str
    name: str
    token: str = field(repr=False)
    instagram_account_id: str | None = None
    tasks: tuple[str, ...] | None = None
    """What the token's person may do on the Page; None where Meta does not say, as for a Page's own token."""

    @property
    def lacks_messages_task(self) -> bool:
        """Whether the person has neither of the tasks that conversations need; False where Meta does not say."""
        return self.tasks is not None and MESSAGES_TASKS.isdisjoint(self.tasks)

    @property
    def own_ids(self) -> frozenset[str]:
        """The ids that mark a message as written by the business itself."""
        return frozenset(filter(None, (self.page_id, self.instagram_account_id)))


MESSAGES_TASKS = frozenset({"MESSAGING", "MODERATE", "PROFILE_PLUS_MESSAGING", "PROFILE_PLUS_MODERATE"})
"""The tasks that let a person read conversations: Meta's guide names the first two, its SDK the names of new Pages.

Source: https://developers.facebook.com/docs/messenger-platform/conversations
"""

_PAGE_FIELDS = "id,name,access_token"
_INSTAGRAM_FIELD = ",instagram_business_account{id,username}"


def page_identity(get: Get, page_id: str, *, with_instagram: bool) -> PageIdentity:
    """The Page's own token and ids, from a Page, user or system-user token; one call, two or more where Meta hides it.

    Asks the Page node first; when that does not hand over a token, looks for the Page in ``/me/accounts``.
    Raises ``InvalidRequestError`` when INSTAGRAM is wanted and the Page has no linked account,
    ``PermissionDeniedError`` when the token has no access to the Page, and what the calls raise.
    """
    fields = _PAGE_FIELDS + (_INSTAGRAM_FIELD if with_instagram else "")
    node = get(page_id, {"fields": fields})
    if "access_token" not in node:
        node = next((page for page in _accounts(get, fields) if page.get("id") == page_id), {})
    if "access_token" not in node:
        raise PermissionDeniedError(
            f"The token gives no access to Page {page_id}: its person needs the task Messages on that Page, "
            "and the app pages_show_list (and business_management for a Page that a business owns)."
        )
    identity = _identity(node)
    if with_instagram and identity.instagram_account_id is None:
        raise InvalidRequestError(
            f"Page {page_id} shows no linked Instagram account: link one in the Page settings and grant "
            "instagram_basic, or leave INSTAGRAM out for this Page."
        )
    return identity


def list_pages(get: Get) -> list[PageIdentity]:
    """All Pages that a token can read, with their linked Instagram accounts: a Page token's one, a user token's all.

    One call per 100 Pages; a Page token, and one that may not see Instagram accounts, cost one more.
    Source: https://developers.facebook.com/docs/graph-api/reference/user/accounts/
    """
    try:
        return pages_of_person(get)
    except InvalidRequestError as error:
        if not is_missing_field(error):
            raise
        return [own_page(get)]


def is_missing_field(error: InvalidRequestError) -> bool:
    """Whether this can be Meta's word that a Page has no such edge, as ``accounts`` and ``permissions``: code 100."""
    return error.code == 100


def pages_of_person(get: Get) -> list[PageIdentity]:
    """The Pages of a user or system-user token, with the person's tasks on them; raises (#100) for a Page token."""
    nodes = _with_instagram(lambda instagram: _accounts(get, f"{_PAGE_FIELDS},tasks{instagram}"))
    for node in nodes:
        if "access_token" not in node:
            logger.warning("Page %s is left out: the token's person has no task that gives access", node.get("id"))
    return [_identity(node) for node in nodes if "access_token" in node]


def own_page(get: Get) -> PageIdentity:
    """The Page that a Page token speaks for."""
    return _identity(_with_instagram(lambda instagram: get("me", {"fields": _PAGE_FIELDS + instagram})))


def _with_instagram(ask: Callable[[str], Answer]) -> Answer:
    try:
        return ask(_INSTAGRAM_FIELD)
    except PermissionDeniedError:
        # A token for Messenger alone may not ask for Instagram accounts, and needs none.
        return ask("")


def _accounts(get: Get, fields: str) -> list[dict[str, Any]]:
    found = pages(lambda after: get("me/accounts", {"fields": fields, "limit": "100", **after}))
    return [node for page in found for node in page.items]


def _identity(node: Mapping[str, Any]) -> PageIdentity:
    instagram = node.get("instagram_business_account") or {}
    tasks = node.get("tasks")
    return PageIdentity(
        str(node["id"]),
        str(node.get("name", "")),
        str(node["access_token"]),
        instagram.get("id"),
        tuple(map(str, tasks)) if isinstance(tasks, list) else None,
    )

"""Tokens: fixed, documented test values that are worthless elsewhere, but expire and rotate like real tokens."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .errors import ERRORS, GraphError, known_error
from .models import INSTAGRAM, to_epoch
from .settings import APP_SECRET

USER_TOKEN = "emulator-user-token"  # noqa: S105  (test values that grant no access)
SYSTEM_USER_TOKEN = "emulator-system-user-token"  # noqa: S105
USER_ID = "5000000000000001"
SYSTEM_USER_ID = "5000000000000002"
APP_ID = "1"
APP_NAME = "Emulator"
SCOPES = (
    "pages_show_list",
    "pages_messaging",
    "pages_manage_metadata",
    "pages_read_engagement",
    "instagram_basic",
    "instagram_manage_messages",
    "business_management",
)


@dataclass(frozen=True)
class Token:
    """A token of a user, a system user, a Page or the app, with its permissions and expiry times.

    Times are epoch seconds, 0 for never. ``targets`` holds the IDs that a permission is limited to.
    """

    value: str
    kind: Literal["USER", "SYSTEM_USER", "PAGE", "APP"]
    owner_id: str
    permissions: tuple[str, ...] = SCOPES
    expires_at: int = 0
    data_access_expires_at: int = 0
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class TokenStore:
    """The known tokens, and the errors of those that are no longer valid."""

    def __init__(
        self,
        page_ids: Iterable[str],
        pages_without_role: frozenset[str],
        app_secret: str = APP_SECRET,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._without_role = pages_without_role
        self._clock = clock
        self.app_token = f"{APP_ID}|{app_secret}"
        self._tokens = {
            USER_TOKEN: Token(USER_TOKEN, "USER", USER_ID),
            SYSTEM_USER_TOKEN: Token(SYSTEM_USER_TOKEN, "SYSTEM_USER", SYSTEM_USER_ID),
            self.app_token: Token(self.app_token, "APP", APP_ID, permissions=()),
        }
        self._page_tokens: dict[str, str] = {}
        self._invalid: dict[str, str] = {}
        self._rotations: dict[str, int] = {}
        for page_id in page_ids:
            self._give(page_id, f"emulator-page-token-{page_id}")

    def _give(self, page_id: str, value: str) -> None:
        self._tokens[value] = Token(value, "PAGE", page_id)
        self._page_tokens[page_id] = value

    @property
    def page_tokens(self) -> dict[str, str]:
        """The current token of each Page, by Page ID."""
        return dict(self._page_tokens)

    def has_role(self, page_id: str) -> bool:
        """Whether the user and the system user may act for the Page."""
        return page_id not in self._without_role

    def find(self, value: str | None) -> Token:
        """Return the caller's token; raises 104 without a token and 190 for an invalid one."""
        if not value:
            raise known_error("104")
        if value not in self._tokens:
            raise known_error("190")
        token, error = self.known(value)
        if error is not None:
            raise known_error(error)
        return token

    def known(self, value: str) -> tuple[Token, str | None]:
        """Return a token and the name of its error, None if it is valid; raises KeyError for an unknown token."""
        token, error = self._tokens[value], self._invalid.get(value)
        if error is None and 0 < token.expires_at <= self._clock():
            error = "190/463"
        return token, error

    def describe(self, value: str, description: Mapping[str, Any]) -> None:
        """Change a token's permissions and expiry times; raises ValueError for an unknown token or property."""
        unknown = set(description) - _DESCRIPTION.keys()
        if value not in self._tokens or unknown:
            raise ValueError(f"unknown token {value!r} or unknown properties {sorted(unknown)}")
        changes = {name: _DESCRIPTION[name](given) for name, given in description.items()}
        self._tokens[value] = dataclasses.replace(self._tokens[value], **changes)

    def expire(self, value: str, subcode: int | None = 463) -> None:
        """Make a token fail with 190 and the subcode; raises ValueError for an unknown token or subcode."""
        name = "190" if subcode is None else f"190/{subcode}"
        if value not in self._tokens or name not in ERRORS:
            raise ValueError(f"unknown token {value!r} or unknown error {name}")
        self._invalid[value] = name

    def restore(self, value: str) -> None:
        """Make an expired token valid again."""
        self._invalid.pop(value, None)

    def rotate(self, page_id: str, subcode: int | None = 460) -> str:
        """Give a Page a new token and return it; the old one fails with 190 and the subcode. Raises ValueError."""
        if page_id not in self._page_tokens:
            raise ValueError(f"Page {page_id} does not exist")
        self.expire(self._page_tokens[page_id], subcode)
        self._rotations[page_id] = self._rotations.get(page_id, 1) + 1
        self._give(page_id, f"emulator-page-token-{page_id}-{self._rotations[page_id]}")
        return self._page_tokens[page_id]


def _moment(value: Any) -> int:
    return to_epoch(value) if value else 0


_DESCRIPTION: dict[str, Callable[[Any], Any]] = {
    "permissions": tuple,
    "expires_at": _moment,
    "data_access_expires_at": _moment,
    "targets": lambda targets: {name: tuple(ids) for name, ids in targets.items()},
}


def check_proof(secret: str, token: str, proof: str | None, *, required: bool) -> None:
    """Raise 100 for a wrong ``appsecret_proof``, or a missing one if it is required."""
    if proof is None:
        if required:
            raise known_error("100/proof_missing")
        return
    expected = hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), proof.encode()):
        raise known_error("100/proof")


def page_only(token: Token, page_id: str) -> GraphError | None:
    """Return the error for a caller other than this Page, None for the Page itself."""
    if token.kind != "PAGE":
        return known_error("190/page_token")
    return None if token.owner_id == page_id else known_error("200")


def permitted(token: Token, platform: str | None) -> GraphError | None:
    """Return the error for a token without permission for a platform's messages, None with it."""
    if platform == INSTAGRAM:
        return None if "instagram_manage_messages" in token.permissions else known_error("10")
    return None if "pages_messaging" in token.permissions else known_error("230")

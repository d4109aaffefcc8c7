"""Trial tokens: fixed, documented, worthless outside the emulator; they can expire and rotate like real ones."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from .errors import ERRORS, GraphError, known_error

USER_TOKEN = "emulator-user-token"  # noqa: S105  (trial values, they open nothing)
SYSTEM_USER_TOKEN = "emulator-system-user-token"  # noqa: S105
USER_ID = "5000000000000001"
SYSTEM_USER_ID = "5000000000000002"


@dataclass(frozen=True)
class Token:
    """Who calls: a person, a system user or a Page."""

    value: str
    kind: Literal["USER", "SYSTEM_USER", "PAGE"]
    owner_id: str


class TokenBook:
    """The tokens the emulator knows, and what became of those that no longer work."""

    def __init__(self, page_ids: Iterable[str], pages_without_role: frozenset[str]) -> None:
        self._without_role = pages_without_role
        self._tokens = {
            USER_TOKEN: Token(USER_TOKEN, "USER", USER_ID),
            SYSTEM_USER_TOKEN: Token(SYSTEM_USER_TOKEN, "SYSTEM_USER", SYSTEM_USER_ID),
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
        """The current token of each Page."""
        return dict(self._page_tokens)

    def has_role(self, page_id: str) -> bool:
        """Whether the user and the system user may act for the Page."""
        return page_id not in self._without_role

    def find(self, value: str | None) -> Token:
        """Return who calls; raises 104 without a token and 190 for one that does not work."""
        if not value:
            raise known_error("104")
        if value in self._invalid:
            raise known_error(self._invalid[value])
        if value not in self._tokens:
            raise known_error("190")
        return self._tokens[value]

    def known(self, value: str) -> tuple[Token, str | None]:
        """Return a token and the name of the error it answers with, None while it works; raises KeyError."""
        return self._tokens[value], self._invalid.get(value)

    def expire(self, value: str, subcode: int | None = 463) -> None:
        """Answer 190 with the subcode from now on; raises ValueError for an unknown token or subcode."""
        name = "190" if subcode is None else f"190/{subcode}"
        if value not in self._tokens or name not in ERRORS:
            raise ValueError(f"there is no token {value!r} or no error {name}")
        self._invalid[value] = name

    def restore(self, value: str) -> None:
        """Let an expired token work again."""
        self._invalid.pop(value, None)

    def rotate(self, page_id: str, subcode: int | None = 460) -> str:
        """Give the Page a new token and return it; the old one answers 190 with the subcode."""
        if page_id not in self._page_tokens:
            raise ValueError(f"there is no Page {page_id}")
        self.expire(self._page_tokens[page_id], subcode)
        self._rotations[page_id] = self._rotations.get(page_id, 1) + 1
        self._give(page_id, f"emulator-page-token-{page_id}-{self._rotations[page_id]}")
        return self._page_tokens[page_id]


def check_proof(secret: str, token: str, proof: str | None, *, required: bool) -> None:
    """Raise 100 for a wrong ``appsecret_proof``, or for none where one is required."""
    if proof is None:
        if required:
            raise known_error("100/proof_missing")
        return
    expected = hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), proof.encode()):
        raise known_error("100/proof")


def page_only(token: Token, page_id: str) -> GraphError | None:
    """Return the error of a caller that is not this Page, None for the Page itself."""
    if token.kind != "PAGE":
        return known_error("190/page_token")
    return None if token.owner_id == page_id else known_error("200")

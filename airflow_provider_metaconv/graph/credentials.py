"""The credentials of a call: the token's header and the app secret proof."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from airflow_provider_metaconv.graph.errors import TokenError
from airflow_provider_metaconv.graph.redaction import remember


@dataclass(frozen=True, slots=True)
class Credentials:
    """A token and, if the app requires proofs, its app secret. From now on, both are redacted from all texts.

    ``headers`` holds the token, because a token in a URL would end up in logs. ``parameters`` holds
    ``appsecret_proof``, the hex HMAC-SHA256 of the token with the app secret as key
    (https://developers.facebook.com/docs/graph-api/guides/secure-requests). Raises ``TokenError`` for a token that
    cannot be sent in a header: empty, or with spaces or line breaks.
    """

    token: str = field(repr=False)
    app_secret: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(init=False, repr=False, compare=False)
    parameters: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        remember(self.token, self.token.strip(), self.app_secret)
        if not self.token:
            raise TokenError("The access token is empty: store one as the connection's password.")
        if not is_sendable_token(self.token):
            raise TokenError(
                "The access token contains a space, a line break or another invalid character: "
                "store only the token itself as the connection's password."
            )
        proof = {"appsecret_proof": _proof(self.token, self.app_secret)} if self.app_secret else {}
        remember(*proof.values())
        object.__setattr__(self, "headers", MappingProxyType({"Authorization": f"Bearer {self.token}"}))
        object.__setattr__(self, "parameters", MappingProxyType(proof))


def is_sendable_token(token: str) -> bool:
    """Whether a token can be sent in a header."""
    return token != "" and token.isascii() and token.isprintable() and " " not in token


def _proof(token: str, app_secret: str) -> str:
    return hmac.new(app_secret.encode(), token.encode(), hashlib.sha256).hexdigest()

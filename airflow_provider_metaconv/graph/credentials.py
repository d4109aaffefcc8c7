"""What proves to Meta who calls: the token's header and the app secret proof; and how both stay out of texts."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from airflow_provider_metaconv.graph.errors import TokenError

_SECRET_PATTERNS = re.compile(
    r"((?:access_token|input_token|appsecret_proof|client_secret|fb_exchange_token)(?:=|%3D|\"?\s*:\s*\"?))[^&\s\"'\\,}]+"
    r"|(Bearer\s+)\S+"
    r"|\bEAA[A-Za-z0-9]{8,}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A token and, where the app demands proofs, its secret; neither is ever shown by ``repr``.

    ``headers`` holds the token: in a URL it would end up in logs. ``parameters`` holds ``appsecret_proof``, the hex
    HMAC-SHA256 of the token under the app secret (https://developers.facebook.com/docs/graph-api/guides/secure-requests).
    Raises ``TokenError`` for a token that cannot be sent in a header: empty, or with spaces or line breaks.
    """

    token: str = field(repr=False)
    app_secret: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(init=False, repr=False, compare=False)
    parameters: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.token:
            raise TokenError("The access token is empty: store one as the connection's password.")
        if not is_sendable_token(self.token):
            raise TokenError(
                "The access token contains a space, a line break or another character that no token has: "
                "store it again as the connection's password, without what was copied around it."
            )
        proof = {"appsecret_proof": _proof(self.token, self.app_secret)} if self.app_secret else {}
        object.__setattr__(self, "headers", MappingProxyType({"Authorization": f"Bearer {self.token}"}))
        object.__setattr__(self, "parameters", MappingProxyType(proof))

    def scrub(self, text: str) -> str:
        """The text without this token, its proof, the app secret and anything that looks like a token."""
        for secret in (self.token, self.app_secret, *self.parameters.values()):
            if secret:
                text = text.replace(secret, "***")
        return scrub(text)


class SecretFilter(logging.Filter):
    """Keeps proofs and tokens out of the request lines that urllib3 writes at log level DEBUG."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrites the record where it holds a secret; never drops it."""
        line = record.getMessage()
        clean = scrub(line)
        if clean != line:
            record.msg, record.args = clean, ()
        return True


def is_sendable_token(token: str) -> bool:
    """Whether a token can be sent in a header as it is."""
    return token != "" and token.isascii() and token.isprintable() and " " not in token


def scrub(text: str) -> str:
    """The text without everything that looks like a token, a proof or a secret."""
    return _SECRET_PATTERNS.sub(lambda match: f"{match[1] or match[2] or ''}***", text)


def _proof(token: str, app_secret: str) -> str:
    return hmac.new(app_secret.encode(), token.encode(), hashlib.sha256).hexdigest()

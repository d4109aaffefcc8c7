"""Pseudonyms: keyed hashes of identifiers. The same key gives the same pseudonym in every column, table and run."""

from __future__ import annotations

import base64
import hmac
from functools import lru_cache

from airflow_provider_metaconv.privacy.policy import PolicyError

SHORTEST_KEY = 32
"""In characters. IDs of people are short numbers, so a key that can be guessed reveals all of them."""

LENGTH = 32
"""Hexadecimal digits of a pseudonym: 128 bits, so that no two of a trillion IDs share one by chance."""


MOST_KNOWN = 65_536
"""Pseudonyms that are remembered: a page of messages has few people, and one conversation."""


class Pseudonyms:
    """Turns identifiers into pseudonyms with HMAC-SHA256, and seals what only the holder of the key may read.

    Source: https://www.rfc-editor.org/rfc/rfc2104. Raises ``PolicyError`` for a key that is too short.
    """

    def __init__(self, key: str) -> None:
        if len(key) < SHORTEST_KEY:
            raise PolicyError(
                f"The privacy key must have at least {SHORTEST_KEY} characters: set the password of the connection "
                "privacy_conn_id to a random one, such as the output of openssl rand -hex 32."
            )
        self._key = hmac.digest(key.encode(), b"metaconv pseudonyms", "sha256")
        self._seal_key = base64.urlsafe_b64encode(hmac.digest(key.encode(), b"metaconv seal", "sha256"))
        self.key_id = hmac.digest(key.encode(), b"metaconv key id", "sha256").hex()[:16]
        """A fingerprint, which reveals nothing about the key."""
        self._known = lru_cache(MOST_KNOWN)(self.of_one)

    def of(self, identifier: str) -> str:
        """Return the pseudonym of an identifier that occurs often, such as that of a person."""
        return self._known(identifier)

    def of_one(self, identifier: str) -> str:
        """Return the pseudonym of an identifier that occurs once or twice, such as that of a message."""
        return hmac.digest(self._key, identifier.encode("utf-8", "surrogatepass"), "sha256")[: LENGTH // 2].hex()

    def seal(self, data: bytes) -> bytes:
        """Encrypt and authenticate data with a key derived from the key of the pseudonyms."""
        from cryptography.fernet import Fernet

        return Fernet(self._seal_key).encrypt(data)

    def unseal(self, sealed: bytes) -> bytes:
        """Return sealed data; raises ``ValueError`` if it is damaged or was sealed with another key."""
        from cryptography.fernet import Fernet, InvalidToken

        try:
            return Fernet(self._seal_key).decrypt(sealed)
        except InvalidToken:
            raise ValueError("sealed with another key, or damaged") from None

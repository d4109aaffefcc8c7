"""The suppression list: people whom later runs leave out, by hashes. Pure; the callers read and write it.

It is stored beside the data, as ``_suppressed.json`` in the destination. Hashes are salted, with the salt in the list:
somebody who has the list can check whether a known ID is on it, but cannot read IDs from it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import orjson

from airflow_provider_metaconv.privacy.policy import PolicyError

SUPPRESSION_NAME = "_suppressed.json"
VERSION = 1


class Scope(StrEnum):
    """How much of a person's conversations is erased and left out."""

    CONVERSATION = "conversation"
    """Whole conversations, with what others wrote in them."""
    OWN = "own"
    """The person's own messages, and their entries among recipients, participants and reactions."""


@dataclass(frozen=True, slots=True)
class SuppressionList:
    """The people, and their conversations, that later runs leave out. ``in`` and ``scope_of`` take IDs.

    ``scopes`` and ``owners`` have hashes: how much is left out, and whose a conversation is.
    """

    salt: str = field(default_factory=lambda: secrets.token_hex(16))
    scopes: Mapping[str, Scope] = field(default_factory=lambda: MappingProxyType({}))
    owners: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    _known: dict[str, Scope | None] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def from_bytes(cls, data: bytes) -> SuppressionList:
        """Return a stored list; raises ``PolicyError`` if it is damaged, because nobody on it may be extracted."""
        try:
            content = orjson.loads(data)
            scopes = {str(name): Scope(scope) for name, scope in content["suppressed"].items()}
            owners = {str(name): tuple(map(str, people)) for name, people in content["owners"].items()}
            version, salt = content["version"], str(content["salt"])
        except (ValueError, KeyError, TypeError, AttributeError):
            version, salt, scopes, owners = None, "", {}, {}
        if version != VERSION:
            raise PolicyError(
                f"{SUPPRESSION_NAME} in the destination is damaged, or of a later release: restore it from a backup, "
                "or remove it and erase its people again."
            )
        return cls(salt, scopes, owners)

    def to_bytes(self) -> bytes:
        """Return the list as JSON."""
        content: dict[str, Any] = {
            "version": VERSION,
            "salt": self.salt,
            "suppressed": dict(self.scopes),
            "owners": dict(self.owners),
        }
        return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)

    def __bool__(self) -> bool:
        """Whether anybody is on the list."""
        return bool(self.scopes)

    @property
    def digest(self) -> str:
        """A checksum of who is on the list; "" if nobody is."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:16] if self.scopes else ""

    def with_people(self, people: Iterable[str], scope: Scope) -> SuppressionList:
        """Return a list that also has these people; somebody whose conversations are left out stays so."""
        return self._with(dict.fromkeys(map(self.hash_of, people), scope), {})

    def with_conversations(self, conversations: Iterable[str], people: Iterable[str]) -> SuppressionList:
        """Return a list that also has these conversations of these people."""
        owners = tuple(map(self.hash_of, people))
        hashes = list(map(self.hash_of, conversations))
        return self._with(dict.fromkeys(hashes, Scope.CONVERSATION), dict.fromkeys(hashes, owners))

    def _with(self, scopes: Mapping[str, Scope], owners: Mapping[str, tuple[str, ...]]) -> SuppressionList:
        kept = {name: scope for name, scope in self.scopes.items() if scope is Scope.CONVERSATION or name not in scopes}
        both = {name: tuple(dict.fromkeys((*self.owners.get(name, ()), *own))) for name, own in owners.items()}
        return SuppressionList(self.salt, {**scopes, **kept}, {**self.owners, **both})

    def without(self, people: Iterable[str]) -> SuppressionList:
        """Return a list without these people, and without conversations that are theirs alone."""
        removed = {self.hash_of(each) for each in people}
        owners = {name: tuple(each for each in own if each not in removed) for name, own in self.owners.items()}
        removed |= {name for name, own in owners.items() if not own}
        scopes = {name: scope for name, scope in self.scopes.items() if name not in removed}
        return SuppressionList(self.salt, scopes, {name: own for name, own in owners.items() if own})

    def hash_of(self, identifier: str) -> str:
        """Return the hash under which somebody is on the list."""
        return hmac.digest(self.salt.encode(), identifier.encode("utf-8", "surrogatepass"), "sha256").hex()

    def scope_of(self, identifier: object) -> Scope | None:
        """Return how much of somebody is left out; None if they are not on the list."""
        if not self.scopes or not isinstance(identifier, str | int):
            return None
        identifier = str(identifier)
        if identifier not in self._known:
            self._known[identifier] = self.scopes.get(self.hash_of(identifier))
        return self._known[identifier]

    def __contains__(self, identifier: object) -> bool:
        return self.scope_of(identifier) is not None

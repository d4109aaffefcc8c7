"""Privacy policies: what happens to each column. A policy is validated before the first call. Pure.

A policy is a treatment per column. The columns' sensitivity, in ``schema``, decides which treatments make sense, and
which columns reveal the same thing: a policy that hides it in one column and shows it in another is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from airflow_provider_metaconv.schema import TABLES, Column, ColumnType, Sensitivity, flat_sensitivities

FULL = "full"
PSEUDONYMOUS = "pseudonymous"
METADATA = "metadata"


class Treatment(StrEnum):
    """What happens to a column's values. In JSON, names, links and unknown keys remain only with ``keep``."""

    KEEP = "keep"
    HASH = "hash"
    """Identifiers become pseudonyms, and content is scrubbed."""
    SCRUB = "scrub"
    """E-mail addresses, phone numbers and the like are replaced in content. Identifiers stay."""
    DROP = "drop"
    """The value is null."""


class PolicyError(ValueError):
    """The setting ``privacy`` is invalid, or cannot be applied. The message is one line that says what to change."""


_HASH, _SCRUB, _DROP = Treatment.HASH, Treatment.SCRUB, Treatment.DROP

_PEOPLE_HASHED = dict.fromkeys(("sender_id", "recipients", "participants", "reactions", "user_id"), _HASH)

BUILT_IN: Mapping[str, Mapping[str, Treatment]] = {
    FULL: {},
    PSEUDONYMOUS: {
        **_PEOPLE_HASHED,
        "sender_name": _DROP,
        "text": _SCRUB,
        "attachments": _HASH,
        "shares": _HASH,
        "story": _HASH,
        "reply_to": _SCRUB,
        "sticker": _DROP,
        "link": _DROP,
        "extra": _DROP,
    },
    METADATA: {
        **_PEOPLE_HASHED,
        "conversation_id": _HASH,
        "message_id": _HASH,
        "reply_to": _HASH,
        "sender_name": _DROP,
        "text": _DROP,
        "attachments": _HASH,
        "shares": _DROP,
        "story": _HASH,
        "sticker": _DROP,
        "link": _DROP,
        "extra": _DROP,
    },
}
"""The policies that have a name."""

_IDENTIFIERS = frozenset(
    {Sensitivity.PERSON_ID, Sensitivity.CONVERSATION_ID, Sensitivity.MESSAGE_ID, Sensitivity.OBJECT_ID}
)
_NAMES_OF_PEOPLE = "sender_name"
_ONE_PERSON = "user_id"
_REVEALING = ("link", "extra")
"""A conversation's address identifies it, and fields that a user chose can show anything."""


@dataclass(frozen=True, slots=True)
class PrivacyPolicy:
    """A named treatment per column; a column that is not listed is kept. Use ``parse``, which validates."""

    name: str = FULL
    treatments: Mapping[str, Treatment] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def parse(cls, setting: object) -> PrivacyPolicy:
        """Return the policy of a setting: ``full``, ``pseudonymous``, ``metadata`` or a treatment per column.

        Raises ``PolicyError`` for an unknown policy, column or treatment, and for a policy that hides something in one
        column and shows it in another.
        """
        if isinstance(setting, Mapping):
            return cls._of(_checked(setting))
        if isinstance(setting, str) and setting in BUILT_IN:
            return cls(setting, BUILT_IN[setting])
        raise PolicyError(f"privacy must be {', '.join(BUILT_IN)}, or a treatment per column such as {_EXAMPLE}.")

    @classmethod
    def _of(cls, treatments: Mapping[str, Treatment]) -> PrivacyPolicy:
        for name, known in BUILT_IN.items():
            if known == treatments:
                return cls(name, known)
        # Two settings that treat all columns alike are the same policy. What is dropped unless it is kept counts only
        # if it is kept, so that policies of releases without these columns keep their names.
        implied = _implied(treatments)
        stated = {name: each for name, each in treatments.items() if name not in implied}
        stated |= {name: Treatment.KEEP for name in implied if name not in treatments}
        canonical = json.dumps(dict(sorted(stated.items())))
        return cls(f"custom-{hashlib.sha256(canonical.encode()).hexdigest()[:8]}", treatments)

    @property
    def is_full(self) -> bool:
        """Whether every column is kept."""
        return not self.treatments

    @property
    def hashes_conversations(self) -> bool:
        """Whether conversations are stored under pseudonyms, so that their IDs cannot be requested from Meta."""
        return self.of("conversation_id") is Treatment.HASH

    @property
    def scrubs(self) -> bool:
        """Whether any content is scrubbed."""
        return any(
            self.of(column.name) in (_HASH, _SCRUB) and Sensitivity.CONTENT in _sensitivities(column)
            for column in _columns().values()
        )

    @property
    def dropped_fields(self) -> frozenset[str]:
        """The Graph fields that are not even requested, because every column that comes from them is dropped."""
        columns: dict[str, list[str]] = {}
        for column in _columns().values():
            columns.setdefault(column.graph_field, []).append(column.name)
        return frozenset(
            field for field, names in columns.items() if field and all(self.of(name) is _DROP for name in names)
        )

    def of(self, column: str) -> Treatment:
        """Return the treatment of a column."""
        return self.treatments.get(column, Treatment.KEEP)


_EXAMPLE = '{"text": "scrub", "sticker": "drop"}'


def _columns() -> dict[str, Column]:
    """Return a column of each name. Columns of the same name, in several tables, mean the same."""
    return {column.name: column for table in TABLES for column in table.columns}


def _checked(setting: Mapping[Any, Any]) -> dict[str, Treatment]:
    columns = _columns()
    treatments: dict[str, Treatment] = {}
    for name, value in setting.items():
        if name not in columns:
            # The name is not quoted, because it may be a secret that was put in the wrong place.
            names = ", ".join(name for name, column in columns.items() if len(allowed_treatments(column)) > 1)
            raise PolicyError(f"privacy names a column that no table has: use {names}.")
        allowed = allowed_treatments(columns[name])
        if not isinstance(value, str) or value not in allowed:
            raise PolicyError(f"privacy of {name} must be {' or '.join(allowed)}.")
        treatments[name] = Treatment(value)
    if any(treatments.get(name) is _HASH for name in _showing(Sensitivity.PERSON_ID)):
        # The only column that is filled from a setting, which few people use.
        treatments.setdefault(_ONE_PERSON, _HASH)
    for name in _implied(treatments):
        treatments.setdefault(name, _DROP)
    _check_consistent(treatments)
    return {name: treatment for name, treatment in treatments.items() if treatment is not Treatment.KEEP}


def _implied(treatments: Mapping[str, Treatment]) -> tuple[str, ...]:
    """Return the columns that a policy drops unless it keeps them, because they can show what it hides."""
    if all(each is Treatment.KEEP for name, each in treatments.items() if name not in _REVEALING):
        return ()
    return _REVEALING if _hashed_identifier(treatments) else ("extra",)


def _hashed_identifier(treatments: Mapping[str, Treatment]) -> str | None:
    """Return a column of people or conversations that is hashed; None if there is none."""
    columns = (*_showing(Sensitivity.PERSON_ID), *_showing(Sensitivity.CONVERSATION_ID))
    return next((name for name in columns if treatments.get(name) is _HASH), None)


def allowed_treatments(column: Column) -> tuple[Treatment, ...]:
    """Return the treatments that make sense for a column."""
    found = set(_sensitivities(column))
    allowed = [Treatment.KEEP]
    if found & _IDENTIFIERS:
        allowed.append(_HASH)
    if Sensitivity.CONTENT in found or (found - {Sensitivity.UNKNOWN} and column.type is ColumnType.JSON):
        allowed.append(_SCRUB)
    if found and not any(same.required for table in TABLES for same in table.columns if same.name == column.name):
        allowed.append(_DROP)
    return tuple(allowed)


def _check_consistent(treatments: Mapping[str, Treatment]) -> None:
    """Raise ``PolicyError`` if a column shows what is hidden in another one."""
    for sensitivity, what in ((Sensitivity.PERSON_ID, "IDs of people"), (Sensitivity.MESSAGE_ID, "message IDs")):
        columns = _showing(sensitivity)
        hidden = next((name for name in columns if treatments.get(name) is _HASH), None)
        if hidden is None:
            continue
        shown = [name for name in columns if treatments.get(name, Treatment.KEEP) in (Treatment.KEEP, _SCRUB)]
        if shown:
            raise PolicyError(
                f"privacy hashes {hidden}, but {', '.join(shown)} would show the same {what}: hash it too."
            )
        if sensitivity is Sensitivity.PERSON_ID and treatments.get(_NAMES_OF_PEOPLE) is not _DROP:
            raise PolicyError(f"privacy hashes {hidden}, but {_NAMES_OF_PEOPLE} would name the same people: drop it.")
    hidden = _hashed_identifier(treatments)
    shown = [name for name in _REVEALING if treatments.get(name, Treatment.KEEP) is Treatment.KEEP]
    if hidden is not None and shown:
        raise PolicyError(
            f"privacy hashes {hidden}, but {' and '.join(shown)} can show who it is: drop {' and '.join(shown)}, or "
            "leave them out."
        )
    if treatments.get(_NAMES_OF_PEOPLE) is _DROP:
        names = [
            name for name in _showing(Sensitivity.PERSON_ID) if Sensitivity.NAME in _sensitivities(_columns()[name])
        ]
        shown = [name for name in names if treatments.get(name, Treatment.KEEP) is Treatment.KEEP]
        if shown:
            raise PolicyError(
                f"privacy drops {_NAMES_OF_PEOPLE}, but {', '.join(shown)} would show the same names: hash or drop it."
            )


def _showing(sensitivity: Sensitivity) -> list[str]:
    return [name for name, column in _columns().items() if sensitivity in _sensitivities(column)]


def _sensitivities(column: Column) -> list[Sensitivity]:
    """Return all that a column's values reveal; empty if nothing."""
    return [each for each in flat_sensitivities(column.sensitivity) if each is not Sensitivity.NONE]

"""Applies a policy to rows, between their creation and the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from airflow_provider_metaconv.privacy.policy import PolicyError, PrivacyPolicy, Treatment
from airflow_provider_metaconv.privacy.pseudonyms import Pseudonyms
from airflow_provider_metaconv.privacy.scrubber import Scrub
from airflow_provider_metaconv.schema import (
    CONVERSATIONS,
    MESSAGES,
    MORE_PARTICIPANTS,
    Column,
    ColumnType,
    Positions,
    Row,
    Sensitivity,
    Table,
)

Transform = Callable[[Any], Any]

_NO_KEY = "privacy needs a key: set privacy_conn_id to a connection whose password is the key."


class RowPrivacy:
    """What one extraction stores of its rows. Not thread-safe.

    ``replaced`` counts what was scrubbed, by kind. Raises ``PolicyError`` if the policy needs a key or a scrubber that
    is not given: every policy but ``full`` needs a key, because checkpoints are sealed with it.
    """

    def __init__(
        self, policy: PrivacyPolicy | None = None, pseudonyms: Pseudonyms | None = None, scrub: Scrub | None = None
    ) -> None:
        self.policy = policy or PrivacyPolicy()
        self.pseudonyms = None if self.policy.is_full else pseudonyms
        self.replaced: Counter[str] = Counter()
        if not self.policy.is_full and pseudonyms is None:
            raise PolicyError(_NO_KEY)
        if self.policy.scrubs and scrub is None:
            raise PolicyError("privacy scrubs text, but there is no scrubber.")
        self._scrub = scrub
        self._messages, self._conversations = (self._transforms(table) for table in (MESSAGES, CONVERSATIONS))

    @property
    def key_id(self) -> str:
        """The fingerprint of the key; "" without one."""
        return "" if self.pseudonyms is None else self.pseudonyms.key_id

    @property
    def identity(self) -> str:
        """What must be equal for two extractions to store the same rows alike."""
        return "" if self.policy.is_full else f"{self.policy.name}/{self.key_id}"

    def messages(self, rows: Iterable[Row]) -> None:
        """Apply the policy to message rows, in place."""
        _apply(self._messages, rows)

    def conversations(self, rows: Iterable[Row]) -> None:
        """Apply the policy to conversation rows, in place."""
        _apply(self._conversations, rows)

    def conversation(self, conversation_id: str) -> str:
        """Return the ID under which a conversation is stored."""
        return self._pseudonym(conversation_id) if self.policy.hashes_conversations else conversation_id

    def person(self, user_id: str) -> str:
        """Return the ID under which the one person whose conversation is read is stored; "" stays."""
        hashes = user_id and self.policy.of("user_id") is Treatment.HASH
        return self._pseudonym(user_id) if hashes else user_id

    def _transforms(self, table: Table) -> dict[str, Transform]:
        found = {}
        for column in table.columns if not self.policy.is_full else ():
            treatment = self.policy.of(column.name)
            if treatment is not Treatment.KEEP:
                found[column.name] = self._transform(column, treatment)
            elif column.type is ColumnType.JSON and column.sensitivity is Sensitivity.NONE:
                found[column.name] = _texts
        return found

    def _transform(self, column: Column, treatment: Treatment) -> Transform:
        if treatment is Treatment.DROP:
            return lambda _: None
        return self._by_position(column.sensitivity, treatment)

    def _by_position(self, sensitivity: Sensitivity | Positions, treatment: Treatment) -> Transform:
        if isinstance(sensitivity, Sensitivity):
            return self._of_value(sensitivity, treatment)
        known = {key: self._by_position(inner, treatment) for key, inner in sensitivity.items()}

        def positions(value: Any) -> Any:
            if isinstance(value, list):
                return [positions(each) for each in value]
            if not isinstance(value, dict):
                return None
            if "data" in value:  # an edge inside an object
                return {"data": positions(value["data"])}
            found = ((key, known[key](inner)) for key, inner in value.items() if key in known)
            return {key: inner for key, inner in found if inner is not None}

        return positions

    def _of_value(self, sensitivity: Sensitivity, treatment: Treatment) -> Transform:
        """Return the treatment of a scalar. Anything else in its place is unknown, and is dropped."""
        match sensitivity:
            case Sensitivity.NONE:
                return lambda value: None if isinstance(value, dict | list) else value
            case Sensitivity.CONTENT:
                return self._scrubbed
            case Sensitivity.NAME:
                return lambda value: value if value == MORE_PARTICIPANTS else None
            case Sensitivity.LINK:
                return lambda _: None
        if treatment is not Treatment.HASH:
            return _scalar
        is_frequent = sensitivity in (Sensitivity.PERSON_ID, Sensitivity.CONVERSATION_ID)
        return partial(_hashed, self._keyed.of if is_frequent else self._keyed.of_one)

    def _scrubbed(self, value: Any) -> str | None:
        if not isinstance(value, str) or self._scrub is None:
            return None
        text, counts = self._scrub(value)
        if counts:
            self.replaced.update(counts)
        return text

    def _pseudonym(self, identifier: str) -> str:
        return self._keyed.of(identifier)

    @property
    def _keyed(self) -> Pseudonyms:
        if self.pseudonyms is None:
            raise PolicyError(_NO_KEY)
        return self.pseudonyms


def _hashed(pseudonym: Callable[[str], str], value: Any) -> str | None:
    return pseudonym(str(value)) if _scalar(value) not in (None, "") else None


def _texts(value: Any) -> list[str]:
    """Return the texts of a list that holds nothing else, unless Meta sends an undocumented shape."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _scalar(value: Any) -> Any:
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None


def _apply(transforms: Mapping[str, Transform], rows: Iterable[Row]) -> None:
    if transforms:
        for row in rows:
            for name, transform in transforms.items():
                if row.get(name) is not None:
                    row[name] = transform(row[name])

"""Graph fields that a user asks for beyond the columns. Their values share the column ``extra``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from airflow_provider_metaconv.schema import CONVERSATIONS, MESSAGES, PLATFORMS, Table, field_name

CONVERSATION_PREFIX = f"{CONVERSATIONS.name}."
"""Begins the name of a field of conversations. Other names are fields of messages."""

MOST_EXTRA_FIELDS = 20

_FIELD = re.compile(rf"(?:{re.escape(CONVERSATION_PREFIX)})?[a-z][a-z0-9_]{{0,63}}")
_EXAMPLE = '["conversations.is_owner"]'


@dataclass(frozen=True, slots=True)
class ExtraFields:
    """The names of the fields of messages and of conversations. Use ``parse``, which validates."""

    messages: tuple[str, ...] = ()
    conversations: tuple[str, ...] = ()

    @classmethod
    def parse(cls, setting: object) -> Self:
        """Return the fields of a setting: a list of names, those of conversations as ``conversations.<name>``.

        Raises ``ValueError``, with one line that follows the setting's name, for anything but a plain name of a field
        without a column: arguments and nested fields could read any amount of data.
        """
        if not isinstance(setting, list | tuple) or not all(isinstance(each, str) for each in setting):
            raise ValueError(f"must be a list of names of Graph fields, such as {_EXAMPLE}.")
        if len(setting) > MOST_EXTRA_FIELDS:
            raise ValueError(f"must not have more than {MOST_EXTRA_FIELDS} fields.")
        if not all(_FIELD.fullmatch(each) for each in setting):
            raise ValueError(f"must have only plain names of Graph fields, without arguments, such as {_EXAMPLE}.")
        names = list(dict.fromkeys(setting))
        of_conversations = tuple(
            each.removeprefix(CONVERSATION_PREFIX) for each in names if each.startswith(CONVERSATION_PREFIX)
        )
        of_messages = tuple(each for each in names if not each.startswith(CONVERSATION_PREFIX))
        _check(of_messages, MESSAGES)
        _check(of_conversations, CONVERSATIONS)
        return cls(of_messages, of_conversations)

    def on(self, platform: str) -> ExtraFields:
        """Return the fields that have no column of their own on a platform."""
        messages, conversations = (_fields_with_column(table, platform) for table in (MESSAGES, CONVERSATIONS))
        return ExtraFields(
            tuple(each for each in self.messages if each not in messages),
            tuple(each for each in self.conversations if each not in conversations),
        )

    def of(self, table: Table) -> tuple[str, ...]:
        """Return the names of the fields of a table's nodes."""
        return {MESSAGES: self.messages, CONVERSATIONS: self.conversations}.get(table, ())

    @property
    def names(self) -> list[str]:
        """The names as in the setting, in a canonical order."""
        return sorted([*self.messages, *(CONVERSATION_PREFIX + each for each in self.conversations)])


NO_EXTRA_FIELDS = ExtraFields()


def _fields_with_column(table: Table, platform: str) -> set[str]:
    return {field_name(field) for field in table.graph_fields(platform)}


def _check(names: tuple[str, ...], table: Table) -> None:
    everywhere = set.intersection(*(_fields_with_column(table, platform) for platform in PLATFORMS))
    of_conversations = set().union(*(_fields_with_column(CONVERSATIONS, platform) for platform in PLATFORMS))
    for name in names:
        if name == "snippet":
            raise ValueError("must not have snippet: it repeats the text of the newest message, which has a column.")
        if name in everywhere or name in ("folder", "messages"):
            raise ValueError(f"must not have {name}, which is read anyway.")
        if table == MESSAGES and name in of_conversations:
            raise ValueError(f"must have {CONVERSATION_PREFIX}{name} instead of {name}, which messages lack.")

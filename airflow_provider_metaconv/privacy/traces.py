"""Removal of people from the nested values of rows: recipients, participants, reactions and extra fields. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping
from typing import Any

from airflow_provider_metaconv.schema import TABLES, ColumnType, Sensitivity, Table, flat_sensitivities

_NAMING = frozenset({Sensitivity.PERSON_ID, Sensitivity.UNKNOWN})

TRACES: Mapping[Table, tuple[str, ...]] = {
    table: columns
    for table in TABLES
    if (
        columns := tuple(
            column.name
            for column in table.columns
            if column.type is ColumnType.JSON and not _NAMING.isdisjoint(flat_sensitivities(column.sensitivity))
        )
    )
}
"""The columns with people in nested values, by table."""

_WORD = re.compile(r"\w+", re.ASCII)


def without_people(value: Any, people: Container[str]) -> Any:
    """Return a list of people or reactions without the entries of ``people``, or None if no entry is left.

    Entries of people are ``{"id", ...}``. Reactions are ``{"reaction", "users"}``, where ``users`` is such a list or
    ``{"data": [...]}``; one that loses its last user is removed. Extra fields, an object, are removed altogether if one
    of the people is named anywhere in them. A value without an entry of theirs is returned itself.

    >>> without_people([{"reaction": "love", "users": [{"id": "1"}, {"id": "2"}]}], {"1"})
    [{'reaction': 'love', 'users': [{'id': '2'}]}]
    """
    if isinstance(value, dict):
        words = _WORD.findall(json.dumps(value, ensure_ascii=False))
        return None if any(word in people for word in words) else value
    if not isinstance(value, list):
        return value
    kept = [left for each in value if (left := _without(each, people)) is not _NOBODY_LEFT]
    if len(kept) == len(value) and all(left is each for left, each in zip(kept, value, strict=True)):
        return value
    return kept or None


_NOBODY_LEFT = object()


def _without(entry: Any, people: Container[str]) -> Any:
    if not isinstance(entry, dict):
        return entry
    if _is_id_of(entry.get("id"), people):
        return _NOBODY_LEFT
    users = entry.get("users")
    listed = users.get("data") if isinstance(users, dict) else users
    left = without_people(listed, people) if isinstance(listed, list) else listed
    if left is listed:
        return entry
    if left is None:
        return _NOBODY_LEFT
    return entry | {"users": users | {"data": left} if isinstance(users, dict) else left}


def _is_id_of(identifier: Any, people: Container[str]) -> bool:
    return isinstance(identifier, str | int) and not isinstance(identifier, bool) and str(identifier) in people

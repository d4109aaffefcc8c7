"""The extra of a Connection, checked: what cannot be a setting is refused with one line, never dropped in silence."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import Any

from airflow_provider_metaconv.get_provider_info import CONNECTION_FIELDS
from airflow_provider_metaconv.graph.errors import InvalidRequestError

_LONGEST_NAME = 40
_ALIKE = 0.5
"""How alike a misspelled name and the one that was meant are, of 1."""


class ConnectionExtra:
    """The settings in the extra of a Connection; raises ``InvalidRequestError`` for any that is not one."""

    def __init__(self, text: str | None) -> None:
        self._values = _json_object(text or "{}")
        for name in self._values:
            if name not in CONNECTION_FIELDS:
                raise InvalidRequestError(_unknown(name))

    def text(self, name: str) -> str | None:
        """A setting that is text, without spaces around it; None when it is empty or missing."""
        value = self._values.get(name)
        if (value is not None and not isinstance(value, str | int)) or isinstance(value, bool):
            # A URI's extra is read as JSON: a secret that looks like a number would arrive as another one.
            raise InvalidRequestError(f"{name} in the connection's extra must be text: write it in quotes, in JSON.")
        return str(value or "").strip() or None

    def positive(self, name: str, default: float) -> float:
        """A setting that is a number greater than 0, also as text; ``default`` when it is empty or missing."""
        value = self._values.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            return default
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = 0.0
        if isinstance(value, bool) or not 0 < number < float("inf"):
            # Not the value: a secret ends up in the wrong field more often than one would think.
            raise InvalidRequestError(
                f"{name} in the connection's extra must be a number greater than 0, such as {default:g}."
            )
        return number


def _json_object(text: str) -> dict[str, Any]:
    try:
        extra = json.loads(text)
    except (ValueError, RecursionError):
        extra = None
    if not isinstance(extra, dict):
        # Airflow reads broken JSON as no extra at all, which would drop the app secret without a word.
        raise InvalidRequestError('The connection\'s extra must be a JSON object, such as {"api_version": "v26.0"}.')
    return extra


def _unknown(name: str) -> str:
    known = {key.replace("_", ""): key for key in CONNECTION_FIELDS}
    meant = get_close_matches("".join(filter(str.isalnum, name.lower())), known, n=1, cutoff=_ALIKE)
    if meant and len(name) <= _LONGEST_NAME and name.isprintable():
        return f"{name!r} in the connection's extra is no setting: write {known[meant[0]]}."
    # What is like no setting is not shown: it may be a secret in the wrong place.
    return f"The connection's extra has a key that is no setting: use {', '.join(CONNECTION_FIELDS)}."

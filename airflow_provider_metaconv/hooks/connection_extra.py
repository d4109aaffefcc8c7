"""Validation of a Connection's extra. An invalid setting raises a one-line error and is never silently ignored."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import Any

from airflow_provider_metaconv.get_provider_info import CONNECTION_FIELDS
from airflow_provider_metaconv.graph.errors import InvalidRequestError

_LONGEST_NAME = 40
_MIN_SIMILARITY = 0.5
"""How similar a misspelled name must be to a setting to be corrected, from 0 to 1."""


class ConnectionExtra:
    """The settings in a Connection's extra; raises ``InvalidRequestError`` for an unknown setting."""

    def __init__(self, text: str | None) -> None:
        self._values = _json_object(text or "{}")
        for name in self._values:
            if name not in CONNECTION_FIELDS:
                raise InvalidRequestError(_unknown(name))

    def text(self, name: str) -> str | None:
        """Return a text setting, stripped; None if it is empty or missing."""
        value = self._values.get(name)
        if (value is not None and not isinstance(value, str | int)) or isinstance(value, bool):
            # Airflow parses a connection URI's extra as JSON, which would alter a secret that looks like a number.
            raise InvalidRequestError(f"{name} in the connection's extra must be a JSON string: put it in quotes.")
        return str(value or "").strip() or None

    def positive(self, name: str, default: float) -> float:
        """Return a numeric setting greater than 0, also if given as text; ``default`` if it is empty or missing."""
        value = self._values.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            return default
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = 0.0
        if isinstance(value, bool) or not 0 < number < float("inf"):
            # The value is not quoted, because a secret may have been entered in the wrong field.
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
        # Airflow treats invalid JSON as an empty extra, which would silently drop the app secret.
        raise InvalidRequestError('The connection\'s extra must be a JSON object, such as {"api_version": "v26.0"}.')
    return extra


def _unknown(name: str) -> str:
    known = {key.replace("_", ""): key for key in CONNECTION_FIELDS}
    meant = get_close_matches("".join(filter(str.isalnum, name.lower())), known, n=1, cutoff=_MIN_SIMILARITY)
    if meant and len(name) <= _LONGEST_NAME and name.isprintable():
        return f"{name!r} in the connection's extra is not a setting: use {known[meant[0]]}."
    # A name that resembles no setting is not quoted, because it may be a secret.
    return f"The connection's extra has an unknown key: the settings are {', '.join(CONNECTION_FIELDS)}."

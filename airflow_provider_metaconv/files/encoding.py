"""Any row as JSON that every warehouse can store, at orjson's speed for all rows but the odd ones.

Two kinds of characters reach us from Meta that no warehouse stores in a text: NUL, and surrogate code points that stand
alone (half an emoji, cut by someone's phone). Each of them becomes U+FFFD, the replacement character. Numbers that JSON
does not know (NaN, infinity) become null, and integers that no float can stand for become text. Everything else is
kept, integers beyond 64 bits included.
"""

from __future__ import annotations

import json
import math
import re
import sys
from typing import Any

import orjson

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

NUL_ESCAPE = b"\\u0000"
"""How NUL looks in encoded JSON; a backslash followed by ``u0000`` in a text looks alike, which only costs time."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def sanitized_text(text: str) -> str:
    """The text with U+FFFD for each NUL and each surrogate code point.

    >>> sanitized_text("a\\x00b")
    'a\N{REPLACEMENT CHARACTER}b'
    """
    return _UNSTORABLE.sub(REPLACEMENT, text)


def sanitized(value: Any) -> Any:
    """A copy of a JSON value whose texts, keys included, and numbers every warehouse can store."""
    if isinstance(value, str):
        return sanitized_text(value)
    if isinstance(value, dict):
        return {sanitized(key): sanitized(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [sanitized(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        # Valid JSON, but infinite for whoever reads numbers as floats, such as BigQuery.
        return str(value)
    return value


def encode_json(value: Any) -> bytes:
    """A JSON value as UTF-8 without spaces, sanitized first where it needs to be.

    Raises ``TypeError`` for what is no JSON value.
    """
    try:
        encoded = orjson.dumps(value)
    except TypeError:  # a lone surrogate, or an integer beyond 64 bits
        return _encode_odd(value)
    return _encode_odd(value) if NUL_ESCAPE in encoded else encoded


def _encode_odd(value: Any) -> bytes:
    cleaned = sanitized(value)
    try:
        return orjson.dumps(cleaned)
    except TypeError:
        return json.dumps(cleaned, ensure_ascii=False, separators=(",", ":")).encode()

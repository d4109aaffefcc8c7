"""JSON encoding that every warehouse can store, at orjson's speed except for unusual rows.

Two kinds of characters from Meta cannot be stored by warehouses: NUL, and unpaired surrogates (half an emoji, cut by a
phone). Each becomes U+FFFD, the replacement character. NaN and infinity, which are not valid JSON, become null.
Integers beyond the range of a float become text. Everything else is kept, including integers beyond 64 bits.
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
"""NUL in encoded JSON. A backslash followed by ``u0000`` in a text looks the same, which only costs time."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def sanitized_text(text: str) -> str:
    """Return the text with U+FFFD in place of each NUL and each surrogate code point.

    >>> sanitized_text("a\\x00b")
    'a\N{REPLACEMENT CHARACTER}b'
    """
    return _UNSTORABLE.sub(REPLACEMENT, text)


def sanitized(value: Any) -> Any:
    """Return a copy of a JSON value with strings (keys included) and numbers that every warehouse can store."""
    if isinstance(value, str):
        return sanitized_text(value)
    if isinstance(value, dict):
        return {sanitized(key): sanitized(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [sanitized(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        # Valid JSON, but infinite for parsers that read numbers as floats, such as BigQuery's.
        return str(value)
    return value


def encode_json(value: Any) -> bytes:
    """Encode a JSON value as compact UTF-8, sanitized if necessary.

    Raises ``TypeError`` if it is not a JSON value.
    """
    try:
        encoded = orjson.dumps(value)
    except TypeError:  # a lone surrogate, or an integer beyond 64 bits
        return _encode_sanitized(value)
    return _encode_sanitized(value) if NUL_ESCAPE in encoded else encoded


def _encode_sanitized(value: Any) -> bytes:
    cleaned = sanitized(value)
    try:
        return orjson.dumps(cleaned)
    except TypeError:
        return json.dumps(cleaned, ensure_ascii=False, separators=(",", ":")).encode()

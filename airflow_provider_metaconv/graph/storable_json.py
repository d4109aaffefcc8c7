"""JSON from outside as a value that everything behind it can hold: encode, compare, write into any file or warehouse.

What Meta sends is ordinary and read as it is. The rest is repaired in its source text, with no recursion and in time
that grows with its length: half of a surrogate pair, in a key, an id or a cursor too, becomes U+FFFD; what is nested
deeper than ``DEEPEST`` becomes a text that holds its JSON; a number that no float or integer of Python's holds becomes
a text, and NaN and infinity null. Bytes that are no UTF-8 become U+FFFD; of a key that comes twice the last one counts.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from typing import Any

import msgspec
import orjson

DEEPEST = 100
"""How deep arrays and objects may be nested in an answer that is repaired; Meta's have about ten levels."""

LONGEST_REPAIRED = 16 * 1024 * 1024
"""Bytes; a longer answer that needs repair counts as unreadable, so that less is asked for."""

_FEW_LEVELS = 254
"""So many levels every encoder behind this takes, orjson among them."""

_LARGE = 4 * 1024 * 1024

_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\\\"
)
"""A pair, a half that stands alone, and the backslash that is none of an escape; only the second is replaced."""

_STRUCTURE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]+|[\]}]+', re.DOTALL)
"""Texts and brackets; a text that does not end goes to the end, or looking for its end would begin again and again."""

_MOST_DIGITS = 4300


def storable_json(body: bytes) -> Any:
    """The value in a body, None where there is none that can be read."""
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        # Not orjson, which copies the body first and turns long integers into floats.
        value = msgspec.json.decode(body)
        if body.count(b"{") + body.count(b"[") > _FEW_LEVELS:
            _check_levels(value, len(body))
    except (msgspec.DecodeError, ValueError, RecursionError, TypeError):
        return _repaired(body)
    return value


def _check_levels(value: Any, size: int) -> None:
    """Raises ``TypeError`` for a value that is nested too deep for the encoders behind this."""
    if size <= _LARGE:
        orjson.dumps(value)  # six times as fast, but takes as much memory again
        return
    level = [value]
    for _ in range(_FEW_LEVELS):
        inner = (each for outer in level for each in (outer.values() if type(outer) is dict else outer))
        level = [each for each in inner if type(each) is dict or type(each) is list]
        if not level:
            return
    raise TypeError


def _repaired(body: bytes) -> Any:
    if len(body) > LONGEST_REPAIRED:
        return None
    text = _ESCAPE.sub(lambda match: "\\ufffd" if match[1] else match[0], body.decode(errors="replace"))
    try:
        value = _parsed(text)
        orjson.dumps(value)
    except (RecursionError, TypeError):  # nested too deep, or an integer beyond 64 bits
        value = _parsed(_flattened(text))
    return value


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_int=_integer, parse_float=_float, parse_constant=lambda _: None)
    except ValueError:
        return None


def _flattened(text: str) -> str:
    """The text with a string in place of each array and object that is nested too deep."""
    depth = begin = done = 0
    pieces: list[str] = []
    for token in _STRUCTURE.finditer(text):
        brackets = token[0]
        if brackets[0] in "[{":
            if depth <= DEEPEST < depth + len(brackets):
                begin = token.start() + DEEPEST - depth
            depth += len(brackets)
        elif brackets[0] in "]}":
            if depth - len(brackets) <= DEEPEST < depth:
                end = token.start() + depth - DEEPEST
                pieces += text[done:begin], json.dumps(text[begin:end])
                done = end
            depth -= len(brackets)
    return "".join(pieces) + text[done:] if depth == 0 else ""


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MOST_DIGITS else digits


def _float(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits

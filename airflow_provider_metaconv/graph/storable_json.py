"""JSON parsing whose result can be encoded, compared, and written to any file or warehouse.

Ordinary JSON is parsed as it is. Anything else is repaired in its source text, without recursion and in linear time. An
unpaired surrogate, including one in a key, ID or cursor, becomes U+FFFD, and so do bytes that are not valid UTF-8.
Values nested deeper than ``DEEPEST`` become a string with their JSON. A number beyond the range of Python's floats and
integers becomes a string, and NaN and infinity become null. Of duplicate keys, the last one counts.
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
"""How deep arrays and objects may be nested in a repaired response. Meta's have about ten levels."""

LONGEST_REPAIRED = 16 * 1024 * 1024
"""In bytes. A longer response that needs repair counts as unreadable, so that less is requested."""

_SAFE_DEPTH = 254
"""A depth that every encoder supports, including orjson."""

_LARGE = 4 * 1024 * 1024

_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\\\"
)
"""A surrogate pair, an unpaired surrogate, or an escaped backslash. Only an unpaired surrogate is replaced."""

_STRUCTURE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]+|[\]}]+', re.DOTALL)
"""Strings and brackets. An unterminated string extends to the end, because backtracking would take quadratic time."""

_MOST_DIGITS = 4300


def storable_json(body: bytes) -> Any:
    """Parse a body; returns None if it is not readable."""
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        # orjson is unsuitable: it copies the body first, and turns long integers into floats.
        value = msgspec.json.decode(body)
        if body.count(b"{") + body.count(b"[") > _SAFE_DEPTH:
            _check_levels(value, len(body))
    except (msgspec.DecodeError, ValueError, RecursionError, TypeError):
        return _repaired(body)
    return value


def _check_levels(value: Any, size: int) -> None:
    """Raise ``TypeError`` for a value nested too deep for the encoders."""
    if size <= _LARGE:
        orjson.dumps(value)  # six times faster, but needs as much memory again
        return
    level = [value]
    for _ in range(_SAFE_DEPTH):
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
    """Return the text with a string in place of each array and object that is nested too deep."""
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

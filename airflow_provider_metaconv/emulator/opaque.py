"""Opaque ids and cursors: base64 in Meta's alphabet, in which Z is the escape letter."""

from __future__ import annotations

import base64
import binascii
import re

_ESCAPES = {"Z": "ZA", "+": "ZB", "/": "ZC", "=": "ZD"}
_PLAIN = {escaped: plain for plain, escaped in _ESCAPES.items()}
_ESCAPE_TABLE = str.maketrans(_ESCAPES)
_CURSOR_PREFIX = "QVFI"


def to_opaque(text: str) -> str:
    """Encode a text so that only letters and digits remain, ``0`` becomes ``MAZDZD``."""
    return base64.b64encode(text.encode()).decode().translate(_ESCAPE_TABLE)


def from_opaque(text: str) -> str:
    """Decode what `to_opaque` encoded; raises ValueError for anything else."""
    plain = re.sub(r"Z(.?)", _unescape, text)
    try:
        return base64.b64decode(plain, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("not an opaque text") from error


def _unescape(match: re.Match[str]) -> str:
    try:
        return _PLAIN[match[0]]
    except KeyError:
        raise ValueError("not an opaque text") from None


def to_cursor(position: int, tie: str, note: str = "") -> str:
    """Encode the row a page ended with: its sort value and its tie breaker; a note changes only the looks."""
    return _CURSOR_PREFIX + to_opaque(f"{position}|{tie}|{note}")


def from_cursor(cursor: str) -> tuple[int, str]:
    """Decode what `to_cursor` encoded; raises ValueError for anything else."""
    if not cursor.startswith(_CURSOR_PREFIX):
        raise ValueError("not a cursor")
    parts = from_opaque(cursor.removeprefix(_CURSOR_PREFIX)).split("|")
    if len(parts) != 3:
        raise ValueError("not a cursor")
    return int(parts[0]), parts[1]

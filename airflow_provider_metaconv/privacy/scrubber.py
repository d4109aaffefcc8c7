"""The built-in scrubber: replaces e-mail addresses, phone, card and account numbers, and personal links in a text.

It prefers to replace too much: any run of seven or more digits that is not a date goes, because national phone numbers,
identity cards and order numbers look alike.
"""

from __future__ import annotations

import importlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from airflow_provider_metaconv.privacy.policy import PolicyError

Scrub = Callable[[str], tuple[str, Mapping[str, int]]]
"""Returns the scrubbed text, and how many of each kind of value were replaced."""

EXTRA = "pip install 'airflow-provider-metaconv[privacy]'"

_HINT = re.compile(r"[\d@/\N{FULLWIDTH COMMERCIAL AT}]|www\.")
_SUSPICIOUS = re.compile(r"[@\N{FULLWIDTH COMMERCIAL AT}]|\d(?:\W{0,3}\d){6}|://|www\.|\w\.\w+/|[A-Za-z]{2}\d{2}")
"""Most texts match neither, and need no further look. The first pattern is five times faster."""

_LINK = re.compile(r"(?:[a-z][a-z0-9+.-]*://|www\.|(?<![\w@.])[\w-]+(?:\.[\w-]+)+/)[^\s<>\"]*", re.IGNORECASE)
_PERSONAL_LINK = re.compile(
    r"[?#@]|^(?:\w+://)?(?:[\w-]+\.)*(?:facebook\.com|fb\.com|fb\.me|m\.me|instagram\.com|instagr\.am|wa\.me|whatsapp\.com"
    r"|t\.me|telegram\.me|twitter\.com|x\.com|tiktok\.com|linkedin\.com|snapchat\.com|youtube\.com/@)",
    re.IGNORECASE,
)
"""A link with a query, a fragment or credentials, or to a place where the path names a person."""

_EMAIL = re.compile(r"[^\s@<>()\[\]{},;:\"]+[@\N{FULLWIDTH COMMERCIAL AT}][\w-]+(?:\.[\w-]+)+")
_ACCOUNT = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ .-]?[A-Za-z0-9]){11,30}")
_NUMBER = re.compile(r"(?<!\w)[+(]{0,2}\d(?:[^\w\n]{0,3}\d){6,}(?!\w)|\d{7,}")
_CARD_DIGITS = range(13, 20)
_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)\d\d"
_DATE = re.compile(
    rf"(?<!\d)(?:{_YEAR}[-/.]{_MONTH}[-/.]{_DAY}|{_DAY}[-/.]{_MONTH}[-/.]{_YEAR}|{_MONTH}/{_DAY}/{_YEAR}"
    r"|\d{1,2}:\d{2}(?::\d{2})?)(?!\d)"
)
_FEWEST_DIGITS = 7


def built_in() -> Scrub:
    """Return the built-in scrubber; raises ``PolicyError`` if its libraries are not installed."""
    try:
        importlib.import_module("phonenumbers")
        importlib.import_module("stdnum")
    except ImportError:
        raise PolicyError(f"privacy scrubs text, which needs further libraries: {EXTRA}") from None
    return scrub


def scrub(text: str) -> tuple[str, Mapping[str, int]]:
    """Return the text with ``[email]``, ``[phone]``, ``[card]``, ``[iban]``, ``[link]``, ``[number]``, and counts."""
    if _HINT.search(text) is None or _SUSPICIOUS.search(text) is None:
        return text, {}
    import phonenumbers

    counts: Counter[str] = Counter()
    for pattern, kind_of in ((_LINK, _link), (_EMAIL, _email), (_ACCOUNT, _account)):
        text = pattern.sub(partial(_replaced, kind_of, counts), text)
    for match in reversed(list(phonenumbers.PhoneNumberMatcher(text, None))):
        counts["phone"] += 1
        text = f"{text[: match.start]}[phone]{text[match.end :]}"
    return _NUMBER.sub(partial(_replaced, _number, counts), text), counts


def _replaced(kind_of: Callable[[str], tuple[str, int]], counts: Counter[str], match: re.Match[str]) -> str:
    kind, end = kind_of(match[0])
    if not kind:
        return match[0]
    counts[kind] += 1
    return f"[{kind}]{match[0][end:]}"


def _link(found: str) -> tuple[str, int]:
    return ("link", len(found)) if _PERSONAL_LINK.search(found) else ("", 0)


def _email(found: str) -> tuple[str, int]:
    return "email", len(found)


def _account(found: str) -> tuple[str, int]:
    """Return the kind and length of an account number, which may be followed by words that the pattern includes."""
    from stdnum import iban

    ends = (end.start() for end in re.finditer(r"[ .-]|$", found))
    return next((("iban", end) for end in reversed(list(ends)) if iban.is_valid(found[:end])), ("", 0))


def _number(found: str) -> tuple[str, int]:
    from stdnum import luhn

    digits = _digits(_DATE.sub(" ", found))
    if len(digits) < _FEWEST_DIGITS:
        return "", 0
    is_card = len(digits) in _CARD_DIGITS and luhn.is_valid(digits)
    return ("card" if is_card else "number"), len(found)


def _digits(text: str) -> str:
    """Return the digits of a text, of whatever script, as ASCII."""
    return "".join(str(unicodedata.digit(character)) for character in text if character.isdigit())


def plugged_in(path: str) -> Scrub:
    """Return the scrubber at ``package.module:function``, which returns the scrubbed text, or that and counts by kind.

    Raises ``PolicyError`` if it cannot be imported. An error of the function raises it too, without the text.
    """
    module, separator, name = path.partition(":")
    try:
        function = getattr(importlib.import_module(module), name) if separator else None
    except (ImportError, AttributeError, ValueError):
        function = None
    if not callable(function):
        raise PolicyError("scrubber must be the path of a function, package.module:function, that can be imported.")

    def scrub(text: str) -> tuple[str, Mapping[str, int]]:
        try:
            return _result(function(text), text)
        except Exception as error:  # noqa: BLE001 (someone else's code)
            failure = f"the scrubber {path} failed ({type(error).__name__}): nothing was stored unscrubbed."
        # Raised outside the handler, so that no traceback shows the text.
        raise PolicyError(failure)

    return scrub


def _result(result: Any, text: str) -> tuple[str, Mapping[str, int]]:
    scrubbed, counts = result if isinstance(result, tuple) else (result, {"replaced": 1} if result != text else {})
    if not isinstance(scrubbed, str):
        raise TypeError("not a text")
    return scrubbed, {str(kind): int(number) for kind, number in counts.items()}

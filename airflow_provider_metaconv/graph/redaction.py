"""Keeps every secret that this process ever used out of texts: log lines, errors, and what is written of them.

One memory for the whole process: a token that was replaced, or another client's, is as secret as the one in use. Who
makes or receives a secret calls ``remember``; whatever Meta or a library says goes through ``scrub``.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from urllib.parse import quote, quote_plus

HIDDEN = "***"

SECRET_PARAMETERS = ("access_token", "input_token", "appsecret_proof", "client_secret", "fb_exchange_token")
"""The query parameters of Meta's whose values are secrets."""

SHORTEST_SECRET = 8
"""Characters; shorter ones are no real token, and hiding them would make ordinary text unreadable."""

_LOOKS_SECRET = re.compile(
    rf"((?:{'|'.join(SECRET_PARAMETERS)})(?:=|%3D|\"?\s*:\s*\"?))[^&\s\"'\\,}}]+"
    r"|(Bearer\s+)\S+"
    r"|\bEAA[A-Za-z0-9]{8,}",
    re.IGNORECASE,
)

_HINTS = ("_token", "appsecret", "client_secret", "bearer", "eaa")
"""What a text holds, in small letters, in which the pattern finds anything: the pattern costs a hundred times more."""

_HTTP_LOGGERS = ("urllib3", "urllib3.connection", "urllib3.connectionpool", "requests")


class _Memory:
    """Secrets in all the forms in which they are written; read without a lock, since the tuple is replaced whole."""

    def __init__(self) -> None:
        self.longest_first: tuple[str, ...] = ()
        self._forms: set[str] = set()
        self._lock = threading.Lock()

    def add(self, secrets: set[str]) -> None:
        with self._lock:
            if not secrets <= self._forms:
                self._forms |= {form for secret in secrets for form in _forms(secret)}
                self.longest_first = tuple(sorted(self._forms, key=len, reverse=True))


_memory = _Memory()


def remember(*secrets: str | None) -> None:
    """Hides these secrets from now on, in every text and for as long as the process lives."""
    _memory.add({secret for secret in secrets if secret and len(secret) >= SHORTEST_SECRET})


def holds_secret(text: str) -> bool:
    """Whether a secret that was ever used is in the text."""
    return any(secret in text for secret in _memory.longest_first)


def scrub(text: str) -> str:
    """The text without the secrets that were ever used, and without what looks like one."""
    for secret in _memory.longest_first:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    small = text.lower()
    if not any(hint in small for hint in _HINTS):
        return text
    return _LOOKS_SECRET.sub(lambda match: f"{match[1] or match[2] or ''}{HIDDEN}", text)


class SecretFilter(logging.Filter):
    """Keeps secrets out of the records of a logger: message, arguments and traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrites the record where it holds a secret; never drops it."""
        line = record.getMessage()
        clean = scrub(line)
        if clean != line:
            record.msg, record.args = clean, ()
        if record.exc_info or record.exc_text:
            # As text: whoever formats the exception itself would write its secrets again.
            trace = record.exc_text or _FORMATTER.formatException(record.exc_info)  # type: ignore[arg-type]
            record.exc_info, record.exc_text = None, scrub(trace)
        return True


_FORMATTER = logging.Formatter()
_FILTER = SecretFilter()


def watch_http_loggers() -> None:
    """Keeps secrets out of what the HTTP libraries log, which are whole URLs in places.

    A filter of a logger does not see the records of its children, so each of them gets it.
    """
    known = (name for name in tuple(logging.root.manager.loggerDict) if name.startswith(("urllib3.", "requests.")))
    for name in {*_HTTP_LOGGERS, *known}:
        logging.getLogger(name).addFilter(_FILTER)


def _forms(secret: str) -> set[str]:
    """A secret as it is, as URLs hold it, a link within a link included, and as JSON and ``repr`` write it."""
    quoted = quote(secret, safe="")
    lower = re.sub("%..", lambda escape: escape[0].lower(), quoted)
    written = (json.dumps(secret)[1:-1], repr(secret)[1:-1])
    return {secret, quoted, lower, quote(secret), quote_plus(secret), quote(quoted, safe=""), *written}

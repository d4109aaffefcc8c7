"""Redaction: keeps every secret that this process has used out of log lines, errors and files.

The secrets are remembered for the whole process, because a replaced token, or another client's, is as secret as the
current one. Code that creates or receives a secret calls ``remember``; texts from Meta or a library go through
``scrub``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from urllib.parse import quote, quote_plus

HIDDEN = "***"

SECRET_PARAMETERS = ("access_token", "input_token", "appsecret_proof", "client_secret", "fb_exchange_token")
"""Meta's query parameters whose values are secrets."""

SHORTEST_SECRET = 8
"""In characters. Shorter strings are not real tokens, and redacting them would make ordinary text unreadable."""

_LOOKS_SECRET = re.compile(
    rf"((?:{'|'.join(SECRET_PARAMETERS)})(?:=|%3D|\"?\s*:\s*\"?))[^&\s\"'\\,}}]+"
    r"|(Bearer\s+)\S+"
    r"|\bEAA[A-Za-z0-9]{8,}",
    re.IGNORECASE,
)

_HINTS = ("_token", "appsecret", "client_secret", "bearer", "eaa")
"""Lower-case substrings without which the pattern cannot match. Checking them first is a hundred times faster."""

_HTTP_LOGGERS = ("urllib3", "urllib3.connection", "urllib3.connectionpool", "requests")


_PATH = re.compile(r"(/v\d+\.\d+/)[^\s\"']+")


class _Memory:
    """Secrets in every written form. It is read without a lock, because the tuple is replaced as a whole."""

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
    """Redact these secrets from now on, in every text, for as long as the process lives."""
    _memory.add({secret for secret in secrets if secret and len(secret) >= SHORTEST_SECRET})


_hides_paths: ContextVar[bool] = ContextVar("hides_paths", default=False)


@contextlib.contextmanager
def hidden_paths(hidden: bool) -> Iterator[None]:
    """Redact the paths of Meta's API, which name conversations, in what the HTTP libraries log meanwhile."""
    token = _hides_paths.set(hidden)
    try:
        yield
    finally:
        _hides_paths.reset(token)


def holds_secret(text: str) -> bool:
    """Whether the text contains a remembered secret."""
    return any(secret in text for secret in _memory.longest_first)


def scrub(text: str) -> str:
    """Return the text without remembered secrets, and without anything that looks like a secret."""
    for secret in _memory.longest_first:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    small = text.lower()
    if not any(hint in small for hint in _HINTS):
        return text
    return _LOOKS_SECRET.sub(lambda match: f"{match[1] or match[2] or ''}{HIDDEN}", text)


class SecretFilter(logging.Filter):
    """Redacts secrets from a logger's records: message, arguments and traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record if it contains a secret. Never drops it."""
        line = record.getMessage()
        clean = scrub(_PATH.sub(rf"\1{HIDDEN}", line) if _hides_paths.get() else line)
        if clean != line:
            record.msg, record.args = clean, ()
        if record.exc_info or record.exc_text:
            # Store the traceback as text: formatting the exception again would restore its secrets.
            trace = record.exc_text or _FORMATTER.formatException(record.exc_info)  # type: ignore[arg-type]
            record.exc_info, record.exc_text = None, scrub(trace)
        return True


_FORMATTER = logging.Formatter()
_FILTER = SecretFilter()


def watch_http_loggers() -> None:
    """Redact the logs of the HTTP libraries, which include whole URLs.

    A logger's filter does not apply to the records of its children, so each of them gets the filter.
    """
    known = (name for name in tuple(logging.root.manager.loggerDict) if name.startswith(("urllib3.", "requests.")))
    for name in {*_HTTP_LOGGERS, *known}:
        logging.getLogger(name).addFilter(_FILTER)


def _forms(secret: str) -> set[str]:
    """Return a secret as it is, as in URLs (also nested in another URL), and as in JSON and ``repr``."""
    quoted = quote(secret, safe="")
    lower = re.sub("%..", lambda escape: escape[0].lower(), quoted)
    written = (json.dumps(secret)[1:-1], repr(secret)[1:-1])
    return {secret, quoted, lower, quote(secret), quote_plus(secret), quote(quoted, safe=""), *written}

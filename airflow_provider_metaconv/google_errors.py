"""Classification of errors from Google's libraries. Storage and warehouse each add what to do about them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

_LIMITED = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "jobRateLimitExceeded"})
_PERMISSION = re.compile(r"\b(?:bigquery|storage)\.(?!googleapis\b)[a-z]+\.[a-zA-Z]+\b")
_WORD = re.compile(r"[A-Za-z]{1,60}")


class Problem(Enum):
    """What went wrong, independent of the service."""

    ANSWERED = auto()
    """Google responded with an error."""
    LOGIN_REFUSED = auto()
    """Google rejected the credentials."""
    LOGIN_FAILED = auto()
    """The login failed, but may succeed later."""
    UNREACHABLE = auto()
    """Google could not be reached."""
    SILENT = auto()
    """All attempts timed out, and none of them reports a cause."""
    DAMAGED = auto()
    """The data received differ from the data stored."""


@dataclass(frozen=True, slots=True)
class GoogleError:
    """An error from Google's libraries. ``code``, ``reason`` and ``message`` are set only for ``ANSWERED``.

    ``reason`` is one word, such as ``forbidden``, and may be shown. ``message`` may quote addresses, tokens and values,
    so it is analysed but never shown.
    """

    problem: Problem
    code: int = 0
    reason: str = ""
    message: str = ""

    @property
    def is_limited(self) -> bool:
        """Whether a quota or a rate limit is exceeded."""
        return self.reason in _LIMITED or self.code == 429

    @property
    def permission(self) -> str:
        """The missing permission, such as ``storage.objects.create``; empty if the message names none."""
        return match[0] if (match := _PERMISSION.search(self.message)) else ""


def read_error(error: BaseException) -> GoogleError:
    """Classify an exception from Google's libraries. After several attempts, the last error counts."""
    match error:
        case RetryError():
            # The cause is more specific than the RetryError.
            return GoogleError(Problem.SILENT) if error.cause is None else read_error(error.cause)
        case GoogleAPICallError():
            return GoogleError(Problem.ANSWERED, int(error.code or 0), _reason(error), error.message)
        case InvalidResponse():
            response = error.response
            return GoogleError(Problem.ANSWERED, response.status_code, _reason_in(response), response.text)
        case DataCorruption():
            return GoogleError(Problem.DAMAGED)
        case GoogleAuthError() if not isinstance(error, TransportError):
            return GoogleError(Problem.LOGIN_FAILED if error.retryable else Problem.LOGIN_REFUSED)
        case _:
            return GoogleError(Problem.UNREACHABLE)


def _reason(error: GoogleAPICallError) -> str:
    first = error.errors[0] if error.errors else {}
    return _word(first.get("reason") if isinstance(first, dict) else None) or _reason_in(error.response)


def _reason_in(response: Any) -> str:
    try:
        return _word(response.json()["error"]["errors"][0]["reason"])
    except (AttributeError, LookupError, TypeError, ValueError):
        return ""


def _word(reason: object) -> str:
    return reason if isinstance(reason, str) and _WORD.fullmatch(reason) else ""

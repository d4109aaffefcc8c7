"""What Google's libraries raise, read once; storage and warehouse each say in their own words what to do about it."""

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
    """What went wrong, before anybody asks at which service."""

    ANSWERED = auto()
    """Google answered with an error."""
    LOGIN_REFUSED = auto()
    """Google does not accept the credentials."""
    LOGIN_FAILED = auto()
    """The login failed, and may succeed later."""
    UNREACHABLE = auto()
    """Nothing of Google's answered."""
    SILENT = auto()
    """The time for all attempts is over, and none of them says why."""
    DAMAGED = auto()
    """What arrived is not what Google holds."""


@dataclass(frozen=True, slots=True)
class GoogleError:
    """An error of Google's. ``code`` is 0 and ``reason`` and ``message`` are empty unless it was ``ANSWERED``.

    ``reason`` is one word, such as ``forbidden``, and may be shown. ``message`` may quote addresses, tokens and values:
    it is read and never repeated.
    """

    problem: Problem
    code: int = 0
    reason: str = ""
    message: str = ""

    @property
    def is_limited(self) -> bool:
        """Whether a quota or a rate limit is used up."""
        return self.reason in _LIMITED or self.code == 429

    @property
    def permission(self) -> str:
        """The permission that is missing, such as ``storage.objects.create``; empty where the message names none."""
        return match[0] if (match := _PERMISSION.search(self.message)) else ""


def read_error(error: BaseException) -> GoogleError:
    """What an exception of Google's libraries says; of several attempts it is the last."""
    match error:
        case RetryError():
            # What it gave up on says more than that it gave up.
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

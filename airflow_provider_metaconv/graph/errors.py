"""What the Graph API can answer instead of data, grouped by what to do next.

GraphError                  anything the API refuses; unknown codes stay this class: an ordinary retry
├── RateLimitError          stop calling, wait ``retry_after``
├── TransientError          try again with back-off
├── TooMuchDataError        ask for less, then again
├── CursorError             restart the list
├── ItemUnavailableError    skip this one object
├── TokenError              a person must renew the token
├── PermissionDeniedError   a person must grant the permission
├── BlockedError            a person must look at the account
└── InvalidRequestError     a person must correct the request or the connection

``ERROR_CODES`` is the whole knowledge of codes: adding a code is adding a row. The HTTP status never decides, since
Meta sends rate limits as 400 and 403 alike; the body's ``code`` and ``error_subcode`` do
(https://developers.facebook.com/docs/graph-api/guides/error-handling).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class GraphError(Exception):
    """The Graph API refused a call; ``str()`` is one line that says what happened and what to do, without secrets.

    ``code`` and ``subcode`` are Meta's (None when no Graph answer came), ``http_status`` is the status of the answer,
    ``fbtrace_id`` what Meta's support asks for, ``usage_percent`` how full the limits are by the answer's own headers.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        subcode: int | None = None,
        fbtrace_id: str | None = None,
        http_status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.subcode = subcode
        self.fbtrace_id = fbtrace_id
        self.http_status = http_status
        self.usage_percent = 0.0

    def __str__(self) -> str:
        if self.code is None:
            return self.message
        subcode = "" if self.subcode is None else f"/{self.subcode}"
        trace = "" if self.fbtrace_id is None else f" (fbtrace_id {self.fbtrace_id})"
        return f"[{self.code}{subcode}] {self.message}{trace}"


class RateLimitError(GraphError):
    """A limit is reached: send nothing more to ``bucket`` for ``retry_after`` seconds."""

    retry_after: float = 0.0
    bucket: str = ""


class TransientError(GraphError):
    """A fault on Meta's side or on the way there that passes by itself."""


class TooMuchDataError(GraphError):
    """Meta wants the same question asked for less data."""


class CursorError(GraphError):
    """The position in a list is no longer valid, or the list turns in a circle."""


class ItemUnavailableError(GraphError):
    """This one object is deleted or no longer shown; others are not affected."""


class TokenError(GraphError):
    """The access token does not work; a new try with the same token cannot help."""


class PermissionDeniedError(GraphError):
    """The token works but may not do this."""


class BlockedError(GraphError):
    """Meta blocked the account or the app for its behaviour; further calls make it worse."""


class InvalidRequestError(GraphError):
    """The request itself is wrong: a parameter, an id, a version, the connection."""


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One row of knowledge: the class of a code, what it means, and what a person should do about it.

    ``text`` restricts the row to answers whose message contains it, for the few codes that mean several things.
    ``wait_seconds`` is how long to wait when the answer gives no estimate of its own (rate limits only).
    ``bucket`` names the usage pool of Meta's business-use-case header that the limit belongs to.
    """

    error: type[GraphError]
    meaning: str
    advice: str = ""
    text: str = ""
    wait_seconds: float = 0.0
    bucket: str = ""


_RENEW = "Create a new Page token, or system-user or user token, and store it as the connection's password."
_LIMITS = "https://developers.facebook.com/docs/graph-api/overview/rate-limiting"


def _limit(meaning: str, wait_seconds: float, bucket: str = "app") -> ErrorCode:
    return ErrorCode(RateLimitError, meaning, f"Wait; see {_LIMITS}", wait_seconds=wait_seconds, bucket=bucket)


def _token(meaning: str, advice: str = _RENEW, text: str = "") -> ErrorCode:
    return ErrorCode(TokenError, meaning, advice, text)


def _permission(meaning: str, advice: str) -> ErrorCode:
    return ErrorCode(PermissionDeniedError, meaning, advice)


_SESSION_SUBCODES = {
    458: _token(
        "The person removed the app.",
        f"Let them log in to the app again. {_RENEW}",
    ),
    459: _token("The person must pass a check first.", "Log in on facebook.com, follow what it asks, then run again."),
    460: _token("The person's password changed, or Facebook ended the session for security."),
    463: _token("The token has expired."),
    464: _token("The person's account is not confirmed.", "Confirm the account on facebook.com, then run again."),
    467: _token("The token is no longer valid, for example after a logout."),
    492: _token(
        "The person has no suitable role on the Page; a new token fails too.",
        "Give the person the task Messages on the Page (Page settings, Page access).",
    ),
    493: _token("The person has not used the app for 90 days: data access ended.", "Let them log in to the app again."),
}

Codes = dict[tuple[int, int | None], tuple[ErrorCode, ...]]

ERROR_CODES: Codes = {
    (-3, None): (ErrorCode(TooMuchDataError, "Too much data was asked for.", "Lower the page sizes."),),
    (-2, None): (ErrorCode(TransientError, "Instagram timed out."),),
    (-1, None): (ErrorCode(TransientError, "Instagram failed."),),
    (1, None): (
        ErrorCode(
            TooMuchDataError,
            "Too much data was asked for.",
            "Lower the page sizes.",
            text="reduce the amount of data",
        ),
        ErrorCode(TransientError, "Meta failed without saying why."),
    ),
    (1, 99): (ErrorCode(TransientError, "Meta failed without saying why; can also be missing Advanced Access."),),
    (2, None): (ErrorCode(TransientError, "The service is unavailable for the moment."),),
    (3, None): (_permission("The app lacks the capability.", "Check the app's products and its access level."),),
    (4, None): (_limit("The app's call limit is reached.", 300),),
    (5, None): (_permission("This server's address is not on the app's allow list.", "Add it in the app's settings."),),
    (10, None): (
        _permission("The app may not do this.", "Ask for pages_messaging (Messenger) or instagram_manage_messages."),
    ),
    (10, 2534077): (
        _permission("The link of Instagram and Page cannot be verified.", "Link them again in the Page settings."),
    ),
    (17, None): (_limit("The user's call limit is reached.", 300),),
    (21, None): (
        ErrorCode(InvalidRequestError, "The Page moved to a new id.", "Use the new id that Meta's text names."),
    ),
    (32, None): (_limit("The Page's call limit for user tokens is reached.", 300, "pages"),),
    (100, None): (
        ErrorCode(CursorError, "The cursor is not accepted.", text="cursor"),
        ErrorCode(
            InvalidRequestError,
            "The app asks for an app secret proof, or the one sent is wrong.",
            "Set app_secret in the connection's extra to the secret of the app that issued the token.",
            text="appsecret_proof",
        ),
        ErrorCode(InvalidRequestError, "A parameter is wrong.", "Check Page id, folder, user_id and api_version."),
    ),
    (100, 33): (
        ErrorCode(
            InvalidRequestError,
            "There is no such object, or the token may not see it.",
            "Check the Page id, and that the token's person has a role on that Page.",
        ),
    ),
    (100, 2534013): (
        ErrorCode(
            InvalidRequestError,
            "The Page has no linked Instagram account.",
            "Link one, or leave INSTAGRAM out.",
        ),
    ),
    (100, 2534014): (ErrorCode(InvalidRequestError, "No such Instagram user.", "Check user_id."),),
    (102, None): (_token("The API session is invalid."),),
    (104, None): (
        _token(
            "No access token, or a wrong signature, reached Meta.",
            "Check the connection's password and app_secret.",
        ),
    ),
    (190, None): (
        _token(
            "A Page token is needed here.",
            "Use the Page's own token, or a user token of a person with the task Messages on the Page.",
            text="page access token",
        ),
        _token(
            "The access token is invalid or has expired.",
            f"{_RENEW} If it is new: it must be copied whole, and Instagram Login gives tokens of another kind.",
        ),
    ),
    **{(code, subcode): (row,) for code in (190, 102) for subcode, row in _SESSION_SUBCODES.items()},
    (200, None): (
        _permission(
            "A permission is missing, or the person has no suitable role on the Page.",
            "Grant pages_messaging (Messenger) or instagram_manage_messages (Instagram), and the task Messages.",
        ),
    ),
    (200, 2534041): (
        _permission(
            "The Instagram account's owner switched off message access for apps.",
            "In Instagram: Settings, Messages, Connected tools, Allow access to messages.",
        ),
    ),
    (230, None): (
        _permission("The permission pages_messaging is missing.", "Grant pages_messaging to the app for this Page."),
    ),
    (341, None): (_limit("The app's limit is reached.", 300),),
    (368, None): (
        ErrorCode(
            BlockedError,
            "Meta deems the behaviour abusive and blocked it.",
            "Stop, and read the app's and the Page's inbox at Meta.",
        ),
    ),
    (613, None): (_limit("The rate of calls is too high.", 5, "messenger"),),
    (803, None): (ErrorCode(InvalidRequestError, "There is no such id or name.", "Check the Page id."),),
    (2500, None): (
        _token(
            "No access token reached Meta.",
            "Store a token as the connection's password.",
            text="active access token",
        ),
        ErrorCode(
            InvalidRequestError,
            "Meta cannot read the request.",
            "Check api_version and host in the connection.",
        ),
    ),
    (2635, None): (
        ErrorCode(InvalidRequestError, "The API version is too old.", "Raise api_version in the connection's extra."),
    ),
    (36103, None): (_permission("The Instagram account cannot use the API yet.", "Try again in some days."),),
    (80000, None): (_limit("The Ads Insights limit is reached.", 300, "ads_insights"),),
    (80001, None): (_limit("The Page's call limit is reached.", 300, "pages"),),
    (80002, None): (_limit("The Instagram call limit is reached.", 300, "instagram"),),
    (80003, None): (_limit("The Custom Audience limit is reached.", 300, "custom_audience"),),
    (80004, None): (_limit("The Ads Management limit is reached.", 300, "ads_management"),),
    (80005, None): (_limit("The Lead Generation limit is reached.", 300, "leadgen"),),
    (80006, None): (_limit("The Page's Messenger call limit is reached.", 300, "messenger"),),
    (80008, None): (_limit("The WhatsApp limit is reached.", 300, "whatsapp"),),
    (80009, None): (_limit("The Catalog Management limit is reached.", 300, "catalog_management"),),
    (80014, None): (_limit("The Catalog Batch limit is reached.", 300, "catalog_batch"),),
    (9000001, None): (ErrorCode(ItemUnavailableError, "The message is deleted, or beyond Instagram's 20 newest."),),
}
"""``(code, subcode)`` before ``(code, None)``; within a row the first whose ``text`` is in Meta's message."""

_UNKNOWN = ErrorCode(GraphError, "Meta answered with a code that is not known here.")


def _known_rows(code: int | None, subcode: int | None) -> tuple[ErrorCode, ...]:
    if code is None:
        return ()
    rows = ERROR_CODES.get((code, subcode)) or ERROR_CODES.get((code, None))
    if rows is None and 200 <= code <= 299:
        rows = ERROR_CODES[200, None]
    if rows is None and 80000 <= code <= 80099:
        rows = ERROR_CODES[80006, None]
    return rows or ()


def error_code(code: int | None, subcode: int | None, text: str = "", *, is_transient: bool = False) -> ErrorCode:
    """The row for an answer's code, subcode and message; unknown ones are transient when Meta says so."""
    for row in _known_rows(code, subcode):
        if row.text in text.lower():
            return row
    return ErrorCode(TransientError, "Meta says this passes by itself.") if is_transient else _UNKNOWN


def as_int(value: Any) -> int | None:
    """The integer a JSON value means, None when it means none."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None

"""The table of the Graph API's error codes: what each code means, what it affects and what to do.

To add a code, add a row. If there is a code, the HTTP status is ignored, because Meta sends rate limits both as 400 and
as 403 (https://developers.facebook.com/docs/graph-api/guides/error-handling).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from airflow_provider_metaconv.graph.errors import (
    Action,
    BlockedError,
    CursorError,
    ErrorScope,
    FieldRefusedError,
    GraphError,
    InvalidRequestError,
    ItemUnavailableError,
    LimitTooHighError,
    PermissionDeniedError,
    RateLimitError,
    TokenError,
    TooMuchDataError,
    TransientError,
)
from airflow_provider_metaconv.graph.limits import NO_USAGE, Usage


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """One row of the table: a code's exception class, its scope, the action, its meaning, and advice for people.

    ``text`` restricts the row to errors whose message contains these words, for codes with several meanings.
    ``wait_seconds`` (rate limits only) is the first wait if Meta gives no estimate, and ``bucket`` is the limit's type
    in Meta's business use case header.
    """

    error: type[GraphError]
    scope: ErrorScope
    action: Action
    meaning: str
    advice: str = ""
    text: str = ""
    wait_seconds: float = 0.0
    bucket: str = ""

    def applies_to(self, text: str) -> bool:
        """Whether a message contains the row's ``text``."""
        return not self.text or re.search(rf"\b{re.escape(self.text)}s?\b", text, re.IGNORECASE) is not None


_PERMISSION = re.compile(
    r"\b(?:pages_(?:messaging|read_engagement|show_list|manage_metadata|read_user_content|utility_messaging)"
    r"|instagram_(?:business_)?(?:basic|manage_messages)|business_management)\b"
)
_RENEW = "Create a new Page, system user or user token, and store it as the connection's password."
_LIMITS = "https://developers.facebook.com/docs/graph-api/overview/rate-limiting"


def _limit(meaning: str, wait_seconds: float, bucket: str = "app", scope: ErrorScope = ErrorScope.PAGE) -> ErrorRule:
    advice = f"Wait (see {_LIMITS})."
    return ErrorRule(RateLimitError, scope, Action.WAIT, meaning, advice, wait_seconds=wait_seconds, bucket=bucket)


def _token(meaning: str, advice: str = _RENEW, text: str = "") -> ErrorRule:
    return ErrorRule(TokenError, ErrorScope.APP, Action.FAIL, meaning, advice, text)


def _permission(meaning: str, advice: str, text: str = "", scope: ErrorScope = ErrorScope.PAGE) -> ErrorRule:
    return ErrorRule(PermissionDeniedError, scope, Action.FAIL, meaning, advice, text)


def _invalid(meaning: str, advice: str, text: str = "", scope: ErrorScope = ErrorScope.CALL) -> ErrorRule:
    return ErrorRule(InvalidRequestError, scope, Action.FAIL, meaning, advice, text)


def _too_much(meaning: str, text: str = "") -> ErrorRule:
    return ErrorRule(
        TooMuchDataError, ErrorScope.CALL, Action.ASK_LESS, meaning, "The task requests less by itself.", text
    )


def _transient(meaning: str) -> ErrorRule:
    return ErrorRule(TransientError, ErrorScope.CALL, Action.RETRY, meaning)


def _unavailable(meaning: str, text: str = "") -> ErrorRule:
    return ErrorRule(ItemUnavailableError, ErrorScope.CONVERSATION, Action.SKIP, meaning, text=text)


def _field(meaning: str, text: str = "") -> ErrorRule:
    advice = "If it persists: raise api_version in the connection's extra, and check the app's permissions."
    return ErrorRule(FieldRefusedError, ErrorScope.CALL, Action.FAIL, meaning, advice, text)


_SESSION_SUBCODES = {
    458: _token(
        "The user removed the app.",
        f"Ask them to log in to the app again. {_RENEW}",
    ),
    459: _token("The user must pass a security check.", "Log in on facebook.com, complete the check, then run again."),
    460: _token("The user's password changed, or Facebook ended the session for security."),
    463: _token("The token has expired."),
    464: _token("The user's account is not confirmed.", "Confirm the account on facebook.com, then run again."),
    467: _token("The token is no longer valid, for example after a logout."),
    492: _token(
        "The user has no suitable role on the Page; a new token would fail, too.",
        "Give the user the Messages task on the Page (Page settings, Page access).",
    ),
    493: _token(
        "The user has not used the app for 90 days: data access expired.", "Ask them to log in to the app again."
    ),
}

ErrorRules = dict[tuple[int, int | None], tuple[ErrorRule, ...]]

ERROR_RULES: ErrorRules = {
    (-3, None): (_too_much("Too much data was requested."),),
    (-2, None): (_too_much("Instagram took too long to respond."),),
    (-1, None): (_transient("Instagram failed."),),
    (1, None): (
        _too_much("Too much data was requested.", "reduce the amount of data"),
        _too_much("Meta failed without giving a reason; often too much data was requested."),
    ),
    (1, 99): (_too_much("Meta failed without giving a reason; often too much data, or missing Advanced Access."),),
    (2, None): (_transient("The service is temporarily unavailable."),),
    (3, None): (_permission("The app lacks the capability.", "Check the app's products and its access level."),),
    (4, None): (_limit("The app's call limit is reached.", 300, scope=ErrorScope.APP),),
    (5, None): (
        _permission(
            "This server's IP address is not on the app's allow list.",
            "Add it in the app's settings.",
            scope=ErrorScope.APP,
        ),
    ),
    (10, None): (
        _field("The app may not read a field.", "field"),
        _permission(
            "The app may not read the Page itself.",
            "Grant pages_read_engagement.",
            "Page Public Content Access",
        ),
        _permission(
            "The app may not do this.",
            "Grant pages_messaging (Messenger) or instagram_manage_messages (Instagram), with Advanced Access for "
            "people without a role on the app.",
        ),
    ),
    (10, 2018336): (_unavailable("The app has no access to this conversation."),),
    (10, 2534077): (
        _permission(
            "The link between Instagram and the Page cannot be verified.", "Link them again in the Page settings."
        ),
    ),
    (12, None): (_field("A field or call is deprecated."),),
    (17, None): (_limit("The user's call limit is reached.", 300, scope=ErrorScope.APP),),
    (21, None): (
        _invalid("The Page has moved to a new ID.", "Use the new ID from Meta's message.", scope=ErrorScope.PAGE),
    ),
    (32, None): (_limit("The Page's call limit for user tokens is reached.", 300, "pages"),),
    (100, None): (
        ErrorRule(CursorError, ErrorScope.CALL, Action.RETRY, "The cursor is invalid.", text="cursor"),
        _field("A field does not exist in this version of the API.", "nonexisting field"),
        _field("The app may not read a field.", "access field"),
        _invalid(
            "The app requires an app secret proof, or the one sent is wrong.",
            "Set app_secret in the connection's extra to the secret of the app that issued the token.",
            "appsecret_proof",
            ErrorScope.APP,
        ),
        ErrorRule(
            LimitTooHighError,
            ErrorScope.CALL,
            Action.ASK_LESS,
            "The limit is too high.",
            "The task requests less by itself.",
            "limit",
        ),
        _invalid("A parameter is invalid.", "Check page_id, folder, user_id and api_version."),
    ),
    (100, 33): (_unavailable("The object does not exist, or the token may not see it."),),
    (100, 2534013): (
        _invalid(
            "The Page has no linked Instagram account.",
            "Link one, or leave INSTAGRAM out.",
            scope=ErrorScope.PAGE,
        ),
    ),
    (100, 2534014): (_invalid("The Instagram user does not exist.", "Check user_id."),),
    (102, None): (_token("The API session is invalid."),),
    (104, None): (
        _token(
            "Meta received no access token, or a wrong signature.",
            "Check the connection's password and app_secret.",
        ),
    ),
    (190, None): (
        _token(
            "This call requires a Page token.",
            "Use the Page's own token, or the token of a user with the Messages task on the Page.",
            text="page access token",
        ),
        _token(
            "The access token is invalid or has expired.",
            f"{_RENEW} If it is new, check that it was copied completely; tokens from Instagram Login do not work.",
        ),
    ),
    **{(code, subcode): (row,) for code in (190, 102) for subcode, row in _SESSION_SUBCODES.items()},
    (200, None): (
        _field("The app may not read a field.", "field"),
        _permission(
            "A permission is missing, or the user has no suitable role on the Page.",
            "Grant pages_messaging (Messenger) or instagram_manage_messages (Instagram), and the Messages task.",
        ),
    ),
    (200, 2534041): (
        _permission(
            "The owner of the Instagram account has disabled message access for apps.",
            "In Instagram: Settings, Messages, Connected tools, Allow access to messages.",
        ),
    ),
    (230, None): (
        _unavailable("The person has not consented.", "consent"),
        _permission("The permission pages_messaging is missing.", "Grant pages_messaging to the app for this Page."),
    ),
    (341, None): (_limit("The app's limit is reached.", 300, scope=ErrorScope.APP),),
    (368, None): (
        ErrorRule(
            BlockedError,
            ErrorScope.APP,
            Action.FAIL,
            "Meta considers the behaviour abusive and has blocked it.",
            "Stop, and check the app's and the Page's notifications at Meta.",
        ),
    ),
    (551, None): (_unavailable("The person is not available."),),
    (613, None): (_limit("The rate of calls is too high.", 5, "messenger"),),
    (803, None): (_unavailable("The ID or name does not exist."),),
    (2500, None): (
        _token(
            "Meta received no access token.",
            "Store a token as the connection's password.",
            text="active access token",
        ),
        _invalid("Meta cannot read the request.", "Check api_version and host in the connection."),
    ),
    (2635, None): (
        _invalid("The API version is too old.", "Raise api_version in the connection's extra.", scope=ErrorScope.APP),
    ),
    (36103, None): (_permission("The Instagram account cannot use the API yet.", "Try again in a few days."),),
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
    (1545041, None): (_unavailable("The person is not available."),),
    (9000001, None): (_unavailable("The message was deleted, or is older than Instagram's 20 newest."),),
}
"""``(code, subcode)`` takes precedence over ``(code, None)``. Within a row, the first matching ``text`` applies."""

CODE_RANGES: tuple[tuple[range, tuple[int, int | None]], ...] = (
    (range(200, 300), (200, None)),
    (range(80000, 80100), (80006, None)),
)
"""Families of codes: a code that is not in the table is treated like the row given here."""

_UNKNOWN = ErrorRule(GraphError, ErrorScope.CALL, Action.RETRY, "Meta responded with an unknown error code.")
_TEMPORARY = ErrorRule(TransientError, ErrorScope.CALL, Action.RETRY, "Meta failed temporarily.")


@dataclass(frozen=True, slots=True)
class MetaError:
    """The error in a response body, as scrubbed single lines."""

    code: int | None
    subcode: int | None = None
    message: str = ""
    user_title: str = ""
    user_message: str = ""
    is_transient: bool = False
    fbtrace_id: str | None = None


def find_rule(code: int | None, subcode: int | None, text: str = "", *, is_transient: bool = False) -> ErrorRule:
    """Return the rule for a code, subcode and message. An unknown code is retried."""
    for rule in _candidates(code, subcode):
        if rule.applies_to(text):
            return rule
    return _TEMPORARY if is_transient else _UNKNOWN


def error_of(
    meta_error: MetaError, *, http_status: int | None = None, usage: Usage = NO_USAGE, quoted: bool = True
) -> GraphError:
    """Return the exception for an error body; its text has Meta's words only if they are ``quoted``."""
    passes = meta_error.is_transient or (meta_error.code is None and http_status is not None and http_status >= 500)
    rule = find_rule(
        meta_error.code, meta_error.subcode, f"{meta_error.message} {meta_error.user_message}", is_transient=passes
    )
    details: dict[str, Any] = {
        "code": meta_error.code,
        "subcode": meta_error.subcode,
        "fbtrace_id": meta_error.fbtrace_id,
        "http_status": http_status,
        "action": rule.action,
        "scope": rule.scope,
        "meta_message": meta_error.message,
        "user_title": meta_error.user_title,
        "user_message": meta_error.user_message,
        "usage": usage,
    }
    message = _sentences(rule.meaning, _advice(rule, meta_error), _quoted(meta_error) if quoted else "")
    if issubclass(rule.error, RateLimitError):
        estimate = usage.wait_seconds(rule.bucket)
        details |= {"retry_after": estimate or rule.wait_seconds, "bucket": rule.bucket, "is_estimate": estimate > 0}
    return rule.error(message, **details)


def is_missing_edge(error: GraphError) -> bool:
    """Whether an error can mean that the object lacks the edge, such as ``accounts`` or ``permissions`` of a Page."""
    other_meanings = (CursorError, TooMuchDataError)
    return error.code == 100 and error.scope is not ErrorScope.APP and not isinstance(error, other_meanings)


def token_error(code: int | None, subcode: int | None) -> TokenError:
    """Return the error for a token that Meta calls invalid, whatever the code."""
    rule = find_rule(code, subcode)
    if rule.error is not TokenError:
        rule = find_rule(190, None)
    return TokenError(_sentences(rule.meaning, rule.advice), code=code, subcode=subcode)


def _candidates(code: int | None, subcode: int | None) -> tuple[ErrorRule, ...]:
    if code is None:
        return ()
    family = next((key for codes, key in CODE_RANGES if code in codes), (code, None))
    return ERROR_RULES.get((code, subcode)) or ERROR_RULES.get((code, None)) or ERROR_RULES.get(family) or ()


def _advice(rule: ErrorRule, meta_error: MetaError) -> str:
    is_known = meta_error.subcode is None or (meta_error.code, meta_error.subcode) in ERROR_RULES
    if meta_error.user_message and not is_known and rule.error in (PermissionDeniedError, InvalidRequestError):
        # Meta explains a case that is not in the table, so the code's general advice would be a guess.
        return ""
    named = dict.fromkeys(_PERMISSION.findall(meta_error.message)) if rule.error is PermissionDeniedError else ()
    if named and not rule.text:
        return f"Grant {' and '.join(named)}, and check that the token's user has the Messages task on the Page."
    return rule.advice


def _quoted(meta_error: MetaError) -> str:
    """Return Meta's message and its text for users."""
    explained = ": ".join(filter(None, (meta_error.user_title.rstrip(".:"), meta_error.user_message)))
    words = _sentences(*dict.fromkeys((meta_error.message, explained)))
    return f"Meta says: {words}" if words else ""


def _sentences(*parts: str) -> str:
    return " ".join(part if part.endswith((".", "!", "?")) else f"{part}." for part in parts if part)

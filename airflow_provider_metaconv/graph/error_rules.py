"""Error codes of the Graph API: the one table of what each means, how much it concerns and what to do.

Adding a code is adding a row. Where there is a code, the HTTP status never decides, since Meta sends rate limits as 400
and 403 alike (https://developers.facebook.com/docs/graph-api/guides/error-handling).
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
    """One row of knowledge: the class of a code, how much it concerns, what to do, what it means, what a person does.

    ``text`` restricts the row to errors whose message contains these words, for the codes that mean several things.
    ``wait_seconds`` is the first wait when Meta gives no estimate of its own (rate limits only), ``bucket`` the type
    in Meta's business-use-case header that the limit belongs to.
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
        """Whether a message contains this row's words."""
        return not self.text or re.search(rf"\b{re.escape(self.text)}s?\b", text, re.IGNORECASE) is not None


_PERMISSION = re.compile(
    r"\b(?:pages_(?:messaging|read_engagement|show_list|manage_metadata|read_user_content|utility_messaging)"
    r"|instagram_(?:business_)?(?:basic|manage_messages)|business_management)\b"
)
_RENEW = "Create a new Page token, or system-user or user token, and store it as the connection's password."
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
    return ErrorRule(TooMuchDataError, ErrorScope.CALL, Action.ASK_LESS, meaning, "Lower the page sizes.", text)


def _transient(meaning: str) -> ErrorRule:
    return ErrorRule(TransientError, ErrorScope.CALL, Action.RETRY, meaning)


def _unavailable(meaning: str, text: str = "") -> ErrorRule:
    return ErrorRule(ItemUnavailableError, ErrorScope.CONVERSATION, Action.SKIP, meaning, text=text)


def _field(meaning: str, text: str = "") -> ErrorRule:
    advice = "Raise api_version in the connection's extra, or leave the field out."
    return ErrorRule(FieldRefusedError, ErrorScope.CALL, Action.FAIL, meaning, advice, text)


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

ErrorRules = dict[tuple[int, int | None], tuple[ErrorRule, ...]]

ERROR_RULES: ErrorRules = {
    (-3, None): (_too_much("Too much data was asked for."),),
    (-2, None): (_too_much("Instagram took too long to answer."),),
    (-1, None): (_transient("Instagram failed."),),
    (1, None): (
        _too_much("Too much data was asked for.", "reduce the amount of data"),
        _too_much("Meta failed without saying why; often too much data was asked for."),
    ),
    (1, 99): (_too_much("Meta failed without saying why; often too much data, or Advanced Access is missing."),),
    (2, None): (_transient("The service is unavailable for the moment."),),
    (3, None): (_permission("The app lacks the capability.", "Check the app's products and its access level."),),
    (4, None): (_limit("The app's call limit is reached.", 300, scope=ErrorScope.APP),),
    (5, None): (
        _permission(
            "This server's address is not on the app's allow list.",
            "Add it in the app's settings.",
            scope=ErrorScope.APP,
        ),
    ),
    (10, None): (
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
    (10, 2018336): (_unavailable("This conversation is not open to the app."),),
    (10, 2534077): (
        _permission("The link of Instagram and Page cannot be verified.", "Link them again in the Page settings."),
    ),
    (12, None): (_field("A field or call is deprecated."),),
    (17, None): (_limit("The user's call limit is reached.", 300, scope=ErrorScope.APP),),
    (21, None): (
        _invalid("The Page moved to a new id.", "Use the new id that Meta's text names.", scope=ErrorScope.PAGE),
    ),
    (32, None): (_limit("The Page's call limit for user tokens is reached.", 300, "pages"),),
    (100, None): (
        ErrorRule(CursorError, ErrorScope.CALL, Action.RETRY, "The cursor is not accepted.", text="cursor"),
        _field("A field does not exist in this version of the API.", "nonexisting field"),
        _invalid(
            "The app asks for an app secret proof, or the one sent is wrong.",
            "Set app_secret in the connection's extra to the secret of the app that issued the token.",
            "appsecret_proof",
            ErrorScope.APP,
        ),
        ErrorRule(
            LimitTooHighError,
            ErrorScope.CALL,
            Action.ASK_LESS,
            "The limit is too high.",
            "Lower the page sizes.",
            "limit",
        ),
        _invalid("A parameter is wrong.", "Check page_id, folder, user_id and api_version."),
    ),
    (100, 33): (_unavailable("There is no such object, or the token may not see it."),),
    (100, 2534013): (
        _invalid(
            "The Page has no linked Instagram account.",
            "Link one, or leave INSTAGRAM out.",
            scope=ErrorScope.PAGE,
        ),
    ),
    (100, 2534014): (_invalid("No such Instagram user.", "Check user_id."),),
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
        _unavailable("The person has not consented to being read.", "consent"),
        _permission("The permission pages_messaging is missing.", "Grant pages_messaging to the app for this Page."),
    ),
    (341, None): (_limit("The app's limit is reached.", 300, scope=ErrorScope.APP),),
    (368, None): (
        ErrorRule(
            BlockedError,
            ErrorScope.APP,
            Action.FAIL,
            "Meta deems the behaviour abusive and blocked it.",
            "Stop, and read the app's and the Page's inbox at Meta.",
        ),
    ),
    (551, None): (_unavailable("The person is not available."),),
    (613, None): (_limit("The rate of calls is too high.", 5, "messenger"),),
    (803, None): (_unavailable("There is no such id or name."),),
    (2500, None): (
        _token(
            "No access token reached Meta.",
            "Store a token as the connection's password.",
            text="active access token",
        ),
        _invalid("Meta cannot read the request.", "Check api_version and host in the connection."),
    ),
    (2635, None): (
        _invalid("The API version is too old.", "Raise api_version in the connection's extra.", scope=ErrorScope.APP),
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
    (1545041, None): (_unavailable("The person is not available."),),
    (9000001, None): (_unavailable("The message is deleted, or beyond Instagram's 20 newest."),),
}
"""``(code, subcode)`` before ``(code, None)``; within a row the first whose ``text`` is in Meta's message."""

CODE_RANGES: tuple[tuple[range, tuple[int, int | None]], ...] = (
    (range(200, 300), (200, None)),
    (range(80000, 80100), (80006, None)),
)
"""Families of codes: what the table does not hold itself is treated as the row named here."""

_UNKNOWN = ErrorRule(GraphError, ErrorScope.CALL, Action.RETRY, "Meta answered with a code that is not known here.")
_PASSING = ErrorRule(TransientError, ErrorScope.CALL, Action.RETRY, "Meta failed for the moment.")


@dataclass(frozen=True, slots=True)
class MetaError:
    """An error as the response body describes it, in scrubbed single lines."""

    code: int | None
    subcode: int | None = None
    message: str = ""
    user_title: str = ""
    user_message: str = ""
    is_transient: bool = False
    fbtrace_id: str | None = None


def find_rule(code: int | None, subcode: int | None, text: str = "", *, is_transient: bool = False) -> ErrorRule:
    """The row for a code, subcode and message; an unknown code is tried again."""
    for rule in _candidates(code, subcode):
        if rule.applies_to(text):
            return rule
    return _PASSING if is_transient else _UNKNOWN


def error_of(told: MetaError, *, http_status: int | None = None, usage: Usage = NO_USAGE) -> GraphError:
    """The exception that an error body means."""
    passes = told.is_transient or (told.code is None and http_status is not None and http_status >= 500)
    rule = find_rule(told.code, told.subcode, f"{told.message} {told.user_message}", is_transient=passes)
    details: dict[str, Any] = {
        "code": told.code,
        "subcode": told.subcode,
        "fbtrace_id": told.fbtrace_id,
        "http_status": http_status,
        "action": rule.action,
        "scope": rule.scope,
        "meta_message": told.message,
        "user_title": told.user_title,
        "user_message": told.user_message,
        "usage": usage,
    }
    message = _sentences(rule.meaning, _advice(rule, told), _quoted(told))
    if issubclass(rule.error, RateLimitError):
        estimate = usage.wait_seconds(rule.bucket)
        details |= {"retry_after": estimate or rule.wait_seconds, "bucket": rule.bucket, "is_estimate": estimate > 0}
    return rule.error(message, **details)


def is_missing_edge(error: GraphError) -> bool:
    """Whether an error can mean that the object has no such edge, as a Page has no ``accounts`` or ``permissions``."""
    other_meanings = (CursorError, TooMuchDataError)
    return error.code == 100 and error.scope is not ErrorScope.APP and not isinstance(error, other_meanings)


def token_error(code: int | None, subcode: int | None) -> TokenError:
    """The error of a token that Meta calls invalid, whatever reason it gives."""
    rule = find_rule(code, subcode)
    if rule.error is not TokenError:
        rule = find_rule(190, None)
    return TokenError(_sentences(rule.meaning, rule.advice), code=code, subcode=subcode)


def _candidates(code: int | None, subcode: int | None) -> tuple[ErrorRule, ...]:
    if code is None:
        return ()
    family = next((key for codes, key in CODE_RANGES if code in codes), (code, None))
    return ERROR_RULES.get((code, subcode)) or ERROR_RULES.get((code, None)) or ERROR_RULES.get(family) or ()


def _advice(rule: ErrorRule, told: MetaError) -> str:
    is_known = told.subcode is None or (told.code, told.subcode) in ERROR_RULES
    if told.user_message and not is_known and rule.error in (PermissionDeniedError, InvalidRequestError):
        # Meta explains a case that the table does not know: advice for the code as a whole would be a guess.
        return ""
    named = dict.fromkeys(_PERMISSION.findall(told.message)) if rule.error is PermissionDeniedError else ()
    if named and not rule.text:
        return f"Grant {' and '.join(named)}, and check that the token's person has the task Messages on the Page."
    return rule.advice


def _quoted(told: MetaError) -> str:
    """Meta's own words: the message, and what it says to people."""
    explained = ": ".join(filter(None, (told.user_title.rstrip(".:"), told.user_message)))
    words = _sentences(*dict.fromkeys((told.message, explained)))
    return f"Meta says: {words}" if words else ""


def _sentences(*parts: str) -> str:
    return " ".join(part if part.endswith((".", "!", "?")) else f"{part}." for part in parts if part)

"""Graph's errors as data: one row per error with its HTTP status and body; and other responses without data.

Statuses and texts follow Meta's documentation and public reports. If no status has been published, a row has the
status of similar errors. Meta asks clients to decide by ``code``, never by the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TRACE_ID = "AeMuLaToRtRaCe0123456789"
RATE_LIMITING_PAGE = "https://developers.facebook.com/docs/graph-api/overview/rate-limiting"
EXPIRED = (
    "Error validating access token: Session has expired on Thursday, 19-Nov-26 10:00:00 PST. "
    "The current time is Friday, 20-Nov-26 10:00:00 PST."
)
SESSION_INVALIDATED = (
    "Error validating access token: The session has been invalidated because the user changed their "
    "password or Facebook has changed the session for security reasons."
)
NO_PERMISSION = (
    "(#200) Requires permission: pages_messaging or User associated with the Page access token does not "
    "have an appropriate role on the Page."
)
UNSUPPORTED_GET = (
    "Unsupported get request. Object with ID '{id}' does not exist, cannot be loaded due to missing "
    "permissions, or does not support this operation. Please read the Graph API documentation at "
    "https://developers.facebook.com/docs/graph-api"
)
ACTIVE_TOKEN = "An active access token must be used to query information about the current user."  # noqa: S105
PAGE_TOKEN_NEEDED = "(#190) This method must be called with a Page Access Token"  # noqa: S105
MESSAGE_GONE = "This Message has been deleted by the user or the business."
NO_SUCH_FIELD = "(#100) Tried accessing nonexisting field ({field}) on node type ({node})"
DEPRECATED_FIELD = "(#12) {field} field is deprecated for versions v2.4 and higher"
FORBIDDEN_FIELD = "(#{code}) Insufficient permission to access field ({{field}}) on node type ({{node}})"
LIMIT_TOO_LARGE = "(#100) The 'limit' parameter should not exceed {limit}"
REDUCE = "Please reduce the amount of data you're asking for, then retry your request"
# Errors whose text depends on the call.
TEMPLATES = {
    "10/field": FORBIDDEN_FIELD.format(code=10),
    "12": DEPRECATED_FIELD,
    "100/33": UNSUPPORTED_GET,
    "100/field": NO_SUCH_FIELD,
    "100/limit": LIMIT_TOO_LARGE,
    "200/field": FORBIDDEN_FIELD.format(code=200),
}
JSON_TYPE = "application/json; charset=UTF-8"
HTML_TYPE = "text/html; charset=utf-8"


Body = dict[str, Any]


@dataclass(frozen=True)
class ErrorAnswer:
    """One error of Graph: HTTP status and JSON body."""

    status: int
    body: Body


class GraphError(Exception):
    """A Graph call failed with an error."""

    def __init__(self, status: int, body: Body) -> None:
        super().__init__(body["error"]["message"])
        self.status = status
        self.body = body

    @property
    def label(self) -> str:
        """The code and subcode, as in ``190/463`` or ``613``."""
        error = self.body["error"]
        subcode = error.get("error_subcode")
        return str(error["code"]) if subcode is None else f"{error['code']}/{subcode}"


def error_body(code: int, message: str, kind: str = "OAuthException", **more: Any) -> Body:
    """Return Graph's error envelope; ``more`` holds error_subcode, is_transient and the like."""
    return {"error": {"message": message, "type": kind, "code": code, **more, "fbtrace_id": TRACE_ID}}


def _row(status: int, code: int, message: str, **more: Any) -> ErrorAnswer:
    return ErrorAnswer(status, error_body(code, message, **more))


def _bare(status: int, code: int, message: str, **more: Any) -> ErrorAnswer:
    # Some bodies of HTTP 500 have neither type nor fbtrace_id; clients must not require them.
    return ErrorAnswer(status, {"error": {"code": code, "message": message, **more}})


def _use_case(code: int, subject: str) -> ErrorAnswer:
    text = f"(#{code}) There have been too many {subject}. Wait a bit and try again. "
    return _row(400, code, f"{text}For more info, please refer to {RATE_LIMITING_PAGE}.")


ERRORS: dict[str, ErrorAnswer] = {
    "1": _bare(500, 1, REDUCE),
    "1/99": _bare(500, 1, "An unknown error occurred", error_subcode=99),
    "1/unknown": _bare(500, 1, "An unknown error occurred"),
    "2": _row(500, 2, "An unexpected error has occurred. Please retry your request later.", is_transient=True),
    "3": _row(400, 3, "(#3) Application does not have the capability to make this API call."),
    "4": _row(403, 4, "(#4) Application request limit reached", is_transient=True),
    "5": _row(400, 5, "(#5) Unauthorized source IP address"),
    "10": _row(400, 10, "(#10) Application does not have permission for this action"),
    "10/public_content": _row(
        400,
        10,
        "(#10) To use 'Page Public Content Access', your use of this endpoint must be reviewed and approved by "
        "Facebook.",
    ),
    "10/field": _row(400, 10, FORBIDDEN_FIELD.format(code=10).format(field="x", node="UnifiedThread")),
    "10/2018336": _row(
        400,
        10,
        "(#10) Requires pages_messaging permission to manage the object",
        error_subcode=2018336,
        error_user_title="Advanced access needed",
        error_user_msg="The app has to be approved before it may read conversations of people without a role on it.",
    ),
    "12": _row(400, 12, DEPRECATED_FIELD.format(field="x")),
    "17": _row(400, 17, "(#17) User request limit reached", is_transient=True),
    "21": _row(400, 21, "(#21) Page ID 100 was migrated to page ID 900. Please update your API calls to the new ID"),
    "32": _row(400, 32, "(#32) Page request limit reached"),
    "100": _row(400, 100, "(#100) Invalid parameter"),
    "100/33": _row(400, 100, UNSUPPORTED_GET.format(id="X"), kind="GraphMethodException", error_subcode=33),
    "100/field": _row(400, 100, NO_SUCH_FIELD.format(field="x", node="UnifiedThread")),
    "100/limit": _row(400, 100, LIMIT_TOO_LARGE.format(limit=100)),
    "100/cursor": _row(400, 100, "(#100) The After Cursor specified exceeds the max limit supported by this endpoint"),
    "100/proof": _row(
        400,
        100,
        "Invalid appsecret_proof provided in the API argument",
        kind="GraphMethodException",
    ),
    "100/proof_missing": _row(
        400,
        100,
        "API calls from the server require an appsecret_proof argument",
        kind="GraphMethodException",
    ),
    "102": _row(400, 102, "Session key invalid or no longer valid"),
    "104": _row(400, 104, "An access token is required to request this resource."),
    "190": _row(400, 190, "Invalid OAuth access token - Cannot parse access token"),
    "190/page_token": _row(400, 190, PAGE_TOKEN_NEEDED),
    "190/458": _row(
        400,
        190,
        "Error validating access token: The user has not authorized application 1.",
        error_subcode=458,
    ),
    "190/459": _row(
        400,
        190,
        "Error validating access token: You cannot access the app till you log in to www.facebook.com "
        "and follow the instructions given.",
        error_subcode=459,
    ),
    "190/460": _row(400, 190, SESSION_INVALIDATED, error_subcode=460),
    "190/463": _row(400, 190, EXPIRED, error_subcode=463),
    "190/464": _row(
        400,
        190,
        "Error validating access token: Sessions for the user are not allowed because the user is not a "
        "confirmed user.",
        error_subcode=464,
    ),
    "190/467": _row(
        400,
        190,
        "Error validating access token: The session is invalid because the user logged out.",
        error_subcode=467,
    ),
    "190/492": _row(
        400,
        190,
        "Error validating access token: Session does not match current stored session. The user associated "
        "with the Page access token does not have an appropriate role on the Page.",
        error_subcode=492,
    ),
    "190/493": _row(
        400,
        190,
        "Error validating access token: The session is invalid because the user has not used the app for "
        "more than 90 days.",
        error_subcode=493,
    ),
    "200": _row(403, 200, NO_PERMISSION),
    "200/field": _row(403, 200, FORBIDDEN_FIELD.format(code=200).format(field="x", node="UnifiedThread")),
    "200/2534041": _row(
        403,
        200,
        "(#200) The account owner has disabled access to instagram direct messages.",
        error_subcode=2534041,
    ),
    "200/2069030": _row(
        403,
        200,
        "Permissions error",
        error_subcode=2069030,
        is_transient=False,
        error_user_title="New Pages Experience Is Not Supported",
        error_user_msg="This endpoint is not supported in the new Pages experience.",
    ),
    "230": _row(403, 230, "(#230) Requires pages_messaging permission to manage the object"),
    "230/consent": _row(400, 230, "User consent is required to access user profile"),
    "341": _row(400, 341, "(#341) Feed action request limit reached"),
    "368": _row(
        400,
        368,
        "The action attempted has been deemed abusive or is otherwise disallowed",
        error_data={"sentry_block_data": "AeiEmulator", "help_center_id": 0},
        error_subcode=1346003,
        error_user_msg="",
    ),
    "551": _row(
        400,
        551,
        "(#551) This person isn't available right now.",
        error_subcode=1545041,
        error_user_title="Person Unavailable",
        error_user_msg="This person isn't receiving messages from you right now.",
    ),
    "613": _row(400, 613, "(#613) Calls to this api have exceeded the rate limit."),
    "613/1996": _row(400, 613, "(#613) Calls to this api have exceeded the rate limit.", error_subcode=1996),
    "803": _row(404, 803, "(#803) Some of the aliases you requested do not exist: X"),
    "2500": _row(400, 2500, ACTIVE_TOKEN),
    "2500/path": _row(400, 2500, "Unknown path components: /x"),
    "9000001": _row(400, 9000001, MESSAGE_GONE),
    "-1": _row(400, -1, "Instagram server error. Please try again."),
    "-2": _row(400, -2, "Instagram timeout. Please try again."),
    "-2/2534084": _row(
        400,
        -2,
        "Timeout",
        error_subcode=2534084,
        is_transient=False,
        error_user_title="Query timed out",
        error_user_msg="The account may have too many conversations. Ask for fewer of them at a time.",
    ),
    "-3": _row(400, -3, "Too much data was requested. Request less and try again."),
    "80001": _use_case(80001, "calls to this Page account"),
    "80002": _use_case(80002, "calls to this Instagram account"),
    "80006": _use_case(80006, "messenger api calls to this Page account"),
}


def known_error(name: str) -> GraphError:
    """Return the error of one row of `ERRORS`, ready to raise."""
    answer = ERRORS[name]
    return GraphError(answer.status, answer.body)


def no_such_object(object_id: str) -> GraphError:
    """Return 100/33: the object does not exist, or the caller may not see it."""
    message = UNSUPPORTED_GET.format(id=object_id)
    return GraphError(400, error_body(100, message, "GraphMethodException", error_subcode=33))


def no_such_field(name: str, node_type: str) -> GraphError:
    """Return (#100) for a field that the node type does not have."""
    return GraphError(400, error_body(100, NO_SUCH_FIELD.format(field=name, node=node_type)))


def invalid_parameter(message: str) -> GraphError:
    """Return (#100) for an invalid parameter value."""
    return GraphError(400, error_body(100, f"(#100) {message}"))


def unknown_path(path: str) -> GraphError:
    """Return 2500 for an unknown path or version."""
    return GraphError(400, error_body(2500, f"Unknown path components: {path}"))


@dataclass(frozen=True)
class OddAnswer:
    """One response that is not a Graph error, and its description."""

    status: int
    text: str
    description: str
    content_type: str = HTML_TYPE


def _html(status: int, title: str, text: str) -> OddAnswer:
    page = f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{text}</body></html>"
    return OddAnswer(status, page, f"HTTP {status} with an HTML page")


ODD_ANSWERS: dict[str, OddAnswer] = {
    "html_400": _html(400, "Error", "Sorry, something went wrong."),
    "html_500": _html(500, "Error", "Sorry, something went wrong."),
    "html_502": _html(502, "502 Bad Gateway", "<h1>Bad Gateway</h1>"),
    "html_504": _html(504, "504 Gateway Time-out", "<h1>Gateway Time-out</h1>"),
    "service_unavailable_200": OddAnswer(200, "Service Unavailable", "HTTP 200 with the text Service Unavailable"),
    "old_style_error": OddAnswer(
        200,
        '{"error_code":1,"error_msg":"An unknown error occurred"}',
        "HTTP 200 with error_code and error_msg, Meta's old error format",
        JSON_TYPE,
    ),
    "empty_object": OddAnswer(200, "{}", "HTTP 200 with an empty object", JSON_TYPE),
}

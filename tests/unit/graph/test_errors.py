"""Every code that Meta documents maps to an error class, a scope and an action."""

from __future__ import annotations

import ast
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_metaconv.graph.error_rules import (
    CODE_RANGES,
    ERROR_RULES,
    ErrorRule,
    MetaError,
    error_of,
    is_missing_edge,
)
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
    UnexpectedResponseError,
)
from airflow_provider_metaconv.graph.response import parse_response

PACKAGE = Path(__file__).parents[3] / "airflow_provider_metaconv"
WAIT, RETRY, ASK_LESS, SKIP, FAIL = Action
CALL, CONVERSATION, PAGE, APP = ErrorScope
REDUCE = "Please reduce the amount of data you're asking for, then retry your request"


def parsed_error(status: int, error: object, headers: dict[str, str] | None = None) -> GraphError:
    """The error that a response with this status and error object is parsed into."""
    body = error if isinstance(error, bytes) else json.dumps({"error": error}).encode()
    with pytest.raises(GraphError) as caught:
        parse_response(status, headers or {}, body, own_ids={"100"})
    return caught.value


def meta_error(code: int | None, message: str = "x", subcode: int | None = None, **more: Any) -> dict[str, Any]:
    return {"code": code, "message": message, **({"error_subcode": subcode} if subcode else {}), **more}


@pytest.mark.parametrize(
    ("error", "status", "expected", "action", "scope"),
    [
        (meta_error(80006, "(#80006) There have been too many messenger api calls"), 400, RateLimitError, WAIT, PAGE),
        (meta_error(613, "(#613) Calls to this api have exceeded the rate limit."), 400, RateLimitError, WAIT, PAGE),
        (meta_error(613, "erratic", 1996), 400, RateLimitError, WAIT, PAGE),
        (meta_error(4, "(#4) Application request limit reached", is_transient=True), 403, RateLimitError, WAIT, APP),
        (meta_error(17, "(#17) User request limit reached"), 400, RateLimitError, WAIT, APP),
        (meta_error(32, "(#32) Page request limit reached"), 400, RateLimitError, WAIT, PAGE),
        (meta_error(341), 400, RateLimitError, WAIT, APP),
        (meta_error(80001), 400, RateLimitError, WAIT, PAGE),
        (meta_error(80002), 400, RateLimitError, WAIT, PAGE),
        (meta_error(80011, "a code of the same range that is not in the table"), 400, RateLimitError, WAIT, PAGE),
        (meta_error(2, "(#2) Service temporarily unavailable", is_transient=True), 500, TransientError, RETRY, CALL),
        (meta_error(2, "Please retry your request later."), 400, TransientError, RETRY, CALL),
        (meta_error(-1, "server error"), 400, TransientError, RETRY, CALL),
        (meta_error(424242, "new", is_transient=True), 400, TransientError, RETRY, CALL),
        (meta_error(424242, "never seen"), 400, GraphError, RETRY, CALL),
        ({"message": "no code at all"}, 500, TransientError, RETRY, CALL),
        ({"message": "no code at all"}, 400, GraphError, RETRY, CALL),
        (meta_error(1, REDUCE), 500, TooMuchDataError, ASK_LESS, CALL),
        (meta_error(1, "An unknown error occurred", 99), 500, TooMuchDataError, ASK_LESS, CALL),
        (meta_error(1, "An unknown error occurred"), 500, TooMuchDataError, ASK_LESS, CALL),
        (meta_error(1, "new", 424242), 500, TooMuchDataError, ASK_LESS, CALL),
        (meta_error(-2, "timeout"), 400, TooMuchDataError, ASK_LESS, CALL),
        (meta_error(-2, "Timeout", 2534084, is_transient=False), 400, TooMuchDataError, ASK_LESS, CALL),
        (meta_error(-3, "too much"), 400, TooMuchDataError, ASK_LESS, CALL),
        (meta_error(100, "(#100) The 'limit' parameter should not exceed 100"), 400, LimitTooHighError, ASK_LESS, CALL),
        (meta_error(100, "(#100) The After Cursor specified exceeds the max limit"), 400, CursorError, RETRY, CALL),
        (meta_error(9000001, "This Message has been deleted"), 400, ItemUnavailableError, SKIP, CONVERSATION),
        (meta_error(551, "This person isn't available right now."), 400, ItemUnavailableError, SKIP, CONVERSATION),
        (meta_error(230, "User consent is required to access"), 400, ItemUnavailableError, SKIP, CONVERSATION),
        (meta_error(10, "thread", 2018336), 403, ItemUnavailableError, SKIP, CONVERSATION),
        (meta_error(100, "Unsupported get request.", 33), 400, ItemUnavailableError, SKIP, CONVERSATION),
        (meta_error(803, "(#803) Some of the aliases do not exist"), 404, ItemUnavailableError, SKIP, CONVERSATION),
        (meta_error(190, "Error validating access token"), 400, TokenError, FAIL, APP),
        *(
            (meta_error(190, "x", subcode), 400, TokenError, FAIL, APP)
            for subcode in (458, 459, 460, 463, 464, 467, 492, 493)
        ),
        (meta_error(190, "x", 1), 400, TokenError, FAIL, APP),
        (meta_error(102, "session"), 400, TokenError, FAIL, APP),
        (meta_error(104, "An access token is required to request this resource."), 400, TokenError, FAIL, APP),
        (meta_error(2500, "An active access token must be used to query information"), 400, TokenError, FAIL, APP),
        (meta_error(3, "capability"), 400, PermissionDeniedError, FAIL, PAGE),
        (meta_error(10, "denied"), 403, PermissionDeniedError, FAIL, PAGE),
        (meta_error(200, "(#200) Requires permission: pages_messaging"), 403, PermissionDeniedError, FAIL, PAGE),
        (meta_error(200, "off", 2534041), 403, PermissionDeniedError, FAIL, PAGE),
        (meta_error(230, "(#230) Requires pages_messaging permission"), 403, PermissionDeniedError, FAIL, PAGE),
        (meta_error(299, "family"), 403, PermissionDeniedError, FAIL, PAGE),
        (meta_error(5, "Unauthorized source IP address"), 400, PermissionDeniedError, FAIL, APP),
        (meta_error(368, "deemed abusive", 1346003), 400, BlockedError, FAIL, APP),
        (meta_error(100, "(#100) Tried accessing nonexisting field (x)"), 400, FieldRefusedError, FAIL, CALL),
        (meta_error(100, "(#100) No permission to access field (x)"), 400, FieldRefusedError, FAIL, CALL),
        (meta_error(10, "(#10) The field x needs another permission"), 403, FieldRefusedError, FAIL, CALL),
        (meta_error(299, "(#299) Insufficient permission to access field (x)"), 403, FieldRefusedError, FAIL, CALL),
        (
            meta_error(12, "(#12) x field is deprecated for versions v27.0 and higher"),
            400,
            FieldRefusedError,
            FAIL,
            CALL,
        ),
        (meta_error(100, "(#100) Invalid parameter"), 400, InvalidRequestError, FAIL, CALL),
        (meta_error(100, "(#100) Access to this Page is limited"), 400, InvalidRequestError, FAIL, CALL),
        (meta_error(100, "API calls from the server require an appsecret_proof"), 400, InvalidRequestError, FAIL, APP),
        (meta_error(21, "Page ID 1 was migrated to page ID 2"), 400, InvalidRequestError, FAIL, PAGE),
        (meta_error(2500, "Unknown path components: /x"), 400, InvalidRequestError, FAIL, CALL),
        (meta_error(2635, "old"), 400, InvalidRequestError, FAIL, APP),
        (b"<html>Sorry, something went wrong</html>", 500, TransientError, RETRY, CALL),
        (b"<html>504 Gateway Time-out</html>", 504, TransientError, RETRY, CALL),
        (b"<html>Sorry, something went wrong</html>", 400, TransientError, RETRY, CALL),
        (b"<html>not a Graph API</html>", 404, TransientError, RETRY, CALL),
        (b'{"message":"Forbidden"}', 403, TransientError, RETRY, CALL),
        (b"", 408, TransientError, RETRY, CALL),
        (b"slow down", 429, RateLimitError, WAIT, PAGE),
        (b"Service Unavailable", 200, UnexpectedResponseError, RETRY, CALL),
        (b'{"data": [{"id": "t_1"', 200, UnexpectedResponseError, RETRY, CALL),
        (b"", 200, UnexpectedResponseError, RETRY, CALL),
        (b"false", 200, UnexpectedResponseError, RETRY, CALL),
        (b"[" * 100_000, 200, UnexpectedResponseError, RETRY, CALL),
        (b'{"error_code":1,"error_msg":"An unknown error occurred"}', 200, TooMuchDataError, ASK_LESS, CALL),
        (b'{"error_code":190,"error_msg":"bad token"}', 200, TokenError, FAIL, APP),
        (b'{"error_code":"613","error_msg":"limit"}', 200, RateLimitError, WAIT, PAGE),
        (b'{"error_code":null}', 200, GraphError, RETRY, CALL),
        (b"", 302, InvalidRequestError, FAIL, APP),
    ],
)
def test_the_body_determines_class_action_and_scope(
    error: object, status: int, expected: type[GraphError], action: Action, scope: ErrorScope
) -> None:
    raised = parsed_error(status, error)
    assert (type(raised), raised.action, raised.scope) == (expected, action, scope)


EVERY_RULE = [
    pytest.param(code, subcode, rule, id=f"{code}-{subcode}-{rule.text or 'any'}")
    for (code, subcode), rules in ERROR_RULES.items()
    for rule in rules
]


@pytest.mark.parametrize(("code", "subcode", "rule"), EVERY_RULE)
@pytest.mark.parametrize("status", [200, 400, 403, 500])
def test_every_rule_applies_at_any_http_status(code: int, subcode: int | None, rule: ErrorRule, status: int) -> None:
    error = parsed_error(status, meta_error(code, f"Meta says {rule.text} here", subcode))
    assert (type(error), error.action, error.scope) == (rule.error, rule.action, rule.scope)
    assert str(error).startswith(f"[{code}{'' if subcode is None else f'/{subcode}'}] {rule.meaning}")
    assert rule.advice in str(error)


@pytest.mark.parametrize(("code", "subcode", "rule"), EVERY_RULE)
def test_every_rule_applies_to_old_style_errors(code: int, subcode: int | None, rule: ErrorRule) -> None:
    body = {"error_code": code, "error_msg": f"Meta says {rule.text} here", "error_subcode": subcode}
    error = parsed_error(200, json.dumps(body).encode())
    assert (type(error), error.action, error.scope) == (rule.error, rule.action, rule.scope)


@pytest.mark.parametrize(("code", "subcode", "rule"), EVERY_RULE)
def test_every_rule_is_complete(code: int, subcode: int | None, rule: ErrorRule) -> None:
    assert rule.meaning.endswith(".")
    assert (rule.action is WAIT) == (rule.error is RateLimitError) == (rule.wait_seconds > 0) == bool(rule.bucket)
    assert rule.advice or rule.action in (RETRY, SKIP)


def test_the_last_rule_of_every_code_matches_any_text() -> None:
    assert [key for key, rules in ERROR_RULES.items() if rules[-1].text] == []
    assert [key for _, key in CODE_RANGES if key not in ERROR_RULES] == []


def compared_codes(source: str) -> list[str]:
    """The comparisons of an error's code or subcode in some source; checks for None are allowed anywhere."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Match):
            compared: ast.AST = node.subject
        elif isinstance(node, ast.Compare) and not all(isinstance(op, ast.Is | ast.IsNot) for op in node.ops):
            compared = node
        else:
            continue
        names = {getattr(part, "attr", getattr(part, "id", None)) for part in ast.walk(compared)}
        found += [ast.unparse(node)] if names & {"code", "subcode"} else []
    return found


def test_codes_are_compared_only_in_the_rule_table() -> None:
    files = [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "dags").rglob("*.py")]
    own = [PACKAGE / "emulator", PACKAGE / "graph" / "error_rules.py"]
    sources = [file.read_text("utf-8") for file in files if not any(file.is_relative_to(each) for each in own)]
    # Google's errors have their own codes.
    checked = [source for source in sources if "google.api_core" not in source]
    assert len(checked) > 60
    assert [line for source in checked for line in compared_codes(source)] == []


@pytest.mark.parametrize(
    "source",
    ["error.code == 1", "error.code in (1, 2)", "(e.code, e.subcode) == (100, 33)", "match e.code:\n case 1: pass"],
)
def test_the_check_detects_code_comparisons(source: str) -> None:
    assert len(compared_codes(source)) == 1


@pytest.mark.parametrize("name", ["code", "subcode", "message", "action", "retry_after", "usage"])
def test_errors_are_immutable(name: str) -> None:
    error = parsed_error(400, meta_error(613))
    before = str(error), error.retry_after
    with pytest.raises(AttributeError):
        setattr(error, name, 5)
    assert before == (str(error), error.retry_after)


def test_with_wait_returns_a_new_error() -> None:
    error = parsed_error(400, meta_error(613))
    assert isinstance(error, RateLimitError)
    longer = error.with_wait(77.0)
    assert (longer.retry_after, longer.code, longer.bucket) == (77.0, 613, error.bucket)
    assert (error.retry_after, pickle.loads(pickle.dumps(longer)).retry_after) == (5.0, 77.0)


def test_an_error_names_code_subcode_and_trace() -> None:
    error = parsed_error(400, meta_error(190, "Session has expired", 463, fbtrace_id="A1b"))
    assert (error.code, error.subcode, error.fbtrace_id, error.http_status) == (190, 463, "A1b", 400)
    assert str(error).startswith("[190/463] The token has expired. Create a new Page, system user or user token")
    assert str(error).endswith("(fbtrace_id A1b)")


def test_the_text_includes_metas_message_for_users() -> None:
    error = parsed_error(
        403,
        meta_error(
            200,
            "Permissions error",
            2069030,
            error_user_title="New Pages Experience Is Not Supported",
            error_user_msg="This endpoint is not supported in the new Pages experience.",
        ),
    )
    assert str(error) == (
        "[200/2069030] A permission is missing, or the user has no suitable role on the Page. Meta says: Permissions "
        "error. New Pages Experience Is Not Supported: This endpoint is not supported in the new Pages experience."
    )
    assert error.user_title == "New Pages Experience Is Not Supported"
    assert error.user_message == "This endpoint is not supported in the new Pages experience."


@pytest.mark.parametrize(
    ("code", "message", "named", "other"),
    [
        (
            10,
            "(#10) To use 'Page Public Content Access', your use of this endpoint must be reviewed.",
            "pages_read_engagement",
            "pages_messaging",
        ),
        (
            10,
            "(#10) Requires the 'pages_read_engagement' permission or the 'Page Public Content Access' feature.",
            "pages_read_engagement",
            "pages_messaging",
        ),
        (200, "(#200) Requires instagram_manage_messages permission", "instagram_manage_messages", "pages_messaging"),
        (230, "(#230) Requires pages_messaging permission to manage the object", "pages_messaging", "instagram_"),
        (283, "(#283) Requires pages_read_user_content permission", "pages_read_user_content", "pages_messaging"),
    ],
)
def test_the_advice_names_the_missing_permission(code: int, message: str, named: str, other: str) -> None:
    advice, _, _ = parsed_error(403, meta_error(code, message)).message.partition("Meta says")
    assert named in advice
    assert other not in advice


def test_metas_message_is_not_repeated() -> None:
    error = parsed_error(400, meta_error(2, "Later.", error_user_msg="Later."))
    assert str(error) == "[2] The service is temporarily unavailable. Meta says: Later."


@pytest.mark.parametrize(
    ("text", "maximum"),
    [
        ("(#100) The 'limit' parameter should not exceed 100", 100),
        ("(#100) limit must not exceed 50.", 50),
        ("(#100) Param limit must be between 1 and 200", 200),
        ("(#100) The limit 500 is too high, the maximum is 100", 100),
        ("(#100) limit must be less than or equal to 25", 25),
        ("(#100) limit cannot be greater than 100", 100),
        ("(#100) limit can be at most 20 here", 20),
        ("(#100) The limit is too high", None),
        ("(#100) limit may be up to 0", None),
    ],
)
def test_the_maximum_limit_is_parsed_from_metas_text(text: str, maximum: int | None) -> None:
    error = parsed_error(400, meta_error(100, text))
    assert isinstance(error, LimitTooHighError)
    assert error.maximum == maximum


def test_a_refused_field_is_named_in_metas_text() -> None:
    error = parsed_error(
        400, meta_error(100, "(#100) Tried accessing nonexisting field (is_owner) on node type (UnifiedThread)")
    )
    assert isinstance(error, FieldRefusedError)
    assert "(is_owner)" in error.field_text


def test_a_missing_page_fails_with_advice() -> None:
    error = parsed_error(400, meta_error(100, "Unsupported get request.", 33)).as_page_error()
    assert (type(error), error.action, error.scope) == (InvalidRequestError, FAIL, PAGE)
    assert str(error).startswith("[100/33] The object does not exist")
    assert "role on that Page" in str(error)


def test_other_errors_are_unchanged_as_page_errors() -> None:
    error = TransientError("reset")
    assert error.as_page_error() is error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (meta_error(100, "(#100) Tried accessing nonexisting field (accounts) on node type (Page)"), True),
        (meta_error(100, "Unsupported get request.", 33), True),
        (meta_error(100, "(#100) The cursor is wrong"), False),
        (meta_error(100, "Invalid appsecret_proof provided"), False),
        (meta_error(200, "no"), False),
        (meta_error(803, "no such alias"), False),
    ],
)
def test_a_missing_edge_is_recognized(error: dict[str, Any], expected: bool) -> None:
    assert is_missing_edge(parsed_error(400, error)) is expected


def test_codes_sent_as_text_are_understood() -> None:
    assert type(parsed_error(400, {"code": "190", "error_subcode": "463", "message": "x"})) is TokenError


@pytest.mark.parametrize("error", [{"code": None}, {"code": []}, {"code": 1e400}, {}, {"message": None}])
def test_a_malformed_error_is_still_an_error(error: dict[str, object]) -> None:
    assert isinstance(parsed_error(400, error), GraphError)


ODD = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2)
KEYS = ("code", "error_subcode", "message", "error_user_title", "error_user_msg", "is_transient", "fbtrace_id")


@given(st.dictionaries(st.sampled_from(KEYS), ODD), st.sampled_from([200, 400, 500]))
def test_the_text_of_any_error_is_one_printable_line(error: dict[str, object], status: int) -> None:
    assert str(parsed_error(status, error)).isprintable()


def usage(regain: float, object_id: str = "100", kind: str = "messenger") -> dict[str, str]:
    entry = {"type": kind, "call_count": 100, "estimated_time_to_regain_access": regain}
    return {"x-business-use-case-usage": json.dumps({object_id: [entry]})}


def test_the_wait_is_metas_estimate_in_minutes() -> None:
    error = parsed_error(400, meta_error(80006), usage(19))
    assert isinstance(error, RateLimitError)
    assert (error.retry_after, error.bucket, error.is_estimate) == (19 * 60, "messenger", True)


@pytest.mark.parametrize("headers", [usage(0), usage(1380, "999"), usage(1380, kind="ads_management"), {}])
def test_the_wait_defaults_without_an_estimate_for_this_limit(headers: dict[str, str]) -> None:
    error = parsed_error(400, meta_error(80006), headers)
    assert isinstance(error, RateLimitError)
    assert (error.retry_after, error.is_estimate) == (ERROR_RULES[80006, None][0].wait_seconds, False)


def test_with_wait_changes_only_the_wait() -> None:
    error = parsed_error(400, meta_error(613, "(#613) too fast", fbtrace_id="A1"))
    assert isinstance(error, RateLimitError)
    later = error.with_wait(40)
    assert (error.retry_after, later.retry_after) == (5, 40)
    assert (str(later), later.action, later.bucket, later.code) == (str(error), WAIT, "messenger", 613)


def test_errors_survive_pickling() -> None:
    error = error_of(MetaError(613, 1996, "limit", "Title", "Text", fbtrace_id="A1"), http_status=400)
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), vars(copied)) == (str(error), vars(error))


def test_a_host_that_is_not_a_graph_api_is_reported() -> None:
    assert "check the connection's host, and any proxy" in str(parsed_error(404, b"<html>not a Graph API</html>"))


def test_echoed_tokens_are_redacted() -> None:
    text = (
        "Malformed access token EAABsbCS1iHgBAKZC; see https://x.example.com/?access_token=abc123&appsecret_proof=ff00"
    )
    shown = str(parsed_error(400, meta_error(190, text, error_user_title=text, error_user_msg=text, fbtrace_id=text)))
    assert [secret for secret in ("EAABsbCS1iHgBAKZC", "abc123", "ff00") if secret in shown] == []

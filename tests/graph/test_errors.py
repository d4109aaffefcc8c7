"""Every code that Meta documents leads to the class that says what to do next."""

from __future__ import annotations

import json

import pytest

from airflow_provider_metaconv.graph.errors import (
    ERROR_CODES,
    BlockedError,
    CursorError,
    GraphError,
    InvalidRequestError,
    ItemUnavailableError,
    PermissionDeniedError,
    RateLimitError,
    TokenError,
    TooMuchDataError,
    TransientError,
)
from airflow_provider_metaconv.graph.response import read_answer


def refused(status: int, error: object, headers: dict[str, str] | None = None) -> GraphError:
    """The error that an answer with this status and error object means."""
    body = error if isinstance(error, bytes) else json.dumps({"error": error}).encode()
    with pytest.raises(GraphError) as caught:
        read_answer(status, headers or {}, body)
    return caught.value


REDUCE = "Please reduce the amount of data you're asking for, then retry your request"


@pytest.mark.parametrize(
    ("expected", "status", "error"),
    [
        (RateLimitError, 400, {"code": 80006, "message": "(#80006) There have been too many messenger api calls"}),
        (RateLimitError, 400, {"code": 613, "message": "(#613) Calls to this api have exceeded the rate limit."}),
        (RateLimitError, 400, {"code": 613, "error_subcode": 1996, "message": "erratic"}),
        (RateLimitError, 403, {"code": 4, "message": "(#4) Application request limit reached", "is_transient": True}),
        (RateLimitError, 400, {"code": 17, "message": "(#17) User request limit reached"}),
        (RateLimitError, 400, {"code": 32, "message": "(#32) Page request limit reached"}),
        (RateLimitError, 400, {"code": 341, "message": "limit"}),
        (RateLimitError, 400, {"code": 80001, "message": "limit"}),
        (RateLimitError, 400, {"code": 80002, "message": "limit"}),
        (RateLimitError, 400, {"code": 80011, "message": "a kin that is not in the table"}),
        (TransientError, 500, {"code": 2, "message": "(#2) Service temporarily unavailable", "is_transient": True}),
        (TransientError, 400, {"code": 2, "message": "Please retry your request later."}),
        (TransientError, 500, {"code": 1, "error_subcode": 99, "message": "An unknown error occurred"}),
        (TransientError, 500, {"code": 1, "message": "An unknown error occurred"}),
        (TransientError, 400, {"code": -1, "message": "server error"}),
        (TransientError, 400, {"code": -2, "message": "timeout"}),
        (TransientError, 400, {"code": 424242, "message": "new", "is_transient": True}),
        (TransientError, 500, {"message": "no code at all"}),
        (TooMuchDataError, 500, {"code": 1, "message": REDUCE}),
        (CursorError, 400, {"code": 100, "message": "(#100) The After Cursor specified exceeds the max limit"}),
        (TokenError, 400, {"code": 190, "message": "Error validating access token"}),
        *((TokenError, 400, {"code": 190, "error_subcode": s, "message": "x"}) for s in (458, 459, 460, 463, 464)),
        *((TokenError, 400, {"code": 190, "error_subcode": s, "message": "x"}) for s in (467, 492, 493, 1)),
        (TokenError, 400, {"code": 102, "message": "session"}),
        (TokenError, 400, {"code": 104, "message": "An access token is required to request this resource."}),
        (TokenError, 400, {"code": 2500, "message": "An active access token must be used to query information"}),
        (PermissionDeniedError, 400, {"code": 3, "message": "capability"}),
        (PermissionDeniedError, 403, {"code": 10, "message": "denied"}),
        (PermissionDeniedError, 403, {"code": 200, "message": "(#200) Requires permission: pages_messaging"}),
        (PermissionDeniedError, 403, {"code": 200, "error_subcode": 2534041, "message": "off"}),
        (PermissionDeniedError, 403, {"code": 230, "message": "(#230) Requires pages_messaging permission"}),
        (PermissionDeniedError, 403, {"code": 299, "message": "family"}),
        (BlockedError, 400, {"code": 368, "error_subcode": 1346003, "message": "deemed abusive"}),
        (InvalidRequestError, 400, {"code": 100, "message": "(#100) Tried accessing nonexisting field (x)"}),
        (InvalidRequestError, 400, {"code": 100, "error_subcode": 33, "message": "Unsupported get request."}),
        (InvalidRequestError, 400, {"code": 100, "message": "API calls from the server require an appsecret_proof"}),
        (InvalidRequestError, 404, {"code": 803, "message": "(#803) Some of the aliases do not exist"}),
        (InvalidRequestError, 400, {"code": 21, "message": "Page ID 1 was migrated to page ID 2"}),
        (InvalidRequestError, 400, {"code": 2500, "message": "Unknown path components: /x"}),
        (ItemUnavailableError, 400, {"code": 9000001, "message": "This Message has been deleted"}),
        (GraphError, 400, {"code": 424242, "message": "never seen"}),
        (TransientError, 500, b"<html>Sorry, something went wrong</html>"),
        (TransientError, 200, b"Service Unavailable"),
        (TransientError, 200, b'{"data": [{"id": "t_1"'),
        (TransientError, 200, b""),
        (RateLimitError, 429, b"slow down"),
        (InvalidRequestError, 302, b""),
        (InvalidRequestError, 404, b"<html>not a Graph API</html>"),
    ],
)
def test_the_body_decides_what_to_do_next(expected: type[GraphError], status: int, error: object) -> None:
    assert expected is type(refused(status, error))


@pytest.mark.parametrize("code", [80006, 613, 4, 17, 32, 190, 200, 100, 368, 230, 104, 2500])
@pytest.mark.parametrize("status", [200, 400, 403, 500])
def test_the_http_status_never_decides(code: int, status: int) -> None:
    error = {"code": code, "message": "m"}
    assert type(refused(400, error)) is type(refused(status, error))


def test_an_error_names_code_subcode_and_trace() -> None:
    error = refused(400, {"code": 190, "error_subcode": 463, "message": "Session has expired", "fbtrace_id": "A1b"})
    assert (190, 463, "A1b", 400) == (error.code, error.subcode, error.fbtrace_id, error.http_status)
    assert str(error).startswith("[190/463] The token has expired. Create a new Page token")
    assert str(error).endswith("(fbtrace_id A1b)")
    assert "\n" not in str(error)


def test_codes_and_subcodes_sent_as_text_are_understood() -> None:
    assert TokenError is type(refused(400, {"code": "190", "error_subcode": "463", "message": "x"}))


@pytest.mark.parametrize("error", [{"code": None}, {"code": []}, {"code": 1e400}, {}, {"message": None}])
def test_an_odd_error_is_an_error_all_the_same(error: dict[str, object]) -> None:
    assert isinstance(refused(400, error), GraphError)


def test_the_wait_is_the_answers_own_estimate_in_minutes() -> None:
    usage = {"100": [{"type": "messenger", "call_count": 100, "estimated_time_to_regain_access": 19}]}
    error = refused(400, {"code": 80006, "message": "x"}, {"x-business-use-case-usage": json.dumps(usage)})
    assert isinstance(error, RateLimitError)
    assert (19 * 60, "messenger") == (error.retry_after, error.bucket)


def test_without_an_estimate_the_wait_is_the_codes_default() -> None:
    usage = {"100": [{"type": "messenger", "call_count": 100, "estimated_time_to_regain_access": 0}]}
    error = refused(400, {"code": 80006, "message": "x"}, {"x-business-use-case-usage": json.dumps(usage)})
    assert isinstance(error, RateLimitError)
    assert ERROR_CODES[80006, None][0].wait_seconds == error.retry_after


def test_every_rate_limit_has_a_wait_and_every_person_an_advice() -> None:
    for key, rows in ERROR_CODES.items():
        for row in rows:
            assert (row.error is RateLimitError) == (row.wait_seconds > 0), key
            if row.error in (TokenError, PermissionDeniedError, BlockedError, InvalidRequestError):
                assert row.advice, key


def test_what_meta_echoes_of_a_token_is_blotted_out() -> None:
    text = (
        "Malformed access token EAABsbCS1iHgBAKZC; see https://x.example.com/?access_token=abc123&appsecret_proof=ff00"
    )
    told = str(refused(400, {"code": 190, "message": text}))
    assert [secret for secret in ("EAABsbCS1iHgBAKZC", "abc123", "ff00") if secret in told] == []

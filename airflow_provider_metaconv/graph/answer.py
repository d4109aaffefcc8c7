"""What one HTTP answer means: data, or which error. Pure: the same answer always means the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from airflow_provider_metaconv.graph.auth import scrub
from airflow_provider_metaconv.graph.errors import (
    GraphError,
    InvalidRequestError,
    RateLimitError,
    TransientError,
    as_int,
    error_code,
)
from airflow_provider_metaconv.graph.usage import Usage, read_usage

_LONGEST_TEXT = 300
_RATE_LIMITED_WITHOUT_CODE = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer: the JSON object, and how full the limits are."""

    data: dict[str, Any]
    usage: Usage


def read_answer(status: int, headers: Mapping[str, str], body: bytes, *, scrub: Callable[[str], str] = scrub) -> Answer:
    """The data in an answer; raises the ``GraphError`` that it means. ``scrub`` blots secrets out of Meta's text."""
    usage = read_usage(headers)
    data = _json_object(body)
    if data is not None and 200 <= status <= 299 and not isinstance(data.get("error"), dict):
        return Answer(data, usage)
    is_graph_error = data is not None and isinstance(data.get("error"), dict)
    error = _graph_error(status, data["error"], usage, scrub) if data and is_graph_error else _http_error(status)
    error.usage_percent = usage.percent
    raise error


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = _odd_json(body)
    return value if isinstance(value, dict) else None


def _odd_json(body: bytes) -> Any:
    # Messages can hold half of a surrogate pair, which orjson refuses and Python's own parser lets through.
    try:
        return json.loads(body.decode(errors="replace"))
    except ValueError:
        return None


def _graph_error(status: int, error: Mapping[str, Any], usage: Usage, scrub: Callable[[str], str]) -> GraphError:
    code, subcode = as_int(error.get("code")), as_int(error.get("error_subcode"))
    text = str(error.get("message", ""))
    transient = bool(error.get("is_transient")) or (code is None and status >= 500)
    row = error_code(code, subcode, text, is_transient=transient)
    said = scrub(" ".join(text.split()))[:_LONGEST_TEXT]
    message = " ".join(filter(None, (row.meaning, row.advice, f"Meta says: {said}" if said else "")))
    raised = row.error(
        message, code=code, subcode=subcode, fbtrace_id=_trace(error.get("fbtrace_id")), http_status=status
    )
    if isinstance(raised, RateLimitError):
        raised.bucket = row.bucket
        raised.retry_after = usage.wait_seconds(row.bucket) or row.wait_seconds
    return raised


def _trace(value: Any) -> str | None:
    return scrub(str(value)[:64]) if value else None


def _http_error(status: int) -> GraphError:
    if 300 <= status <= 399:
        return InvalidRequestError(
            f"The host answers with a redirect (HTTP {status}), which is never followed with a token: "
            "set the connection's host to the API's own address, such as https://graph.facebook.com.",
            http_status=status,
        )
    if status == 429:
        limited = RateLimitError("Too many calls (HTTP 429).", http_status=status)
        limited.retry_after = _RATE_LIMITED_WITHOUT_CODE
        return limited
    if 400 <= status <= 499 and status != 408:
        return InvalidRequestError(
            f"The host answered HTTP {status} without a Graph error: check the connection's host, and any proxy.",
            http_status=status,
        )
    return TransientError(
        f"Meta answered HTTP {status} with something other than the expected JSON.", http_status=status
    )

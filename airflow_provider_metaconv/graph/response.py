"""Interpretation of one HTTP response: data or an error. A pure function of the response."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_metaconv.graph.error_rules import MetaError, error_of
from airflow_provider_metaconv.graph.errors import (
    ErrorScope,
    GraphError,
    InvalidRequestError,
    RateLimitError,
    TransientError,
    UnexpectedResponseError,
)
from airflow_provider_metaconv.graph.limits import Usage, read_usage
from airflow_provider_metaconv.graph.redaction import scrub
from airflow_provider_metaconv.graph.storable_json import storable_json

_LONGEST_TEXT = 300
_RATE_LIMITED_WITHOUT_CODE = 60.0


@dataclass(frozen=True, slots=True)
class GraphResponse:
    """A successful response: the JSON object and the usage of the limits."""

    data: dict[str, Any]
    usage: Usage


def parse_response(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    own_ids: Collection[str] = (),
    quoted: bool = True,
) -> GraphResponse:
    """Return the data of a response, or raise its ``GraphError``, which has Meta's words only if they are ``quoted``.

    ``own_ids`` are the objects whose limits count.
    """
    usage = read_usage(headers, own_ids)
    data = _json_object(body)
    meta_error = _meta_error(data) if data is not None else None
    if meta_error is not None:
        raise error_of(meta_error, http_status=status, usage=usage, quoted=quoted)
    if data is None or not 200 <= status <= 299:
        raise _http_error(status, usage)
    return GraphResponse(data, usage)


def _json_object(body: bytes) -> dict[str, Any] | None:
    value = storable_json(body)
    return value if isinstance(value, dict) else None


def _meta_error(data: Mapping[str, Any]) -> MetaError | None:
    """Return the error in a body, in the current format or the old one with status 200; None if there is none."""
    error = data.get("error")
    if not isinstance(error, dict):
        if "error_code" not in data:
            return None
        error = {**data, "code": data["error_code"], "message": data.get("error_msg")}

    def text(name: str) -> str:
        value = error.get(name)
        return scrub(single_line(str(value)))[:_LONGEST_TEXT] if isinstance(value, str | int) else ""

    return MetaError(
        code=as_int(error.get("code")),
        subcode=as_int(error.get("error_subcode")),
        message=text("message"),
        user_title=text("error_user_title"),
        user_message=text("error_user_msg"),
        is_transient=error.get("is_transient") is True,
        fbtrace_id=text("fbtrace_id")[:64] or None,
    )


def as_int(value: Any) -> int | None:
    """Return a JSON value as an integer, or None if it is not one."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def single_line(text: str) -> str:
    """Return the text in one line, without control characters and unpaired surrogates, which cannot be stored."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def _http_error(status: int, usage: Usage) -> GraphError:
    if 200 <= status <= 299:
        return UnexpectedResponseError(
            f"Meta responded with HTTP {status} and something other than a JSON object.",
            http_status=status,
            usage=usage,
        )
    if 300 <= status <= 399:
        return InvalidRequestError(
            f"The host responded with a redirect (HTTP {status}), which is never followed with a token: "
            "set the connection's host to the API's own address, such as https://graph.facebook.com.",
            http_status=status,
            scope=ErrorScope.APP,
            usage=usage,
        )
    if status == 429:
        return RateLimitError(
            "Too many calls (HTTP 429).", retry_after=_RATE_LIMITED_WITHOUT_CODE, http_status=status, usage=usage
        )
    if 400 <= status <= 499 and status != 408:
        # A proxy or a faulty Meta server may respond like this temporarily, a wrong host always does.
        return TransientError(
            f"The host responded with HTTP {status} without a Graph error. If this persists: check the connection's "
            "host, and any proxy.",
            http_status=status,
            usage=usage,
        )
    return TransientError(f"Meta responded with HTTP {status} without a Graph error.", http_status=status, usage=usage)

"""Any JSON that is received can be encoded again. Nothing raises, and ordinary responses are unchanged."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import orjson
import pytest

from airflow_provider_metaconv.files.encoding import encode_json
from airflow_provider_metaconv.graph.errors import UnexpectedResponseError
from airflow_provider_metaconv.graph.limits import read_usage
from airflow_provider_metaconv.graph.response import parse_response
from airflow_provider_metaconv.graph.storable_json import LONGEST_REPAIRED, storable_json


def nested(depth: int, inner: str = '"x"', opening: str = "[", closing: str = "]") -> str:
    return opening * depth + inner + closing * depth


def object_of(depth: int) -> str:
    return nested(depth, opening='{"a":', closing="}")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (rb'{"id": "t_\ud83d"}', {"id": "t_\ufffd"}),
        (rb'{"\udc00": ["\ud83dx\ude00", "\ud83d\ude00"]}', {"\ufffd": ["\ufffdx\ufffd", "\U0001f600"]}),
        (rb'{"a": "\\ud83d", "b": "\ud83d\\"}', {"a": r"\ud83d", "b": "\ufffd" + "\\"}),
        (rb'{"a": "\ud83d\ud83d\ude00"}', {"a": "\ufffd\U0001f600"}),
        (b'{"a": "\xed\xa0\xbd", "b": "\xff"}', {"a": "\ufffd" * 3, "b": "\ufffd"}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": NaN, "b": -Infinity, "c": 1e999}', {"a": None, "b": None, "c": "1e999"}),
        (b'{"a": ' + b"9" * 5000 + b"}", {"a": "9" * 5000}),
        (b'{"a": -' + b"9" * 5000 + b"}", {"a": "-" + "9" * 5000}),
        (b"", None),
        (b"   ", None),
        (b"\x00", None),
        (b'{"a": 1', None),
        (b'{"a": "x}', None),
        (b"[[[", None),
        (b"]" * 9, None),
        (b'"\\', None),
    ],
)
def test_invalid_json_is_repaired_or_none(body: bytes, expected: Any) -> None:
    assert storable_json(body) == expected


@pytest.mark.parametrize("depth", [252, 253, 254, 300, 600])
def test_the_depth_limit_does_not_depend_on_length(depth: int) -> None:
    def inner(filling: str) -> Any:
        return storable_json(f'[{nested(depth)}, "{filling}", {"[], " * 300}0]'.encode())[0]

    assert orjson.dumps(inner("x" * 5 * 1024 * 1024)) == orjson.dumps(inner("x"))


@pytest.mark.parametrize("depth", [1, 99, 100, 101, 200, 253, 300, 600, 1023, 1025, 5000, 200_000])
@pytest.mark.parametrize("make", [nested, object_of, lambda depth: nested(depth, "1", '[{"a":[', "]}]")])
def test_json_nested_too_deep_becomes_text(depth: int, make: Any) -> None:
    deep = make(depth)
    value = storable_json(f'{{"before": [1], "deep": {deep}, "after": {{"id": "x"}}}}'.encode())
    assert value["before"] == [1]
    assert value["after"] == {"id": "x"}
    for encode in (orjson.dumps, msgspec.json.encode, json.dumps, encode_json, repr):
        encode(value)
    inner = value["deep"]
    levels = 0
    while not isinstance(inner, str | int):
        inner = next(iter(inner.values() if isinstance(inner, dict) else inner))
        levels += 1
    assert levels <= 254
    assert inner in ("x", 1) or inner in deep


def test_brackets_in_strings_do_not_count_as_nesting() -> None:
    text = '\\"[{' * 400
    assert storable_json(f'{{"a": "{text}", "b": "\\ud83d"}}'.encode()) == {"a": '"[{' * 400, "b": "\ufffd"}


@pytest.mark.parametrize("piece", [b"[", b"[]", b'"', b"\\", b'"\\', b'[{"a":', b"\\ud83d", b'""'])
def test_a_hostile_body_is_read_within_seconds(piece: bytes) -> None:
    started = time.monotonic()
    storable_json(piece * (1024 * 1024 // len(piece)))
    assert time.monotonic() - started < 10


def test_a_long_body_that_needs_repair_is_refused() -> None:
    odd = rb'{"a": "\ud83d", "b": "' + b"x" * LONGEST_REPAIRED + b'"}'
    with pytest.raises(UnexpectedResponseError):
        parse_response(200, {}, odd)


@pytest.mark.parametrize("body", [b"[" * 100_000, nested(3000).encode(), b"", b"\xff", b"null", b"NaN"])
def test_a_body_that_is_not_an_object_is_refused(body: bytes) -> None:
    with pytest.raises(UnexpectedResponseError):
        parse_response(200, {}, body)


@pytest.mark.parametrize("name", ["code", "message", "error_subcode", "fbtrace_id", "error_user_msg", "is_transient"])
@pytest.mark.parametrize("value", [nested(900), nested(9000), "9" * 5000, "NaN", r'"\ud83d"', '"\\u0000"'])
def test_an_error_of_any_shape_is_an_error(name: str, value: str) -> None:
    from airflow_provider_metaconv.graph.errors import GraphError

    with pytest.raises(GraphError) as caught:
        parse_response(400, {}, f'{{"error": {{"code": 1, "{name}": {value}}}}}'.encode())
    str(caught.value).encode()


@pytest.mark.parametrize("value", [nested(900), nested(9000), "9" * 5000, "NaN", r'"\ud83d"', object_of(900)])
@pytest.mark.parametrize(
    "wanted", ['{{"100": [{{"type": {}}}]}}', '{{"100": [{{"call_count": {}}}]}}', '{{"100": {}}}']
)
def test_a_usage_header_of_any_shape_is_read(value: str, wanted: str) -> None:
    read_usage({"x-business-use-case-usage": wanted.format(value), "x-app-usage": value}, ["100"])

"""Usage headers are read whatever they hold, and never end a run."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_metaconv.graph.limits import read_usage

BUSINESS = "x-business-use-case-usage"


def test_the_fullest_of_all_limits_counts() -> None:
    headers = {
        "x-app-usage": json.dumps({"call_count": 12, "total_cputime": 40, "total_time": 3}),
        BUSINESS: json.dumps({"1": [{"type": "pages", "call_count": 7}, {"type": "messenger", "total_time": 91}]}),
    }
    assert 91 == read_usage(headers).percent


def test_absent_headers_say_nothing() -> None:
    assert (0, 0) == (read_usage({}).percent, read_usage({}).wait_seconds("messenger"))


def test_the_wait_is_that_of_the_bucket_that_was_hit() -> None:
    entries = [
        {"type": "pages", "estimated_time_to_regain_access": 50},
        {"type": "messenger", "estimated_time_to_regain_access": 2.5},
    ]
    usage = read_usage({BUSINESS: json.dumps({"1": entries, "2": [{"type": "instagram"}]})})
    assert (150, 3000, 3000) == tuple(usage.wait_seconds(b) for b in ("messenger", "pages", "instagram"))


@pytest.mark.parametrize(
    "header", ["", "{", "[]", "null", "7", '{"1": 5}', '{"1": [5, null, {}]}', '{"1": [{"x": {}}]}']
)
def test_malformed_headers_count_as_absent(header: str) -> None:
    assert 0 == read_usage({BUSINESS: header, "x-app-usage": header}).percent


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
ENTRY = st.dictionaries(st.sampled_from(["type", "call_count", "total_time", "estimated_time_to_regain_access"]), JSON)


@given(st.dictionaries(st.text(), st.lists(ENTRY) | JSON), JSON)
def test_no_header_can_end_a_run(business: object, app: object) -> None:
    usage = read_usage({BUSINESS: json.dumps(business), "x-app-usage": json.dumps(app)})
    assert usage.percent >= 0
    assert 0 <= usage.wait_seconds("messenger") < float("inf")

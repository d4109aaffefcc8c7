from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_metaconv.emulator import (
    EmulatorServer,
    EmulatorSettings,
    Fault,
    MessageSpec,
    PageSpec,
    ThreadSpec,
    build_world,
    uniform_world,
)

from .emulator_reader import get


class Clock:
    """A clock that only tests advance."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def two_pages() -> Any:
    message = [MessageSpec("2026-11-19T00:00:00Z")]
    return build_world([PageSpec(page_id, [ThreadSpec(messages=message)]) for page_id in ("100", "101")])


def pool(answer: Any) -> dict[str, Any]:
    ((_, (row,)),) = json.loads(answer.headers["x-business-use-case-usage"]).items()
    return dict(row)


def test_calls_beyond_two_per_second_and_page_get_a_613() -> None:
    clock = Clock()
    with EmulatorServer(two_pages(), EmulatorSettings(calls_per_second=2, clock=clock)) as server:
        for _ in range(60):
            clock.now += 0.5
            assert get(server, "100/conversations").status_code == 200
        burst = [get(server, "100/conversations") for _ in range(3)]
        assert [(each.status_code, each.json()["error"]["code"]) for each in burst[1:]] == [(400, 613)] * 2
        assert get(server, "101/conversations", server.page_token("101")).status_code == 200
        assert get(server, "100").status_code == 200
        clock.now += 10
        assert get(server, "100/conversations").status_code == 200
        assert server.statistics()["max_calls_in_10_seconds"]["100"] == 24


def test_a_page_and_its_instagram_account_have_separate_limits() -> None:
    clock = Clock()
    with EmulatorServer(two_pages(), EmulatorSettings(calls_per_second=2, clock=clock)) as server:
        for platform in ("MESSENGER", "INSTAGRAM"):
            answers = [get(server, f"100/conversations?platform={platform}").status_code for _ in range(22)]
            assert answers == [*[200] * 21, 400]


def test_the_messenger_limit_blocks_and_reports_for_how_long() -> None:
    clock = Clock()
    settings = EmulatorSettings(messenger_calls=(10, 600), clock=clock)
    with EmulatorServer(two_pages(), settings) as server:
        headers = [get(server, "100/conversations").headers for _ in range(10)]
        assert json.loads(headers[0]["x-business-use-case-usage"])["100"][0]["call_count"] == 10
        clock.now += 100
        blocked = get(server, "100/conversations")
        assert (blocked.status_code, blocked.json()["error"]["code"]) == (400, 80006)
        assert tuple(pool(blocked)[key] for key in ("type", "call_count", "estimated_time_to_regain_access")) == (
            "messenger",
            100,
            9,
        )
        assert [{key: row[key] for key in ("page_id", "scope", "code")} for row in server.statistics()["blocks"]] == [
            {"page_id": "100", "scope": "conversations", "code": 80006}
        ]
        clock.now += 499
        last = get(server, "100/conversations")
        assert (last.json()["error"]["code"], pool(last)["estimated_time_to_regain_access"]) == (80006, 1)
        assert get(server, "101/conversations", server.page_token("101")).status_code == 200
        assert get(server, "100").status_code == 200
        clock.now += 2
        assert get(server, "100/conversations").status_code == 200
        assert server.statistics()["blocks"] == []


def test_the_app_limit_is_a_403_with_code_4_for_all_pages() -> None:
    clock = Clock()
    with EmulatorServer(two_pages(), EmulatorSettings(app_calls=(3, 60), clock=clock)) as server:
        assert [get(server, "100").status_code for _ in range(3)] == [200] * 3
        answer = get(server, "101/conversations", server.page_token("101"))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, 4)
        assert json.loads(answer.headers["x-app-usage"])["call_count"] == 100
        clock.now += 61
        assert get(server, "100").status_code == 200


@pytest.mark.parametrize(
    ("code", "same_page", "page_node", "other_page"),
    [
        ("80006", 400, 200, 200),
        ("613", 400, 200, 200),
        ("32", 400, 400, 200),
        ("80001", 400, 400, 200),
        ("4", 403, 403, 403),
    ],
)
def test_a_rate_limit_fault_with_block_seconds_blocks_until_it_ends(
    code: str, same_page: int, page_node: int, other_page: int
) -> None:
    clock = Clock()
    with EmulatorServer(two_pages(), EmulatorSettings(clock=clock)) as server:
        server.add_fault(Fault(code, times=1, block_seconds=90))
        first = get(server, "100/conversations")
        assert int(code) == first.json()["error"]["code"]
        clock.now += 45

        def calls() -> list[int]:
            other = get(server, "101/conversations", server.page_token("101"))
            return [get(server, "100/conversations").status_code, get(server, "100").status_code, other.status_code]

        assert calls() == [same_page, page_node, other_page]
        if code != "4":
            assert pool(first)["estimated_time_to_regain_access"] == 2
            assert pool(get(server, "100/conversations"))["estimated_time_to_regain_access"] == 1
        clock.now += 45
        assert calls() == [200, 200, 200]


def test_regain_minutes_go_into_the_header_and_do_not_block(small: EmulatorServer) -> None:
    small.add_fault(Fault("80006", times=1, regain_minutes=7))
    answer = get(small, "100/conversations")
    assert (pool(answer)["call_count"], pool(answer)["estimated_time_to_regain_access"]) == (100, 7)
    assert "x-business-use-case-usage" not in get(small, "100/conversations").headers


def test_usage_headers_report_counted_calls_and_are_absent_at_low_usage() -> None:
    with EmulatorServer(uniform_world(2, 1), EmulatorSettings(messenger_calls=(50, 60), app_calls=(100, 60))) as server:
        first, second = get(server, "100/conversations"), get(server, "100/conversations")
        assert "x-business-use-case-usage" not in first.headers
        assert (pool(second)["type"], pool(second)["call_count"]) == ("messenger", 4)
        assert "x-app-usage" not in second.headers
        wrong = get(server, "100/conversations", fields="x")
        assert (pool(wrong)["call_count"], json.loads(wrong.headers["x-app-usage"])["call_count"]) == (6, 3)


def test_with_a_usage_floor_of_zero_every_response_has_a_usage_type() -> None:
    with EmulatorServer(uniform_world(2, 1), EmulatorSettings(usage_floor=0)) as server:
        assert pool(get(server, "100"))["type"] == "pages"
        assert pool(get(server, "100/conversations", platform="instagram"))["type"] == "messenger"


def test_a_usage_fault_changes_only_the_header(small: EmulatorServer) -> None:
    small.add_fault(Fault("usage", percent=95, regain_minutes=0))
    answer = get(small, "100/conversations")
    assert (answer.status_code, pool(answer)["call_count"]) == (200, 95)


def test_every_response_has_version_and_trace_headers(small: EmulatorServer) -> None:
    for answer in (get(small, "100"), get(small, "100/conversations", fields="x")):
        assert answer.headers["facebook-api-version"] == "v26.0"
        assert "x-fb-trace-id" in answer.headers

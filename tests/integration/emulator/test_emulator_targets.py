"""Faults that depend on the requested data and on the time."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

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

NESTED = "id,messages.limit(5){id,message}"
SPAM_AND_INBOX = [
    PageSpec(
        threads=[
            ThreadSpec(folder="spam", messages=[MessageSpec("2026-11-19T00:00:00+00:00")]),
            ThreadSpec(messages=[MessageSpec("2026-11-19T00:00:00+00:00")]),
        ]
    )
]


def ids(server: EmulatorServer) -> list[str]:
    return [row["id"] for row in get(server, "100/conversations", limit=200).json()["data"]]


def codes(server: EmulatorServer, path: str, *calls: dict[str, Any]) -> list[int]:
    return [get(server, path, **parameters).status_code for parameters in calls]


@pytest.mark.parametrize(
    "name", ["10", "100/33", "200", "230/consent", "551", "2", "9000001", "html_500", "old_style_error"]
)
def test_a_fault_of_one_conversation_affects_every_direct_read(small: EmulatorServer, name: str) -> None:
    first, second = ids(small)[:2]
    healthy = get(small, second).text
    small.add_fault(Fault(name, thread_id=first))
    message = small.world.threads[first].messages[0].id
    refused = [get(small, path) for path in (first, f"{first}/messages", message)]
    assert not any("updated_time" in answer.text or "created_time" in answer.text for answer in refused)
    assert get(small, second).text == healthy
    assert get(small, "100/conversations", fields=NESTED).status_code == 200


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        (["alone"], [500, 200, 200, 200]),
        (["nested_lists"], [200, 500, 200, 200]),
        (["lists"], [200, 500, 500, 200]),
        (["alone", "lists"], [500, 500, 500, 200]),
    ],
)
def test_reach_determines_the_calls_that_fail(small: EmulatorServer, reach: list[str], expected: list[int]) -> None:
    thread = ids(small)[3]
    requests.post(
        f"{small.url}/_emulator/faults", json={"name": "html_500", "thread_id": thread, "reach": reach}, timeout=5
    ).raise_for_status()
    found = [
        get(small, thread).status_code,
        *codes(small, "100/conversations", {"limit": 5, "fields": NESTED}, {"limit": 5}, {"limit": 3}),
    ]
    assert found == expected


@pytest.mark.parametrize(
    ("name", "error", "expected"),
    [("poisoned_thread", "html_504", 504), ("poisoned_thread", "-2/2534084", 400), ("poisoned_thread", "2", 500)],
)
def test_a_poisoned_thread_can_return_any_error(small: EmulatorServer, name: str, error: str, expected: int) -> None:
    small.add_fault(Fault(name, thread_id=ids(small)[3], error=error))
    assert codes(small, "100/conversations", {"limit": 5, "fields": NESTED}, {"limit": 5}) == [expected, 200]


def test_a_list_that_contains_the_conversation_hangs(small: EmulatorServer) -> None:
    first = get(small, "100/conversations", limit=1).json()
    small.add_fault(Fault("hang", thread_id=first["data"][0]["id"], reach=["lists"]))
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{small.url}/100/conversations?access_token={small.page_token()}", timeout=0.2)
    rest = get(small, "100/conversations", limit=3, after=first["paging"]["cursors"]["after"])
    assert len(rest.json()["data"]) == 3


@pytest.mark.parametrize(("name", "expected"), [("1", 500), ("-2/2534084", 400), ("html_504", 504), ("100/limit", 400)])
def test_an_error_can_depend_on_the_limit_alone(small: EmulatorServer, name: str, expected: int) -> None:
    small.add_fault(Fault(name, limit_over=4))
    calls: list[dict[str, Any]] = [{"limit": 5}, {"limit": 4, "fields": NESTED}, {"limit": 4}, {}]
    assert codes(small, "100/conversations", *calls) == [expected, 200, 200, expected]


def test_the_connection_is_reset_only_for_large_limits(small: EmulatorServer) -> None:
    small.add_fault(Fault("reset_before", limit_over=4))
    with pytest.raises(requests.ConnectionError):
        get(small, "100/conversations", limit=5)
    assert get(small, "100/conversations", limit=4).status_code == 200


def test_the_error_for_a_large_limit_names_the_maximum(small: EmulatorServer) -> None:
    small.add_fault(Fault("100/limit", limit_over=50))
    error = get(small, "100/conversations", limit=51).json()["error"]
    assert error["message"] == "(#100) The 'limit' parameter should not exceed 50"


def test_an_error_can_depend_on_the_nested_limit(small: EmulatorServer) -> None:
    small.add_fault(Fault("1", nested_limit_over=5))
    calls = [{"fields": f"messages.limit({limit}){{id}}"} for limit in (6, 5)]
    assert codes(small, "100/conversations", *calls, {"limit": 200}) == [500, 200, 200]
    assert codes(small, ids(small)[0], *calls) == [500, 200]


def test_an_error_can_depend_on_the_limit_of_the_messages_edge(small: EmulatorServer) -> None:
    small.add_fault(Fault("1", limit_over=10, route="messages"))
    assert codes(small, f"{ids(small)[0]}/messages", {"limit": 11}, {"limit": 10}) == [500, 200]


@pytest.mark.parametrize(
    ("name", "field", "text"),
    [
        ("100/field", "folder", "(#100) Tried accessing nonexisting field (folder) on node type (UnifiedThread)"),
        ("100/field", "tags", "(#100) Tried accessing nonexisting field (tags) on node type (UnifiedMessage)"),
        ("100/field", "email", "(#100) Tried accessing nonexisting field (email) on node type (User)"),
        ("200/field", "folder", "(#200) Insufficient permission to access field (folder) on node type (UnifiedThread)"),
        ("10/field", "tags", "(#10) Insufficient permission to access field (tags) on node type (UnifiedMessage)"),
        ("12", "tags", "(#12) tags field is deprecated for versions v2.4 and higher"),
    ],
)
def test_a_field_is_rejected_at_any_depth(small: EmulatorServer, name: str, field: str, text: str) -> None:
    small.add_fault(Fault(name, field=field))
    asked = {"fields": "id,folder,participants{email},messages{id,tags}"}
    assert get(small, "100/conversations", **asked).json()["error"]["message"] == text
    rest = {"fields": "id,participants{name},messages{id,message}"}
    assert get(small, "100/conversations", **rest).status_code == 200


def test_a_fault_of_one_folder() -> None:
    with EmulatorServer(build_world(SPAM_AND_INBOX)) as server:
        server.add_fault(Fault("10", folder="spam"))
        calls = [{"folder": "spam"}, {"folder": "SPAM"}, {"folder": "inbox"}, {}, {"platform": "instagram"}]
        assert codes(server, "100/conversations", *calls) == [400, 400, 200, 200, 200]


def test_the_page_node_is_rejected_while_accounts_returns_the_token(small: EmulatorServer) -> None:
    small.add_fault(Fault("10/public_content", route="page", field="access_token"))
    token = small.user_token
    error = get(small, "100", token, fields="id,access_token").json()["error"]
    assert (error["code"], get(small, "100", token, fields="id,name").status_code) == (10, 200)
    given = get(small, "me/accounts", token).json()["data"][0]["access_token"]
    assert given == small.page_token()


@pytest.mark.parametrize(("public", "expected"), [(False, 400), (True, 200)])
def test_another_pages_token_reads_a_public_page_but_not_its_messages(public: bool, expected: int) -> None:
    world = build_world([PageSpec("100"), PageSpec("101")])
    with EmulatorServer(world, EmulatorSettings(pages_are_public=public)) as server:
        answer = get(server, "100", server.page_token("101"), fields="id,name,access_token")
        assert (answer.status_code, "access_token" in answer.json()) == (expected, False)
        refused = get(server, "100/conversations", server.page_token("101"))
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, 200)


def test_an_outage_affects_every_call_until_it_ends() -> None:
    now = [1_000.0]
    with EmulatorServer(uniform_world(threads=3), EmulatorSettings(clock=lambda: now[0])) as server:
        server.add_fault(Fault("1/99", from_seconds=60, until_seconds=7_260))
        found = []
        for seconds in (0, 59, 1, 7_199, 1):
            now[0] += seconds
            found += [get(server, "100/conversations").status_code, get(server, "100").status_code]
        assert found == [200, 200, 200, 200, 500, 500, 500, 500, 200, 200]


def test_an_error_has_the_title_and_message_of_its_fault(small: EmulatorServer) -> None:
    small.add_fault(Fault("200", text="(#200) No", user_title="Not yet", user_message="Ask for access."))
    error = get(small, "100/conversations").json()["error"]
    assert [error[name] for name in ("code", "message", "error_user_title", "error_user_msg")] == [
        200,
        "(#200) No",
        "Not yet",
        "Ask for access.",
    ]


@pytest.mark.parametrize("name", ["10/2018336", "200/2069030", "-2/2534084", "551"])
def test_some_errors_have_a_user_title_and_message(small: EmulatorServer, name: str) -> None:
    small.add_fault(Fault(name))
    error = get(small, "100/conversations").json()["error"]
    assert all(error[text] for text in ("error_user_title", "error_user_msg"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [200, 200, 400, 400, 200, 200]),
        ({"ids_too": True}, [200, 200, 400, 400, 400, 200]),
        ({"reach": ["alone", "nested_lists"]}, [200, 200, 400, 400, 200, 400]),
    ],
)
def test_older_instagram_messages_can_be_an_error(options: dict[str, Any], expected: list[int]) -> None:
    with EmulatorServer(uniform_world(threads=2, messages_per_thread=23, platform="INSTAGRAM")) as server:
        thread = get(server, "100/conversations", platform="INSTAGRAM").json()["data"][0]["id"]
        full = {"fields": "id,message"}
        first = get(server, f"{thread}/messages", limit=20, **full).json()
        after = first["paging"]["cursors"]["after"]
        server.add_fault(Fault("beyond_detailed", **options))
        found = [
            *codes(server, f"{thread}/messages", {"limit": 20, **full}),
            *codes(server, thread, {"fields": "messages.limit(20){id,message}"}),
            *codes(server, f"{thread}/messages", {"limit": 21, **full}, {"after": after, **full}, {"after": after}),
            *codes(server, "100/conversations", {"platform": "INSTAGRAM", "fields": "messages.limit(21){id,message}"}),
        ]
        assert found == expected


def test_usage_of_other_objects_comes_before_the_pages_own(small: EmulatorServer) -> None:
    small.add_fault(Fault("foreign_usage", object_id="900", regain_minutes=1_380))
    small.add_fault(Fault("foreign_usage", object_id="100", pool="pages", percent=97))
    small.add_fault(Fault("80006", times=1))
    small.add_fault(Fault("usage", percent=12, after_calls=1))
    assert [_usage(small) for _ in range(2)] == [
        [("900", "ads_management", 100, 1_380), ("100", "pages", 97, 0), ("100", "messenger", percent, 0)]
        for percent in (100, 12)
    ]


def _usage(server: EmulatorServer) -> list[tuple[str, str, int, int]]:
    header = get(server, "100/conversations").headers["x-business-use-case-usage"]
    return [
        (object_id, row["type"], row["call_count"], row["estimated_time_to_regain_access"])
        for object_id, pools in json.loads(header).items()
        for row in pools
    ]


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "page_size"},
        {"name": "page_size", "size": 0},
        {"name": "2", "edge": "likes"},
        {"name": "2", "reach": ["everywhere"]},
        {"name": "too_much_data", "error": "empty_tail"},
        {"name": "too_much_data", "error": "poisoned_thread"},
        {"name": "2", "match": "("},
        {"name": "empty_tail", "error": "2"},
        {"name": "unix_times", "every_row": 0},
    ],
)
def test_an_invalid_fault_is_rejected_in_one_line(small: EmulatorServer, bad: dict[str, Any]) -> None:
    answer = requests.post(f"{small.url}/_emulator/faults", json=bad, timeout=5)
    assert (answer.status_code, "\n" in answer.json()["error"]) == (400, False)

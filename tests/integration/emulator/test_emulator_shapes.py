"""Faults that change the size of pages and how lists end."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from airflow_provider_metaconv.emulator import EmulatorServer, EmulatorSettings, Fault, uniform_world

from .emulator_reader import get, rows, walk


def sizes(server: EmulatorServer, path: str, calls: int = 20, **parameters: Any) -> list[int]:
    """Follow ``next`` for at most so many calls, and return the number of rows on each page."""
    found = []
    for _ in range(calls):
        body = get(server, path, **parameters).json()
        found.append(len(body["data"]))
        following = body.get("paging", {}).get("next")
        if following is None:
            break
        parameters = dict(parse_qsl(urlsplit(following).query))
        parameters.pop("access_token")
    return found


def newest(server: EmulatorServer) -> str:
    return str(get(server, "100/conversations", limit=1).json()["data"][0]["id"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("empty_tail", [15, 15, 0]), ("empty_self_tail", [15, 15, 0, 0, 0]), ("self_tail", [15, 15, 15, 15, 15])],
)
def test_a_list_ends_as_the_fault_says(small: EmulatorServer, name: str, expected: list[int]) -> None:
    small.add_fault(Fault(name))
    assert sizes(small, "100/conversations", calls=5, limit=15) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("empty_tail", [30, 0]), ("empty_self_tail", [30, 0, 0]), ("self_tail", [30, 30, 30])],
)
def test_a_list_of_one_page_ends_as_the_fault_says(small: EmulatorServer, name: str, expected: list[int]) -> None:
    small.add_fault(Fault(name))
    assert sizes(small, "100/conversations", calls=3, limit=200) == expected


@pytest.mark.parametrize(("name", "repeats"), [("empty_self_tail", True), ("self_tail", True), ("empty_tail", False)])
def test_a_page_whose_next_is_itself_repeats_its_cursor(small: EmulatorServer, name: str, repeats: bool) -> None:
    small.add_fault(Fault(name))
    after, seen = None, []
    for _ in range(4):
        parameters: dict[str, Any] = {} if after is None else {"after": after}
        paging = get(small, "100/conversations", limit=30, **parameters).json().get("paging", {})
        after = paging.get("cursors", {}).get("after")
        if after is None:
            break
        seen.append(after)
    assert (len(set(seen)) < len(seen)) == repeats


@pytest.mark.parametrize("name", ["empty_tail", "empty_self_tail", "self_tail", "page_size", "first_page"])
def test_shape_faults_do_not_change_an_empty_list(small: EmulatorServer, name: str) -> None:
    small.add_fault(Fault(name, size=1))
    assert get(small, "100/conversations", folder="spam").json() == {"data": []}


def test_lists_of_messages_end_as_the_fault_says(small: EmulatorServer) -> None:
    small.add_fault(Fault("empty_tail", edge="messages"))
    thread = newest(small)
    assert sizes(small, f"{thread}/messages", limit=2) == [2, 1, 0]
    nested = get(small, thread, fields="messages.limit(5){id}").json()["messages"]
    assert (len(nested["data"]), "next" in nested["paging"]) == (3, True)
    assert requests.get(nested["paging"]["next"], timeout=5).json() == {"data": []}
    assert sizes(small, "100/conversations", limit=30) == [30]


def test_the_end_of_a_single_conversation_can_be_changed(small: EmulatorServer) -> None:
    thread = newest(small)
    small.add_fault(Fault("self_tail", thread_id=thread))
    listed = get(small, "100/conversations", limit=30, fields="messages.limit(5){id}").json()
    ids = [row["id"] for row in listed["data"] if "next" in row["messages"]["paging"]]
    assert (ids, "next" in listed["paging"]) == ([thread], False)


@pytest.mark.parametrize(("size", "expected"), [(1, [1] * 20), (7, [7, 7, 7, 7, 2]), (200, [25, 5])])
def test_page_size_overrides_the_limit(small: EmulatorServer, size: int, expected: list[int]) -> None:
    small.add_fault(Fault("page_size", size=size))
    assert sizes(small, "100/conversations", limit=25) == expected


def test_only_the_first_page_has_another_size(small: EmulatorServer) -> None:
    small.add_fault(Fault("first_page", size=1))
    assert sizes(small, "100/conversations", limit=25) == [1, 25, 4]


@pytest.mark.parametrize("edge", ["conversations", "messages"])
def test_page_size_loses_no_rows_and_next_repeats_the_limit(small: EmulatorServer, edge: str) -> None:
    small.add_fault(Fault("page_size", size=2, edge=edge))
    found = [message["id"] for _, messages in walk(small, limit=30, nested=3) for message in messages]
    assert (frozenset(found), len(found)) == (small.ground_truth().message_ids, 90)
    body = get(small, "100/conversations", limit=29, fields="messages.limit(3){id}").json()
    assert len(body["data"]) == (2 if edge == "conversations" else 29)
    assert {len(row["messages"]["data"]) for row in body["data"]} == {2 if edge == "messages" else 3}
    assert "limit=29" in body["paging"]["next"]


def test_before_and_after_can_be_the_same_cursor(small: EmulatorServer) -> None:
    small.add_fault(Fault("same_cursors"))
    cursors = get(small, "100/conversations", limit=5).json()["paging"]["cursors"]
    assert cursors["before"] == cursors["after"]
    assert len(rows(small, "100/conversations", limit=5)) == 30


@pytest.mark.parametrize("nested", [True, False])
def test_messages_are_paged_by_time(small: EmulatorServer, nested: bool) -> None:
    small.add_fault(Fault("time_paging"))
    thread = newest(small)
    fields = "id,created_time"
    body = get(small, f"{thread}/messages", limit=2, fields=fields).json()
    if nested:
        body = get(small, thread, fields=f"messages.limit(2){{{fields}}}").json()["messages"]
    query = dict(parse_qsl(urlsplit(body["paging"]["next"]).query))
    assert ("cursors" in body["paging"], {"until", "__paging_token"} <= query.keys(), "after" in query) == (
        False,
        True,
        False,
    )
    query.pop("access_token")
    rest = get(small, f"{thread}/messages", **query).json()
    found = [row["id"] for row in body["data"] + rest["data"]]
    assert (len(found), set(found) <= small.ground_truth().message_ids, "next" in rest["paging"]) == (3, True, False)


def test_until_alone_includes_its_second(small: EmulatorServer) -> None:
    small.add_fault(Fault("time_paging"))
    thread = newest(small)
    first = get(small, f"{thread}/messages", limit=2).json()
    until = dict(parse_qsl(urlsplit(first["paging"]["next"]).query))["until"]
    assert get(small, f"{thread}/messages", until=until).json()["data"][0] == first["data"][1]


def test_previous_pages_by_time(small: EmulatorServer) -> None:
    small.add_fault(Fault("time_paging"))
    thread = newest(small)
    first = get(small, f"{thread}/messages", limit=2).json()
    second = requests.get(first["paging"]["next"], timeout=5).json()
    assert requests.get(second["paging"]["previous"], timeout=5).json()["data"] == first["data"]


def test_an_invalid_paging_token_is_an_error(small: EmulatorServer) -> None:
    answer = get(small, f"{newest(small)}/messages", until="1", __paging_token="enc_x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 100)


def test_shapes_add_up_and_end_when_they_should() -> None:
    now = [1_000.0]
    with EmulatorServer(uniform_world(threads=6), EmulatorSettings(clock=lambda: now[0])) as server:
        server.add_fault(Fault("page_size", size=3, until_seconds=60))
        server.add_fault(Fault("empty_tail"))
        assert sizes(server, "100/conversations") == [3, 3, 0]
        now[0] += 60
        assert sizes(server, "100/conversations") == [6, 0]

"""Faults that replace or change a response."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from airflow_provider_metaconv.emulator import EmulatorServer, Fault

from .emulator_reader import get, rows

NESTED = "id,updated_time,messages.limit(5){id,created_time}"


def listed(server: EmulatorServer, **parameters: Any) -> dict[str, Any]:
    found: dict[str, Any] = get(server, "100/conversations", **{"limit": 5, "fields": NESTED, **parameters}).json()
    return found


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [
        ("old_style_error", 200, '{"error_code":1,"error_msg":"An unknown error occurred"}'),
        ("empty_object", 200, "{}"),
    ],
)
def test_a_200_without_data(small: EmulatorServer, name: str, status: int, text: str) -> None:
    small.add_fault(Fault(name, times=1))
    answer = get(small, "100/conversations")
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (
        status,
        text,
        "application/json; charset=UTF-8",
    )
    assert get(small, "100/conversations").json()["data"]


@pytest.mark.parametrize(
    ("name", "status"), [("html_400", 400), ("html_500", 500), ("html_502", 502), ("html_504", 504)]
)
def test_an_html_page_is_returned(small: EmulatorServer, name: str, status: int) -> None:
    small.add_fault(Fault(name, times=1))
    answer = get(small, "100/conversations")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert answer.text.startswith("<!DOCTYPE html>")


def test_another_object_is_returned(small: EmulatorServer) -> None:
    thread = listed(small)["data"][0]["id"]
    small.add_fault(Fault("foreign_object", route="conversation"))
    small.add_fault(Fault("foreign_object", object_id="t_7", route="conversations"))
    assert get(small, thread, fields=NESTED).json()["id"] == "t_1000000000000000"
    assert listed(small) == {"id": "t_7"}
    assert get(small, "100").json()["id"] == "100"


def test_one_row_of_a_list_has_another_id(small: EmulatorServer) -> None:
    ids = [row["id"] for row in listed(small)["data"]]
    small.add_fault(Fault("foreign_object", thread_id=ids[1], object_id="t_7"))
    assert [row["id"] for row in listed(small)["data"]] == [ids[0], "t_7", *ids[2:]]


def test_messages_are_missing_from_one_or_all_conversations(small: EmulatorServer) -> None:
    first = listed(small)["data"][0]["id"]
    small.add_fault(Fault("missing_messages", thread_id=first, times=2))
    assert [row["id"] for row in listed(small)["data"] if "messages" not in row] == [first]
    assert "messages" not in get(small, first, fields=NESTED).json()
    small.add_fault(Fault("missing_messages"))
    assert not any("messages" in row for row in listed(small)["data"])


def test_lists_without_data(small: EmulatorServer) -> None:
    first = listed(small)["data"][0]["id"]
    small.add_fault(Fault("missing_data", edge="messages"))
    assert all("data" not in row["messages"] and "paging" in row["messages"] for row in listed(small)["data"])
    assert "data" not in get(small, f"{first}/messages").json()
    small.clear_faults()
    small.add_fault(Fault("missing_data", edge="conversations"))
    assert list(listed(small)) == ["paging"]
    assert "data" in get(small, f"{first}/messages").json()


def test_a_null_among_the_rows(small: EmulatorServer) -> None:
    plain = listed(small)["data"]
    small.add_fault(Fault("null_row", edge="conversations", times=1))
    small.add_fault(Fault("null_row", edge="messages", thread_id=plain[0]["id"], position=0))
    found = listed(small)["data"]
    assert found[2] is None
    messages = [row["messages"]["data"] for row in found if row]
    assert messages[0] == [None, *plain[0]["messages"]["data"]]
    assert messages[1:] == [row["messages"]["data"] for row in plain[1:]]
    assert get(small, f"{plain[0]['id']}/messages").json()["data"][0] is None


def test_every_row_is_null(small: EmulatorServer) -> None:
    small.add_fault(Fault("null_rows", edge="conversations", times=1))
    assert listed(small)["data"] == [None] * 5
    assert None not in listed(small)["data"]


def test_times_are_unix_seconds(small: EmulatorServer) -> None:
    plain = listed(small)["data"]
    small.add_fault(Fault("unix_times", times=1))
    found = listed(small)["data"]
    expected = [int(datetime.fromisoformat(row["updated_time"]).timestamp()) for row in plain]
    assert [row["updated_time"] for row in found] == expected
    assert {type(row["created_time"]) for each in found for row in each["messages"]["data"]} == {int}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"every_row": 2}, [int, str, int, str, int]),
        ({"edge": "messages"}, [str] * 5),
        ({"thread_id": "t_2"}, [str] * 5),
    ],
)
def test_selected_times_are_unix_seconds(small: EmulatorServer, options: dict[str, Any], expected: list[type]) -> None:
    small.add_fault(Fault("unix_times", **options))
    found = get(small, "100/conversations", limit=5).json()["data"]
    assert [type(row["updated_time"]) for row in found] == expected


@pytest.mark.parametrize(("position", "expected"), [(None, 2), (-1, 4), (4, 4), (99, 4), (0, 0)])
def test_one_row_has_a_stale_updated_time(small: EmulatorServer, position: int | None, expected: int) -> None:
    plain = listed(small)["data"]
    small.add_fault(Fault("stale_updated_time", position=position, seconds=3_600))
    found = listed(small)["data"]
    changed = [number for number, (one, other) in enumerate(zip(plain, found, strict=True)) if one != other]
    assert changed == [expected]
    row = found[expected]
    assert row["updated_time"] < row["messages"]["data"][0]["created_time"]


def test_one_conversation_has_a_stale_updated_time_everywhere(small: EmulatorServer) -> None:
    first = listed(small)["data"][0]
    small.add_fault(Fault("stale_updated_time", thread_id=first["id"]))
    alone = get(small, first["id"], fields="updated_time").json()
    assert alone["updated_time"] == listed(small)["data"][0]["updated_time"] < first["updated_time"]


def test_changes_add_up(small: EmulatorServer) -> None:
    for name in ("null_row", "unix_times", "stale_updated_time", "unordered_page", "no_paging_next"):
        small.add_fault(Fault(name, edge="conversations"))
    found = listed(small)
    assert (len(found["data"]), "next" in found["paging"], found["data"].count(None)) == (6, False, 1)
    assert small.statistics()["faults"] == dict.fromkeys(
        ("null_row", "unix_times", "stale_updated_time", "unordered_page", "no_paging_next"), 1
    )


def test_a_failed_call_does_not_trigger_changes(small: EmulatorServer) -> None:
    small.add_fault(Fault("2", times=1))
    small.add_fault(Fault("null_row", times=1, edge="conversations"))
    assert get(small, "100/conversations").status_code == 500
    assert None in rows(small, "100/conversations")

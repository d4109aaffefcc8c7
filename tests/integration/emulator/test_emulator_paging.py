from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_metaconv.emulator import (
    EmulatorServer,
    EmulatorSettings,
    LiveTraffic,
    World,
    WorldSettings,
    uniform_world,
)

from .emulator_reader import get, rows, walk


@pytest.fixture(scope="module")
def walked() -> Iterator[EmulatorServer]:
    """A world for tests that read all of it many times."""
    with EmulatorServer(World.generate(WorldSettings(pages=1, messages=250))) as server:
        yield server


@settings(max_examples=20, deadline=None)
@given(limit=st.integers(1, 250), nested=st.integers(1, 150), platform=st.sampled_from(["MESSENGER", "instagram"]))
def test_reading_all_pages_finds_everything_once_at_any_page_size(
    walked: EmulatorServer, limit: int, nested: int, platform: str
) -> None:
    found = [row["id"] for _, messages in walk(walked, "100", platform, limit, nested) for row in messages]
    assert walked.ground_truth("100", platform).message_ids == set(found)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(("limit", "expected"), [(None, 25), (1, 1), (200, 200), (1_000, 200)])
def test_a_list_has_25_rows_by_default_and_at_most_200(limit: int | None, expected: int) -> None:
    with EmulatorServer(uniform_world(threads=300, messages_per_thread=1)) as server:
        parameters: dict[str, Any] = {} if limit is None else {"limit": limit}
        assert len(get(server, "100/conversations", **parameters).json()["data"]) == expected


@pytest.mark.parametrize(("limit", "expected"), [(None, 25), (3, 3), (400, 100)])
def test_nested_messages_are_25_by_default_and_at_most_100(limit: int | None, expected: int) -> None:
    with EmulatorServer(uniform_world(threads=1, messages_per_thread=130)) as server:
        argument = "" if limit is None else f".limit({limit})"
        row = get(server, "100/conversations", fields=f"messages{argument}{{id}}").json()["data"][0]
        assert len(row["messages"]["data"]) == expected
        assert "next" in row["messages"]["paging"]
        direct: dict[str, Any] = {} if limit is None else {"limit": limit}
        assert len(get(server, f"{row['id']}/messages", **direct).json()["data"]) == expected


def test_a_list_is_newest_first_with_id_and_updated_time(varied: EmulatorServer) -> None:
    found = rows(varied, "100/conversations")
    times = [row["updated_time"] for row in found]
    assert sorted(times, reverse=True) == times
    assert {tuple(row) for row in found} == {("id", "updated_time")}


def test_messages_are_newest_first_with_id_and_created_time(small: EmulatorServer) -> None:
    thread = get(small, "100/conversations").json()["data"][0]
    found = rows(small, f"{thread['id']}/messages", limit=2)
    assert sorted((row["created_time"] for row in found), reverse=True) == [row["created_time"] for row in found]
    assert {tuple(row) for row in found} == {("id", "created_time")}
    assert thread["updated_time"] == found[0]["created_time"]


def test_next_includes_the_token_and_can_be_followed_unchanged(small: EmulatorServer) -> None:
    url, found = f"{small.url}/v26.0/100/conversations?limit=7&access_token={small.page_token()}", []
    while url:
        body = requests.get(url, timeout=5).json()
        found += body["data"]
        url = body["paging"].get("next")
        if url:
            query = parse_qs(urlsplit(url).query)
            assert (["0"], [small.page_token()], ["7"]) == (query["pretty"], query["access_token"], query["limit"])
    assert 30 == len({row["id"] for row in found}) == len(found)
    assert set(body["paging"]["cursors"]) == {"before", "after"}


def test_before_returns_the_previous_page(small: EmulatorServer) -> None:
    first = get(small, "100/conversations", limit=4).json()
    second = get(small, "100/conversations", limit=4, after=first["paging"]["cursors"]["after"]).json()
    back = get(small, "100/conversations", limit=4, before=second["paging"]["cursors"]["before"]).json()
    assert first["data"] == back["data"]
    assert "previous" in second["paging"]
    assert "previous" not in back["paging"]


def test_an_empty_list_has_no_paging(small: EmulatorServer) -> None:
    assert get(small, "100/conversations", platform="instagram").json() == {"data": []}
    assert get(small, "100/conversations", folder="spam").json() == {"data": []}
    assert get(small, "100/conversations", user_id="1").json() == {"data": []}


def test_a_thread_with_a_new_message_moves_and_no_other_row_shifts(small: EmulatorServer) -> None:
    everything = [row["id"] for row in rows(small, "100/conversations")]
    first = get(small, "100/conversations", limit=10).json()
    small.world.post(everything[20])
    rest = rows(small, "100/conversations", limit=10, after=first["paging"]["cursors"]["after"])
    assert everything[10:20] + everything[21:] == [row["id"] for row in rest]
    again = [row["id"] for row in get(small, "100/conversations", limit=100).json()["data"]]
    assert again == [everything[20], *everything[:20], *everything[21:]]


def test_messages_can_arrive_while_a_client_reads() -> None:
    plan = LiveTraffic(every_calls=2, messages=3, times=4, platform="MESSENGER")
    with EmulatorServer(uniform_world(threads=40), EmulatorSettings(live_traffic=plan)) as server:
        before = server.ground_truth().messages
        found = {row["id"] for row in rows(server, "100/conversations", limit=5)}
        assert before + 12 == server.ground_truth().messages
        assert len(found) < len(server.world.threads)


@pytest.mark.parametrize("cursor", ["abc", "QVFIabc", "MAZDZD", "QVFIZA", "🙂"])
@pytest.mark.parametrize("path", ["100/conversations", "{thread}/messages"])
def test_an_invalid_cursor_is_an_error(small: EmulatorServer, path: str, cursor: str) -> None:
    path = path.format(thread=next(iter(small.world.threads)))
    answer = get(small, path, after=cursor)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 100)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"fields": "messages.limit(0)"}, "limit"),
        ({"platform": "whatsapp"}, "platform"),
        ({"folder": "attic"}, "folder"),
        ({"fields": "x"}, "(#100) Tried accessing nonexisting field (x) on node type (UnifiedThread)"),
        ({"fields": "messages{y}"}, "(#100) Tried accessing nonexisting field (y) on node type (UnifiedMessage)"),
        ({"fields": "participants{z}"}, "(#100) Tried accessing nonexisting field (z) on node type (User)"),
    ],
)
def test_a_bad_parameter_is_an_error_even_for_an_empty_list(parameters: dict[str, str], message: str) -> None:
    with EmulatorServer(World.generate(WorldSettings(pages=1, messages=0))) as server:
        answer = get(server, "100/conversations", **parameters)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, 100)
        assert message in answer.json()["error"]["message"]


def test_parameters_that_graph_ignores_are_ignored(small: EmulatorServer) -> None:
    plain = get(small, "100/conversations").json()["data"]
    ignored = {"summary": "true", "since": "1", "until": "2", "PLATFORM": "x", "pretty": "0"}
    assert plain == get(small, "100/conversations", **ignored).json()["data"]
    assert plain == get(small, "100/conversations", platform="Messenger", folder="INBOX").json()["data"]


def test_folders_apply_to_messenger_and_are_ignored_on_instagram() -> None:
    with EmulatorServer(World.generate(WorldSettings(pages=1, messages=3_000))) as server:
        folders: Callable[[str], set[str]] = lambda name: {  # noqa: E731
            row["id"] for row in rows(server, "100/conversations", folder=name, limit=200)
        }
        divided = [folders(name) for name in ("inbox", "page_done", "spam", "other")]
        assert all(divided)
        assert server.ground_truth(folder="all").conversations == sum(map(len, divided)) == len(set().union(*divided))
        instagram: dict[str, Any] = {"platform": "INSTAGRAM", "limit": 200}
        assert rows(server, "100/conversations", **instagram) == rows(
            server, "100/conversations", folder="spam", **instagram
        )


def test_user_id_returns_the_one_thread(small: EmulatorServer) -> None:
    thread = next(iter(small.world.threads.values()))
    found = get(small, "100/conversations", user_id=thread.customer["id"]).json()
    assert [row["id"] for row in found["data"]] == [thread.id]
    assert "next" not in found["paging"]

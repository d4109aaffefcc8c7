"""Rare kinds of conversations."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from airflow_provider_metaconv.emulator import EmulatorServer, MessageSpec, PageSpec, ThreadSpec, build_world

from .emulator_reader import get, rows

DAY = "2026-11-19T"


def serve(*threads: ThreadSpec) -> EmulatorServer:
    return EmulatorServer(build_world([PageSpec(threads=threads)]))


def spec(thread_id: str, *hours: int, **options: Any) -> ThreadSpec:
    messages = [
        MessageSpec(f"{DAY}{hour:02}:00:00+00:00", message_id=f"m_{thread_id}_{hour}") for hour in sorted(hours)
    ]
    return ThreadSpec(thread_id=thread_id, messages=messages, **options)


def test_a_group_of_more_than_25_participants_is_paged() -> None:
    with serve(spec("t_1", 1, participants=60)) as server:
        first = get(server, "t_1", fields="participants{id,name}").json()["participants"]
        found, following = list(first["data"]), first["paging"].get("next")
        while following:
            page = requests.get(following, timeout=5).json()
            found += page["data"]
            following = page.get("paging", {}).get("next")
        assert (len(first["data"]), len(found), len({row["id"] for row in found})) == (25, 60, 60)
        assert {tuple(row) for row in found} == {("id", "name")}
        assert rows(server, "t_1/participants", limit=7) == rows(server, "t_1/participants")


def test_two_participants_have_no_paging() -> None:
    with serve(spec("t_1", 1)) as server:
        assert list(get(server, "t_1/participants").json()) == ["data"]


def test_attachments_with_paging_but_without_data() -> None:
    messages = [MessageSpec(f"{DAY}01:00:00+00:00", content="attachments_without_data", message_id="m_1")]
    with serve(ThreadSpec(messages=messages)) as server:
        nested = get(server, "m_1", fields="attachments{id}").json()["attachments"]
        assert (list(nested), nested) == (["paging"], get(server, "m_1/attachments").json())


@pytest.mark.parametrize(("platform", "same"), [("INSTAGRAM", "username"), ("MESSENGER", "name")])
def test_a_business_that_writes_under_another_id(platform: str, same: str) -> None:
    message = MessageSpec(f"{DAY}01:00:00+00:00", from_page=True, sender_id="17841499999999999", message_id="m_1")
    with serve(ThreadSpec(platform, [message], thread_id="t_1")) as server:
        sender = get(server, "m_1", fields="from").json()["from"]
        people = get(server, "t_1", fields="participants").json()["participants"]["data"]
        assert sender["id"] == "17841499999999999"
        assert sender["id"] not in {each["id"] for each in people}
        assert sender[same] in {each[same] for each in people}


def test_an_updated_time_of_its_own_lasts_until_a_message_arrives() -> None:
    old = spec("t_1", 9, updated_time=f"{DAY}02:00:00+00:00")
    with serve(spec("t_2", 5), old, spec("t_3", 1)) as server:
        found = get(server, "100/conversations").json()["data"]
        assert [row["id"] for row in found] == ["t_2", "t_1", "t_3"]
        assert found[1]["updated_time"] == f"{DAY}02:00:00+0000"
        server.world.post("t_1")
        assert get(server, "100/conversations", limit=1).json()["data"][0]["id"] == "t_1"


def test_an_unsent_message_vanishes_and_its_conversation_keeps_its_position() -> None:
    with serve(spec("t_1", 1, 9), spec("t_2", 5)) as server:
        before = get(server, "100/conversations").json()["data"]
        answer = requests.post(f"{server.url}/_emulator/unsent", json={"message_id": "m_t_1_9"}, timeout=5)
        assert answer.status_code == 200
        assert get(server, "100/conversations").json()["data"] == before
        assert [row["id"] for row in get(server, "t_1/messages").json()["data"]] == ["m_t_1_1"]
        assert get(server, "m_t_1_9").status_code == 400
        assert server.ground_truth().message_ids == {"m_t_1_1", "m_t_2_5"}


def test_the_id_and_time_of_an_unsent_message_can_remain() -> None:
    with serve(spec("t_1", 1, 9)) as server:
        server.world.unsend("m_t_1_9", vanish=False)
        found = get(server, "t_1/messages", fields="id,created_time,message,from").json()["data"]
        assert [sorted(row) for row in found] == [["created_time", "id"], ["created_time", "from", "id", "message"]]
        assert get(server, "m_t_1_9").json()["error"]["code"] == 9000001
        assert server.ground_truth().unavailable_ids == {"m_t_1_9"}


def test_a_conversation_can_lose_all_messages_and_receive_new_ones() -> None:
    with serve(spec("t_1", 1)) as server:
        server.world.unsend("m_t_1_1")
        fields = "id,updated_time,message_count,snippet,unread_count,messages{id}"
        found = get(server, "100/conversations", fields=fields).json()["data"]
        assert (found[0]["message_count"], found[0]["messages"]) == (0, {"data": []})
        posted = server.world.post("t_1")
        assert [row["id"] for row in get(server, "t_1/messages").json()["data"]] == [posted]


def test_an_unknown_message_cannot_be_unsent() -> None:
    with serve(spec("t_1", 1)) as server:
        answer = requests.post(f"{server.url}/_emulator/unsent", json={"message_id": "m_9"}, timeout=5)
        assert (answer.status_code, answer.json()["error"]) == (400, "ValueError: message m_9 does not exist")


def test_ids_of_vanished_messages_are_not_reused() -> None:
    with serve(spec("t_1", 1)) as server:
        first = server.world.post("t_1")
        server.world.unsend(first)
        assert server.world.post("t_1") != first


def test_a_message_listed_late_is_sorted_by_its_time() -> None:
    with serve(spec("t_1", 1, 9), spec("t_2", 5)) as server:
        before = get(server, "100/conversations").json()
        late = server.world.post("t_1", created_time=f"{DAY}04:00:00+00:00")
        assert [row["id"] for row in get(server, "t_1/messages").json()["data"]] == ["m_t_1_9", late, "m_t_1_1"]
        assert get(server, "100/conversations").json() == before

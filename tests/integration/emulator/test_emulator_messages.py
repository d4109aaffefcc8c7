from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_metaconv.emulator import (
    EmulatorServer,
    EmulatorSettings,
    MessageSpec,
    PageSpec,
    ThreadSpec,
    build_world,
    uniform_world,
)
from airflow_provider_metaconv.emulator.corpus import HUGE_TEXT, ODD_TEXTS

from .emulator_reader import MESSAGE_FIELDS, get, rows, walk

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def one_message(platform: str = "MESSENGER", **spec: Any) -> dict[str, Any]:
    world = build_world([PageSpec(threads=[ThreadSpec(platform, [MessageSpec(NOW, **spec)])])])
    with EmulatorServer(world) as server:
        return dict(get(server, next(iter(world.messages)), fields=MESSAGE_FIELDS).json())


@pytest.mark.parametrize("text", [*ODD_TEXTS, HUGE_TEXT, "x" * 100_000], ids=lambda text: ascii(text[:20]))
def test_every_text_is_returned_unchanged(text: str) -> None:
    assert text == one_message(text=text)["message"]


def test_odd_texts_are_escaped_as_ascii() -> None:
    world = build_world([PageSpec(threads=[ThreadSpec(messages=[MessageSpec(NOW, "\x00 \ud83d é")])])])
    with EmulatorServer(world) as server:
        answer = get(server, next(iter(world.threads)), fields="messages{message}")
        assert answer.content.isascii()
        assert rb'"message":"\u0000 \ud83d \u00e9"' in answer.content


def test_a_messenger_message_has_the_documented_shape() -> None:
    found = one_message(text="hello")
    person, page = found["from"], found["to"]["data"][0]
    assert found["created_time"] == "2026-11-20T00:00:00+0000"
    assert set(person) == {"name", "email", "id"}
    assert page == {"name": "Example Bakery", "email": "100@facebook.com", "id": "100"}
    assert found["tags"]["data"][0]["name"] == "inbox"
    assert set(found) == {"id", "created_time", "from", "to", "message", "tags"}


def test_times_are_whole_seconds_in_utc() -> None:
    world = build_world([PageSpec(threads=[ThreadSpec(messages=[MessageSpec("2026-11-20T11:30:39.9+02:00")])])])
    with EmulatorServer(world) as server:
        thread, message = next(iter(world.threads)), next(iter(world.messages))
        assert get(server, message, fields="created_time").json()["created_time"] == "2026-11-20T09:30:39+0000"
        assert get(server, thread).json()["updated_time"] == "2026-11-20T09:30:39+0000"


def test_people_on_instagram_have_usernames() -> None:
    found = one_message("INSTAGRAM", text="hello", from_page=True)
    assert found["from"] == {"username": "emulated_shop_100", "id": "17841400000000100"}
    assert set(found["to"]["data"][0]) == {"username", "id"}
    assert set(found) == {"id", "created_time", "from", "to", "message"}


@pytest.mark.parametrize(
    ("platform", "kind", "field", "keys"),
    [
        ("MESSENGER", "image", "attachments", {"id", "mime_type", "name", "size", "image_data"}),
        ("MESSENGER", "video", "attachments", {"id", "mime_type", "name", "size", "video_data"}),
        ("MESSENGER", "audio", "attachments", {"id", "mime_type", "name", "size", "file_url"}),
        ("MESSENGER", "template", "attachments", {"id", "generic_template"}),
        ("MESSENGER", "eu_placeholder", "attachments", {"id", "name"}),
        ("INSTAGRAM", "image", "attachments", {"image_data"}),
        ("INSTAGRAM", "file", "attachments", {"file_url"}),
        ("MESSENGER", "share", "shares", {"link", "name", "description"}),
        ("INSTAGRAM", "product_share", "shares", {"template"}),
        ("INSTAGRAM", "reactions", "reactions", {"reaction", "users"}),
    ],
)
def test_content_has_the_documented_keys(platform: str, kind: str, field: str, keys: set[str]) -> None:
    assert keys == set(one_message(platform, content=kind)[field]["data"][0])


def test_content_other_than_lists_has_the_documented_keys() -> None:
    assert set(one_message("INSTAGRAM", content="story_reply")["story"]["reply_to"]) == {"link", "id"}
    assert set(one_message("INSTAGRAM", content="story_mention")["story"]["mention"]) == {"link", "id"}
    assert set(one_message(content="reply")["reply_to"]) == {"mid", "is_self_reply"}
    sticker = one_message(content="sticker", text="ignored")
    assert (sticker["message"], sticker["sticker"][:5]) == ("", "https")
    assert one_message(content="unsupported")["is_unsupported"] is True


def test_shares_are_empty_unless_their_fields_are_requested() -> None:
    world = build_world([PageSpec(threads=[ThreadSpec(messages=[MessageSpec(NOW, content="share")])])])
    with EmulatorServer(world) as server:
        message = next(iter(world.messages))
        assert get(server, message, fields="shares").json()["shares"]["data"] == [{}]
        assert list(get(server, message, fields="shares{link}").json()["shares"]["data"][0]) == ["link"]


def test_a_single_attachment_has_next_to_an_empty_page() -> None:
    world = build_world([PageSpec(threads=[ThreadSpec(messages=[MessageSpec(NOW, content="image")])])])
    with EmulatorServer(world) as server:
        message = next(iter(world.messages))
        nested = get(server, message, fields="attachments{id,image_data{url}}").json()["attachments"]
        assert "next" in nested["paging"]
        assert set(nested["data"][0]["image_data"]) == {"url"}
        assert len(rows(server, f"{message}/attachments")) == 1
        after = nested["paging"]["cursors"]["after"]
        assert get(server, f"{message}/attachments", after=after).json() == {"data": []}


def test_only_the_20_newest_messages_of_an_instagram_thread_have_details() -> None:
    with EmulatorServer(uniform_world(threads=1, messages_per_thread=50, platform="INSTAGRAM")) as server:
        ((_, messages),) = walk(server, platform="INSTAGRAM", nested=25)
        assert [{"id", "created_time"} == set(row) for row in messages] == [False] * 20 + [True] * 30
        old, new = get(server, messages[20]["id"]), get(server, messages[19]["id"], fields="message")
        assert (old.status_code, old.json()["error"]["code"]) == (400, 9000001)
        assert new.status_code == 200
        assert (
            server.ground_truth(platform="INSTAGRAM").messages,
            server.ground_truth(platform="INSTAGRAM").unavailable,
        ) == (50, 30)


def test_messenger_threads_have_all_details() -> None:
    with EmulatorServer(uniform_world(threads=1, messages_per_thread=50)) as server:
        ((_, messages),) = walk(server)
        assert all("message" in row for row in messages)
        assert server.ground_truth().unavailable == 0


def test_old_instagram_rows_can_have_only_an_id() -> None:
    settings = EmulatorSettings(instagram_old_rows="id_only")
    with EmulatorServer(uniform_world(1, 22, platform="INSTAGRAM"), settings) as server:
        ((_, messages),) = walk(server, platform="INSTAGRAM")
        assert [set(row) for row in messages[20:]] == [{"id"}] * 2


def test_a_deleted_instagram_message_has_only_id_and_time() -> None:
    specs = [MessageSpec(NOW, deleted=True), MessageSpec(NOW - timedelta(1))]
    world = build_world([PageSpec(threads=[ThreadSpec("INSTAGRAM", specs)])])
    with EmulatorServer(world) as server:
        ((_, messages),) = walk(server, platform="INSTAGRAM")
        assert set(messages[0]) == {"id", "created_time"}
        assert get(server, messages[0]["id"]).json()["error"]["code"] == 9000001
        assert server.ground_truth(platform="INSTAGRAM").unavailable == 1


def test_a_conversation_node_has_the_same_fields_as_its_row(varied: EmulatorServer) -> None:
    everything = (
        "id,updated_time,link,message_count,unread_count,snippet,can_reply,is_subscribed,scoped_thread_key,is_owner,"
        "participants,senders,former_participants,messages.limit(1){id,message},folder,name,subject,wallpaper"
    )
    messenger = get(varied, "100/conversations", limit=1, fields=everything).json()["data"][0]
    assert messenger == get(varied, messenger["id"], fields=everything).json()
    assert set(everything.replace(".limit(1){id,message}", "").split(",")) - set(messenger) == {
        "name",
        "subject",
        "wallpaper",
    }
    instagram = get(varied, "100/conversations", platform="instagram", limit=1, fields=everything).json()["data"][0]
    assert set(instagram) == {"id", "updated_time", "message_count", "is_owner", "participants", "senders", "messages"}
    assert instagram["participants"]["data"][0]["username"] == "emulated_shop_100"


def test_the_id_is_returned_without_being_requested(small: EmulatorServer) -> None:
    row = get(small, "100/conversations", fields="messages{message},participants{name}").json()["data"][0]
    assert "id" in row
    assert "id" in row["messages"]["data"][0]
    assert set(row["participants"]["data"][0]) == {"name", "id"}

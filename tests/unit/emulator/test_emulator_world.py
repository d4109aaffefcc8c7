from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_metaconv.emulator import (
    CONTENT_KINDS,
    MessageSpec,
    PageSpec,
    ThreadSpec,
    World,
    WorldSettings,
    build_world,
    uniform_world,
)
from airflow_provider_metaconv.emulator.texts import HUGE_TEXT, ODD_TEXTS

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def everything(world: World) -> list[object]:
    return [
        (thread.id, thread.folder, dict(thread.customer), [(m, dict(m.content)) for m in thread.messages])
        for thread in world.threads.values()
    ]


def test_the_same_recipe_gives_the_same_world() -> None:
    recipe = WorldSettings(seed=5, pages=2, messages=2_000)
    assert everything(World.generate(recipe)) == everything(World.generate(recipe))


def test_another_seed_gives_another_world() -> None:
    one, other = (World.generate(WorldSettings(seed=seed, messages=500)) for seed in (1, 2))
    assert everything(one) != everything(other)


@settings(max_examples=25, deadline=None)
@given(messages=st.integers(0, 9_000), pages=st.integers(1, 5), days=st.floats(0.01, 90), seed=st.integers())
def test_the_number_of_messages_is_exact_and_all_lie_within_the_days(
    messages: int, pages: int, days: float, seed: int
) -> None:
    world = World.generate(WorldSettings(seed, pages, messages, NOW, days))
    times = [message.created_time for _, message in world.messages.values()]
    assert messages == sum(len(thread.messages) for thread in world.threads.values()) == len(times)
    assert all(int(NOW.timestamp()) - int(days * 86_400) <= each < NOW.timestamp() for each in times)
    assert [f"{100 + number}" for number in range(pages)] == list(world.pages)


def test_a_large_world_has_everything_a_client_has_to_survive() -> None:
    world = World.generate(WorldSettings(messages=50_000))
    threads = list(world.threads.values())
    messages = [message for _, message in world.messages.values()]
    messenger = [len(thread.messages) for thread in threads if not thread.is_instagram]
    instagram = [len(thread.messages) for thread in threads if thread.is_instagram]
    assert 1 <= sum(size > 1_000 for size in messenger) <= 4
    assert sum(size > 20 for size in instagram) > 5
    assert sum(size <= 10 for size in messenger + instagram) > len(threads) * 0.8
    assert {"inbox", "page_done", "spam", "other"} == {thread.folder for thread in threads}
    assert set(ODD_TEXTS) | {HUGE_TEXT} <= {message.text for message in messages}
    assert 2 <= sum(message.text == HUGE_TEXT for message in messages) <= 4
    kinds = {key for message in messages for key in message.content} - {"message"}
    expected = {"attachments", "shares", "story", "reactions", "reply_to", "sticker", "is_unsupported"}
    assert expected == kinds
    assert any(message.deleted for message in messages)
    updated = [thread.updated_time for thread in threads]
    assert len(set(updated)) < len(updated)
    assert any(
        one.created_time == other.created_time
        for thread in threads
        for one, other in zip(thread.messages, thread.messages[1:], strict=False)
    )


def test_days_are_busier_than_nights_and_replies_take_minutes_to_hours() -> None:
    world = World.generate(WorldSettings(messages=10_000))
    hours = [message.created_time // 3_600 % 24 for _, message in world.messages.values()]
    assert sum(9 <= hour <= 21 for hour in hours) > 5 * sum(hour <= 5 for hour in hours)
    delays = sorted(
        answer.created_time - question.created_time
        for thread in world.threads.values()
        if len(thread.messages) < 11
        for question, answer in zip(thread.messages, thread.messages[1:], strict=False)
        if answer.from_page and not question.from_page
    )
    assert 300 < delays[len(delays) // 2] < 4 * 3_600


def test_sixty_thousand_messages_are_made_in_a_moment() -> None:
    start = time.perf_counter()
    World.generate(WorldSettings(messages=60_000))
    assert time.perf_counter() - start < 6  # under 2 s on an idle machine


def test_a_hand_made_world_is_what_was_said() -> None:
    world = build_world(
        [
            PageSpec(
                "7",
                [
                    ThreadSpec("instagram", [MessageSpec(NOW, "late"), MessageSpec(NOW - timedelta(1), "early")]),
                    ThreadSpec(messages=[MessageSpec(NOW, content="sticker")], thread_id="t_1", customer_name="Ann"),
                ],
                name="Mine",
            )
        ]
    )
    instagram, messenger = world.threads.values()
    assert ("Mine", ["early", "late"]) == (world.pages["7"].name, [each.text for each in instagram.messages])
    assert ("t_1", "Ann") == (messenger.id, messenger.customer["name"])
    assert {"sticker", "message"} == set(messenger.messages[0].content)


@pytest.mark.parametrize("kind", CONTENT_KINDS)
def test_every_kind_of_content_can_be_ordered_on_both_platforms(kind: str) -> None:
    for platform in ("MESSENGER", "INSTAGRAM"):
        world = build_world([PageSpec(threads=[ThreadSpec(platform, [MessageSpec(NOW, content=kind)])])])
        assert 1 == len(world.messages)


def test_a_uniform_world_is_predictable() -> None:
    world = uniform_world(threads=3, messages_per_thread=2, now=NOW)
    newest_first = world.conversations("100", "MESSENGER")[::-1]
    expected = [NOW - timedelta(minutes=minutes) for minutes in (1, 2, 3)]
    assert [each.timestamp() for each in expected] == [thread.updated_time for thread in newest_first]
    assert 6 == len(world.messages)


def test_what_arrives_moves_its_thread_to_the_top_and_repeats_with_its_seed() -> None:
    one, other = (uniform_world(threads=10, messages_per_thread=2) for _ in range(2))
    arrived = one.arrive(20, seed=3, platform="MESSENGER")
    assert arrived == other.arrive(20, seed=3, platform="MESSENGER")
    another = uniform_world(threads=10, messages_per_thread=2).arrive(20, seed=4, platform="MESSENGER")
    assert arrived != another
    top = one.conversations("100", "MESSENGER")[-1]
    assert one.messages[arrived[-1]][1].created_time == top.updated_time
    assert 40 == len(one.messages)
    assert 10 < len(one.threads) < 30


@pytest.mark.parametrize("bad", [{"pages": 0}, {"messages": -1}, {"days": 0}, {"now": datetime(2026, 1, 1)}])  # noqa: DTZ001
def test_an_impossible_recipe_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"world"):
        WorldSettings(**bad)  # type: ignore[arg-type]

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_metaconv.emulator import (
    World,
    WorldSettings,
)
from airflow_provider_metaconv.emulator.corpus import HUGE_TEXT, ODD_TEXTS

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def contents(world: World) -> list[object]:
    return [
        (thread.id, thread.folder, dict(thread.customer), [(m, dict(m.content)) for m in thread.messages])
        for thread in world.threads.values()
    ]


def test_equal_settings_give_equal_worlds() -> None:
    recipe = WorldSettings(seed=5, pages=2, messages=2_000)
    assert contents(World.generate(recipe)) == contents(World.generate(recipe))


def test_another_seed_gives_another_world() -> None:
    one, other = (World.generate(WorldSettings(seed=seed, messages=500)) for seed in (1, 2))
    assert contents(one) != contents(other)


@settings(max_examples=25, deadline=None)
@given(messages=st.integers(0, 9_000), pages=st.integers(1, 5), days=st.floats(0.01, 90), seed=st.integers())
def test_message_count_and_time_range_are_exact(messages: int, pages: int, days: float, seed: int) -> None:
    world = World.generate(WorldSettings(seed, pages, messages, NOW, days))
    times = [message.created_time for _, message in world.messages.values()]
    assert messages == sum(len(thread.messages) for thread in world.threads.values()) == len(times)
    assert all(int(NOW.timestamp()) - int(days * 86_400) <= each < NOW.timestamp() for each in times)
    assert [f"{100 + number}" for number in range(pages)] == list(world.pages)


def test_a_large_world_has_every_edge_case() -> None:
    world = World.generate(WorldSettings(messages=50_000))
    threads = list(world.threads.values())
    messages = [message for _, message in world.messages.values()]
    messenger = [len(thread.messages) for thread in threads if not thread.is_instagram]
    instagram = [len(thread.messages) for thread in threads if thread.is_instagram]
    assert 1 <= sum(size > 1_000 for size in messenger) <= 4
    assert sum(size > 20 for size in instagram) > 5
    assert sum(size <= 10 for size in messenger + instagram) > len(threads) * 0.8
    assert {thread.folder for thread in threads} == {"inbox", "page_done", "spam", "other"}
    assert set(ODD_TEXTS) | {HUGE_TEXT} <= {message.text for message in messages}
    assert 2 <= sum(message.text == HUGE_TEXT for message in messages) <= 4
    kinds = {key for message in messages for key in message.content} - {"message"}
    expected = {"attachments", "shares", "story", "reactions", "reply_to", "sticker", "is_unsupported"}
    assert kinds == expected
    assert any(message.deleted for message in messages)
    updated = [thread.updated_time for thread in threads]
    assert len(set(updated)) < len(updated)
    assert any(
        one.created_time == other.created_time
        for thread in threads
        for one, other in zip(thread.messages, thread.messages[1:], strict=False)
    )


def test_message_times_and_reply_delays_are_realistic() -> None:
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

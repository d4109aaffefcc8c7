"""Calls are filled, and never request more than Meta returns."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_metaconv.emulator import EmulatorServer, Fault, uniform_world
from airflow_provider_metaconv.extract.page_sizes import MESSAGES_PER_CALL, PageSizes, Sizes
from airflow_provider_metaconv.graph.errors import RateLimitError
from tests.integration.extract.extraction import extract, written

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LARGEST = Sizes(200, 100)
FIRST = Sizes(50, 25)

RESPONSES = st.one_of(
    st.just("refused"), st.tuples(st.integers(0, 200), st.integers(0, 20_000), st.integers(0, 200)), st.just("isolated")
)


@given(st.lists(RESPONSES, max_size=60), st.sampled_from([FIRST, LARGEST, None]))
def test_requested_sizes_stay_between_one_and_the_largest(
    responses: list[str | tuple[int, int, int]], first: Sizes | None
) -> None:
    sizes = PageSizes.starting(LARGEST, first)
    for response in responses:
        if response == "refused":
            sizes.list_refused(sizes.now)
        elif response == "isolated":
            sizes.list_was_not_too_large()
        else:
            sizes.list_accepted(*response)
        assert Sizes(1, 1, 1).at_most(sizes.now) == Sizes(1, 1, 1)
        assert LARGEST.at_most(sizes.now) == sizes.now


@given(st.integers(1, 100), st.integers(1, 100))
def test_lists_of_equally_long_conversations_fill_their_calls(length: int, first: int) -> None:
    sizes = PageSizes.starting(LARGEST, Sizes(first, 100))
    for _ in range(10):
        requested = sizes.now.conversations
        sizes.list_accepted(requested, requested * length, 0)
    filled = min(MESSAGES_PER_CALL // length, LARGEST.conversations)
    assert filled == sizes.now.conversations


def test_more_messages_are_nested_when_conversations_need_extra_calls() -> None:
    sizes = PageSizes.starting(LARGEST, FIRST)
    sizes.list_accepted(50, 300, continued=1)
    assert sizes.now.nested_messages == 25
    sizes.list_accepted(50, 2_500, continued=2)
    assert Sizes(12, 100) == sizes.now
    sizes.list_accepted(12, 600, continued=2)
    assert Sizes(24, 100) == sizes.now


def test_one_bad_conversation_does_not_reset_the_learned_sizes() -> None:
    sizes = PageSizes.starting(LARGEST, FIRST)
    for _ in range(5):
        sizes.list_accepted(sizes.now.conversations, sizes.now.conversations, 0)
    while sizes.list_refused(sizes.now):
        sizes.list_accepted(1, 1, 0)
    sizes.list_was_not_too_large()
    assert sizes.now.conversations == 200


@pytest.mark.parametrize("seed", range(20))
def test_transient_faults_do_not_keep_lists_small(seed: int) -> None:
    faults, largest_accepted = random.Random(seed), 25
    sizes, read, calls = PageSizes.starting(LARGEST), 0, 0
    while read < 30_000:
        requested, calls = sizes.now, calls + 1
        if requested.conversations > largest_accepted or faults.random() < 0.03:
            sizes.list_refused(requested)
        else:
            read += requested.conversations
            sizes.list_accepted(requested.conversations, 6 * requested.conversations, 0)
    # Halved and doubled sizes may settle at 16 where 25 are accepted.
    assert calls <= 1.6 * 30_000 / largest_accepted


def test_a_later_attempt_starts_with_the_previous_sizes() -> None:
    sizes = PageSizes.starting(LARGEST, FIRST)
    sizes.list_accepted(50, 100, 2)
    assert Sizes(100, 100) == sizes.now
    later = msgspec.json.decode(msgspec.json.encode(sizes), type=PageSizes)
    assert later == sizes


@pytest.mark.parametrize(("platform", "largest"), [("MESSENGER", (200, 100, 100)), ("INSTAGRAM", (50, 20, 100))])
def test_default_sizes_stay_within_what_is_known_to_work(platform: str, largest: tuple[int, int, int]) -> None:
    for is_history in (True, False):
        sizes = PageSizes.default(platform, is_history=is_history)
        for _ in range(20):
            sizes.list_accepted(1, 1, 2)
        assert Sizes(*largest) == sizes.now


def test_long_conversations_do_not_cost_a_call_each(tmp_path: Path) -> None:
    with EmulatorServer(uniform_world(threads=200, messages_per_thread=60, now=NOW, spacing_seconds=1)) as server:
        extraction = extract(server, tmp_path, until=NOW)
    assert extraction.messages == 12_000
    # One for the Page's token, one for 50 conversations, then 41 at a time, and one to look at the top again.
    assert extraction.calls == 1 + 1 + 4 + 1


def test_a_busy_window_requests_more_messages_per_conversation(tmp_path: Path) -> None:
    world = uniform_world(threads=150, messages_per_thread=60, now=NOW, spacing_seconds=1)
    with EmulatorServer(world) as server:
        quiet = extract(server, tmp_path / "quiet", since=NOW - timedelta(seconds=3), until=NOW)
        busy = extract(server, tmp_path / "busy", since=NOW - timedelta(hours=5), until=NOW)
    assert (quiet.messages, busy.messages) == (6, 9_000)
    # All conversations are within the margin below the window: two lists, and one look at the top again.
    assert quiet.calls == 1 + 2 + 1
    # 100 conversations with 25 nested messages need a call each, later ones none.
    assert busy.calls <= 1 + 100 + 4 + 1


def test_a_resumed_attempt_requests_as_much_as_the_previous_one(tmp_path: Path) -> None:
    with EmulatorServer(uniform_world(threads=900, messages_per_thread=2, now=NOW, spacing_seconds=1)) as server:
        undisturbed = extract(server, tmp_path / "a", until=NOW)
        server.add_fault(Fault("80006", times=1, after_calls=5, regain_minutes=7))
        with pytest.raises(RateLimitError):
            extract(server, tmp_path / "b", until=NOW)
        resumed = extract(server, tmp_path / "b", until=NOW)
    assert sorted(written(tmp_path / "a").message_ids) == sorted(written(tmp_path / "b").message_ids)
    # The refused call, the Page's token again, the last result page again.
    assert resumed.calls <= undisturbed.calls + 3


def test_a_refused_call_for_messages_does_not_keep_lists_small() -> None:
    sizes = PageSizes.starting(LARGEST, FIRST)
    sizes.messages_refused(100)
    for _ in range(5):
        sizes.list_accepted(sizes.now.conversations, sizes.now.conversations, 0)
    assert sizes.now.conversations == 200


def test_sizes_shrink_for_long_messages_and_recover_for_short_ones() -> None:
    sizes = PageSizes.starting(LARGEST)
    sizes.weighed(10, 10 * 1024 * 1024)
    assert (sizes.now.nested_messages, sizes.now.messages) == (8, 8)
    assert sizes.now.conversations == 1
    for _ in range(10):
        sizes.weighed(100, 100 * 600)
    assert (MESSAGES_PER_CALL, LARGEST.messages) == (sizes.messages_per_call, sizes.now.messages)


def test_a_much_smaller_call_follows_an_oversized_response() -> None:
    sizes = PageSizes.starting(LARGEST, Sizes(50, 100))
    sizes.weighed(5_000, 64 * 1024 * 1024)
    sizes.list_refused(Sizes(50, 100))
    assert sizes.now == Sizes(12, 100)


def test_rows_of_ordinary_length_change_no_size() -> None:
    sizes = PageSizes.starting(LARGEST)
    before = sizes.now
    sizes.weighed(2_000, 2_000 * 900)
    sizes.weighed(0, 0)
    assert before == sizes.now

"""Whatever shape Meta's result pages have: quiet Pages finish in few calls, and no message of the window is lost."""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_metaconv.emulator import MessageSpec, ThreadSpec
from airflow_provider_metaconv.extract.page_sizes import Sizes
from tests.integration.extract.scene import MINUTE, UNTIL, scene, threads

SHAPES: dict[str, list[dict[str, Any]]] = {
    "empty tail": [{"name": "empty_tail"}],
    "empty tail that refers to itself": [{"name": "empty_self_tail"}],
    "last page that refers to itself": [{"name": "self_tail"}],
    "short first page": [{"name": "first_page", "size": 1}],
    "short first page and empty tail": [{"name": "first_page", "size": 2}, {"name": "empty_tail"}],
    "pages of 1": [{"name": "page_size", "size": 1}],
    "pages of 2": [{"name": "page_size", "size": 2}],
    "pages of 1 and empty tail": [{"name": "page_size", "size": 1}, {"name": "empty_tail"}],
    "pages of 2 and a tail that refers to itself": [{"name": "page_size", "size": 2}, {"name": "empty_self_tail"}],
    "pages of half the size": [{"name": "short_page"}],
    "same cursors before and after": [{"name": "same_cursors"}],
    "empty page once before the rows": [{"name": "empty_page", "times": 1}],
}
IMPOSED = {
    "pages of 1": 1,
    "pages of 1 and empty tail": 1,
    "pages of 2": 2,
    "pages of 2 and a tail that refers to itself": 2,
}


@pytest.mark.parametrize("count", [0, 1, 2, 5, 13])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_quiet_page_is_complete_in_few_calls(tmp_path: Path, shape: str, count: int) -> None:
    with scene(tmp_path, threads(count)) as page:
        for fault in SHAPES[shape]:
            page.add(fault["name"], edge="conversations", **{k: v for k, v in fault.items() if k != "name"})
        result = page.attempt()
        assert result.complete
        assert page.message_ids == page.ground_truth()
        assert page.incomplete == {}
        pages = ceil(count / IMPOSED.get(shape, 100)) or 1
        assert page.calls_of("conversations") <= 3 * (pages + len(SHAPES[shape])) + 5
        assert result.calls == page.calls


@pytest.mark.parametrize("size", [1, 2])
def test_a_quiet_page_with_equal_times_is_complete(tmp_path: Path, size: int) -> None:
    with scene(tmp_path, threads(9, messages=1, apart=timedelta(0))) as page:
        page.add("page_size", size=size, edge="conversations")
        result = page.attempt()
        assert result.complete
        assert page.message_ids == page.ground_truth()
        assert page.calls_of("conversations") <= 3 * ceil(9 / size) + 5


@pytest.mark.parametrize("shape", SHAPES)
def test_a_window_of_a_quiet_page_is_complete_too(tmp_path: Path, shape: str) -> None:
    since = UNTIL - 30 * MINUTE
    with scene(tmp_path, threads(40, messages=1)) as page:
        for fault in SHAPES[shape]:
            page.add(fault["name"], edge="conversations", **{k: v for k, v in fault.items() if k != "name"})
        assert page.attempt(since=since).complete
        assert page.message_ids == page.ground_truth(since)


@pytest.mark.parametrize("shape", [name for name in SHAPES if not name.startswith("empty page")])
@pytest.mark.parametrize("messages", [1, 7])
def test_message_pages_of_any_shape_are_read_completely(tmp_path: Path, shape: str, messages: int) -> None:
    with scene(tmp_path, threads(3, messages=messages)) as page:
        for fault in SHAPES[shape]:
            page.add(fault["name"], edge="messages", **{k: v for k, v in fault.items() if k != "name"})
        result = page.attempt()
        assert result.complete
        assert page.message_ids == page.ground_truth()
        assert page.incomplete == {}
        size = IMPOSED.get(shape, 100)
        assert result.calls <= 5 + 3 * (3 * ceil(messages / size) + 3)


@pytest.mark.parametrize("position", [0, 3, 6, 9])
@pytest.mark.parametrize("pages", [1, 4])
def test_an_old_row_on_a_result_page_hides_no_later_row(tmp_path: Path, position: int, pages: int) -> None:
    since = UNTIL - timedelta(hours=2)
    with scene(tmp_path, threads(10 * pages, messages=1)) as page:
        page.add("stale_updated_time", position=position, seconds=9 * 86_400, times=1)
        assert page.attempt(since=since, sizes=Sizes(10, 5)).complete
        assert page.message_ids == page.ground_truth(since)


def test_an_old_row_on_every_result_page_hides_no_later_row(tmp_path: Path) -> None:
    since = UNTIL - timedelta(hours=2)
    with scene(tmp_path, threads(60, messages=1)) as page:
        page.add("stale_updated_time", position=-1, seconds=9 * 86_400)
        assert page.attempt(since=since, sizes=Sizes(10, 5)).complete
        assert page.message_ids == page.ground_truth(since)


def test_nested_messages_count_despite_an_older_conversation_time(tmp_path: Path) -> None:
    since = UNTIL - timedelta(hours=2)
    specs = threads(30, messages=1)
    specs[4] = ThreadSpec("MESSENGER", specs[4].messages, thread_id="t_4", updated_time=since - timedelta(days=3))
    with scene(tmp_path, specs) as page:
        # Its place is at the end of the list, after everything else.
        assert page.attempt(since=since, sizes=Sizes(10, 5)).complete
        assert page.message_ids == page.ground_truth(since)
        assert page.statuses["t_4"] == "complete"


@pytest.mark.parametrize("thread", ["t_0", "t_15", "t_29"])
def test_a_stale_conversation_time_loses_no_message(tmp_path: Path, thread: str) -> None:
    since = UNTIL - timedelta(hours=2)
    with scene(tmp_path, threads(30)) as page:
        page.add("stale_updated_time", thread_id=thread, seconds=9 * 86_400)
        assert page.attempt(since=since).complete
        assert page.message_ids == page.ground_truth(since)


def test_messages_without_cursors_are_paged_by_until_and_token(tmp_path: Path) -> None:
    with scene(tmp_path, threads(3, messages=23)) as page:
        page.add("time_paging")
        result = page.attempt(sizes=Sizes(10, 5, 5))
        assert result.complete
        assert page.message_ids == page.ground_truth()
        assert page.incomplete == {}


def test_paging_by_time_neither_loses_nor_repeats_messages(tmp_path: Path) -> None:
    messages = [MessageSpec(UNTIL - MINUTE - timedelta(seconds=n // 4)) for n in range(30)]
    with scene(tmp_path, [ThreadSpec("MESSENGER", messages, thread_id="t_0")]) as page:
        page.add("time_paging")
        page.attempt(sizes=Sizes(10, 5, 5))
        ids = page.message_ids
        assert len(ids) == len(set(ids))
        assert ids == page.ground_truth() or page.incomplete == {"t_0": "unreadable"}


def test_a_last_message_page_that_refers_to_itself_is_the_end(tmp_path: Path) -> None:
    with scene(tmp_path, threads(3, messages=12)) as page:
        page.add("self_tail", edge="messages", thread_id="t_1")
        assert page.attempt(sizes=Sizes(10, 5, 5)).complete
        assert page.message_ids == page.ground_truth()
        assert page.incomplete == {}


@pytest.mark.parametrize("messages", [12, 250])
def test_a_repeated_cursor_affects_only_its_own_conversation(tmp_path: Path, messages: int) -> None:
    specs = threads(6, messages=4)
    specs[2] = threads(3, messages=messages)[2]
    with scene(tmp_path, specs) as page:
        page.add("repeated_cursor", route="messages", match="t_2/")
        assert page.attempt(sizes=Sizes(10, 3, 3)).complete
        missing = set(page.ground_truth()) - set(page.message_ids)
        if messages == 12:
            # The whole rest fits into the call with which the repeated page is verified.
            assert (set(), {}) == (missing, page.incomplete)
            return
        assert page.incomplete == {"t_2": "unreadable"}
        [gap] = page.written.gaps
        assert (gap["conversation_id"], gap["reason_code"]) == ("t_2", "paging")
        assert missing <= {message.id for message in page.server.world.threads["t_2"].messages}


def test_a_next_link_to_another_host_is_never_followed(tmp_path: Path) -> None:
    with scene(tmp_path, threads(30, messages=8)) as page:
        page.add("foreign_next")
        page.attempt(sizes=Sizes(10, 3, 3))
        assert page.message_ids == page.ground_truth()


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("edge", ["conversations", "messages"])
def test_unix_times_are_read(tmp_path: Path, edge: str, every: int) -> None:
    since = UNTIL - timedelta(minutes=20)
    with scene(tmp_path, threads(40, messages=7)) as page:
        page.add("unix_times", edge=edge, every_row=every)
        assert page.attempt(since=since, sizes=Sizes(10, 3, 3)).complete
        assert page.message_ids == page.ground_truth(since)
        assert {row["created_time"][-6:] for row in page.written.messages} == {"+00:00"}


def test_an_unordered_list_is_read_to_its_end(tmp_path: Path) -> None:
    since = UNTIL - timedelta(minutes=20)
    with scene(tmp_path, threads(40)) as page:
        page.add("unordered_page", route="conversations")
        assert page.attempt(since=since, sizes=Sizes(7, 5)).complete
        assert page.message_ids == page.ground_truth(since)

"""A conversation that Meta refuses never stops its Page, and is never recorded as complete."""

from __future__ import annotations

from math import ceil, log2
from pathlib import Path

import pytest

from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.graph.errors import PermissionDeniedError
from tests.integration.extract.scene import Scene, impatient_session, scene, threads

REFUSED = ["10", "100/33", "200", "230", "230/consent", "551", "2", "9000001", "10/2018336", "803"]
BROKEN = ["1", "1/99", "2", "-2/2534084", "html_500", "html_502", "old_style_error", "empty_object"]


def others(page: Scene, *refused: str) -> list[str]:
    """The ids of all messages except those of some conversations."""
    world = page.server.world
    gone = {message.id for thread in refused for message in world.threads[thread].messages}
    return [each for each in page.ground_truth() if each not in gone]


@pytest.mark.parametrize(
    ("kind", "reach"),
    [
        *((kind, ("alone",)) for kind in REFUSED),
        *((kind, ("alone", "nested_lists")) for kind in REFUSED),
    ],
)
def test_a_refused_conversation_is_unreadable_with_metas_reason(
    tmp_path: Path, kind: str, reach: tuple[str, ...]
) -> None:
    with scene(tmp_path, threads(20, messages=9)) as page:
        page.add(kind, thread_id="t_7", reach=reach)
        # Nested messages of 3: each conversation needs its own call.
        result = page.attempt(sizes=Sizes(10, 3, 20))
        assert (result.complete, result.incomplete) == (True, 1)
        assert page.incomplete == {"t_7": "unreadable"}
        assert set(others(page, "t_7")) <= set(page.message_ids)
        [row] = [row for row in page.written.conversations if row["conversation_id"] == "t_7"]
        assert f"[{kind.split('/')[0]}" in row["reason"]
        assert "Meta says" in row["reason"]
        [gap] = page.written.gaps
        assert (gap["conversation_id"], gap["reason_code"], gap["reason"]) == ("t_7", "refused", row["reason"])
        assert gap["closed_by_window"] is None


@pytest.mark.parametrize("kind", ["10", "100/33", "2", "html_500", "empty_object"])
def test_the_next_attempt_requests_a_refused_conversation_again(tmp_path: Path, kind: str) -> None:
    with scene(tmp_path, threads(20, messages=9)) as page:
        page.add(kind, thread_id="t_7", reach=("alone", "nested_lists"))
        page.add("80006", match="after=", times=1, regain_minutes=9, route="conversations", after_calls=2)
        page.failing_attempt(sizes=Sizes(4, 3, 20))
        page.server.clear_faults()
        page.clock.skip(600)
        assert page.attempt(sizes=Sizes(4, 3, 20)).complete
        assert (page.message_ids, page.incomplete) == (page.ground_truth(), {})


@pytest.mark.parametrize("kind", ["10", "200", "230"])
def test_mass_refusal_fails_the_task_with_that_error(tmp_path: Path, kind: str) -> None:
    with scene(tmp_path, threads(30, messages=9)) as page:
        page.add(kind, route="messages")
        page.add(kind, route="conversation")
        error = page.failing_attempt(sizes=Sizes(10, 3, 20))
        assert isinstance(error, PermissionDeniedError)
        assert str(error).startswith(f"[{kind}]")
        assert not page.has_manifest
        assert page.calls <= 60


@pytest.mark.parametrize("kind", ["551", "100/33", "9000001"])
def test_refusals_of_single_conversations_never_fail_the_task(tmp_path: Path, kind: str) -> None:
    with scene(tmp_path, threads(12, messages=9)) as page:
        for number in range(11):
            page.add(kind, thread_id=f"t_{number}", reach=("alone",))
        assert page.attempt(sizes=Sizes(10, 3, 20)).complete
        assert set(page.incomplete) == {f"t_{number}" for number in range(11)}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("readable_alone", [True, False])
def test_conversations_that_break_every_list_cost_few_calls(tmp_path: Path, kind: str, readable_alone: bool) -> None:
    poisoned = ("t_3", "t_17", "t_18", "t_41", "t_59")
    with scene(tmp_path, threads(60)) as page:
        for thread in poisoned:
            reach = ("nested_lists",) if readable_alone else ("nested_lists", "alone")
            page.add(kind, thread_id=thread, reach=reach)
        result = page.attempt()
        assert result.complete
        assert page.calls <= 250
        # Waits of concurrent calls are added up here: up to four conversations wait at the same time.
        assert page.clock.skipped <= (120 if readable_alone or kind.startswith("1") else 360)
        if readable_alone:
            assert (page.message_ids, page.incomplete) == (page.ground_truth(), {})
        else:
            assert page.message_ids == others(page, *poisoned)
            assert page.incomplete == dict.fromkeys(poisoned, "unreadable")
            reason = "unexpected_response" if kind == "empty_object" else "refused"
            assert {row["reason_code"] for row in page.written.gaps} == {reason}


@pytest.mark.parametrize("kind", [*BROKEN, "reset_before"])
def test_a_conversation_that_always_fails_is_isolated_in_few_calls(tmp_path: Path, kind: str) -> None:
    with scene(tmp_path, threads(64)) as page:
        page.add(kind, thread_id="t_21", reach=("nested_lists", "alone"))
        page.attempt()
        assert page.message_ids == others(page, "t_21")
        assert page.incomplete == {"t_21": "unreadable"}
        assert page.calls <= 6 * ceil(log2(64)) + 10 + 15
        assert page.clock.skipped <= 120


def test_a_conversation_that_always_times_out_is_isolated(tmp_path: Path) -> None:
    with scene(tmp_path, threads(8)) as page:
        page.add("hang", thread_id="t_3", reach=("nested_lists", "alone"))
        page.attempt(session=impatient_session(), sizes=Sizes(8, 2, 2))
        assert set(page.message_ids) >= set(others(page, "t_3"))
        assert page.incomplete == {"t_3": "unreadable"}


@pytest.mark.parametrize("kind", ["old_style_error", "empty_object", "foreign_object", "missing_data", "null_rows"])
@pytest.mark.parametrize("route", ["conversation", "messages"])
def test_a_200_without_the_conversation_is_never_complete(tmp_path: Path, kind: str, route: str) -> None:
    with scene(tmp_path, threads(8, messages=9)) as page:
        # Without messages in the list: it must be requested alone, and its other messages page by page.
        page.add("missing_messages", route="conversations", thread_id="t_3")
        page.add(kind, route=route, match="/t_3")
        page.attempt(sizes=Sizes(10, 3, 3))
        assert set(page.message_ids) >= set(others(page, "t_3"))
        if set(page.message_ids) != set(page.ground_truth()):
            assert set(page.incomplete) == {"t_3"}
            [gap] = page.written.gaps
            assert gap["reason"]
        else:
            # Read by the other route, which had no fault.
            assert page.incomplete == {}


@pytest.mark.parametrize("kind", ["old_style_error", "empty_object", "foreign_object", "missing_data", "null_row"])
@pytest.mark.parametrize("route", ["conversation", "messages"])
def test_a_conversation_malformed_once_is_read_completely(tmp_path: Path, kind: str, route: str) -> None:
    with scene(tmp_path, threads(8, messages=9)) as page:
        page.add("missing_messages", route="conversations", thread_id="t_3")
        page.add(kind, route=route, times=1)
        page.attempt(sizes=Sizes(10, 3, 3))
        assert (page.message_ids, page.incomplete) == (page.ground_truth(), {})


def test_invalid_rows_are_counted_and_the_other_messages_read(tmp_path: Path) -> None:
    with scene(tmp_path, threads(8, messages=5)) as page:
        page.add("null_row", edge="messages", thread_id="t_3")
        assert page.attempt().complete
        assert page.message_ids == page.ground_truth()
        assert page.incomplete == {"t_3": "truncated_by_platform"}
        [gap] = page.written.gaps
        known = [gap[f"messages_{which}"] for which in ("known", "extracted", "unavailable")]
        assert (gap["reason_code"], known) == ("unplaced_messages", [6, 5, 0])


@pytest.mark.parametrize("kind", ["10", "230"])
def test_a_few_permission_errors_do_not_fail_the_task(tmp_path: Path, kind: str) -> None:
    with scene(tmp_path, threads(30, messages=9)) as page:
        for number in (4, 9, 14, 19):
            page.add(kind, thread_id=f"t_{number}", reach=("alone",))
        assert page.attempt(sizes=Sizes(10, 3, 20)).complete
        assert page.incomplete == {f"t_{number}": "unreadable" for number in (4, 9, 14, 19)}


@pytest.mark.parametrize("kind", ["1", "-2/2534084", "9000001"])
def test_a_conversation_that_breaks_instagrams_lists_is_isolated(tmp_path: Path, kind: str) -> None:
    with scene(tmp_path, threads(30, platform="INSTAGRAM"), platform="INSTAGRAM") as page:
        page.add(kind, thread_id="t_11", reach=("nested_lists",))
        assert page.attempt().complete
        assert (page.message_ids, page.incomplete) == (page.ground_truth(), {})
        assert page.calls <= 60


def test_conversations_listed_without_messages_are_read_separately(tmp_path: Path) -> None:
    with scene(tmp_path, threads(8, messages=3)) as page:
        page.add("missing_messages", route="conversations")
        assert page.attempt().complete
        assert (page.message_ids, page.incomplete) == (page.ground_truth(), {})


def test_refused_messages_beyond_instagrams_limit_leave_the_others(tmp_path: Path) -> None:
    specs = threads(4, messages=27, platform="INSTAGRAM")
    with scene(tmp_path, specs, platform="INSTAGRAM") as page:
        page.add("beyond_detailed", reach=("alone", "nested_lists"), ids_too=True)
        assert page.attempt().complete
        assert page.statuses == {f"t_{n}": "truncated_by_platform" for n in range(4)}
        assert {row["messages_extracted"] for row in page.written.conversations} == {20}
        assert {row["reason_code"] for row in page.written.gaps} == {"instagram_limit"}


def test_ids_and_times_beyond_instagrams_limit_are_kept(tmp_path: Path) -> None:
    with scene(tmp_path, threads(4, messages=27, platform="INSTAGRAM"), platform="INSTAGRAM") as page:
        page.add("beyond_detailed", reach=("alone", "nested_lists"))
        assert page.attempt().complete
        assert page.message_ids == page.ground_truth()
        assert page.statuses == {f"t_{n}": "truncated_by_platform" for n in range(4)}
        assert {row["messages_unavailable"] for row in page.written.conversations} == {7}


def test_an_invalid_cursor_does_not_hide_instagrams_truncation(tmp_path: Path) -> None:
    with scene(tmp_path, threads(2, messages=21, platform="INSTAGRAM"), platform="INSTAGRAM") as page:
        page.add("100/cursor", route="messages", times=1)
        page.attempt(sizes=Sizes(10, 5, 5))
        assert page.message_ids == page.ground_truth()
        assert page.statuses == {"t_0": "truncated_by_platform", "t_1": "truncated_by_platform"}
        assert {row["messages_unavailable"] for row in page.written.conversations} == {1}

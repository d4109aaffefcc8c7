"""What Meta refuses in a call is left out or requested in smaller parts, and remembered; limits cost few calls."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from math import ceil
from pathlib import Path

import pytest

from airflow_provider_metaconv.emulator import MessageSpec, ThreadSpec
from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.graph.errors import RateLimitError
from tests.integration.extract.scene import MINUTE, UNTIL, RecordedLists, Scene, impatient_session, scene, threads

ONLY_ONE = ["1", "1/99", "-2", "-2/2534084", "-3", "html_504", "html_500", "2"]
COLUMNS = {
    "tags": "tags",
    "shares": "shares",
    "reactions": "reactions",
    "sticker": "sticker",
    "attachments": "attachments",
}


@pytest.mark.parametrize("kind", ONLY_ONE)
def test_all_rows_are_read_when_only_single_row_calls_succeed(tmp_path: Path, kind: str) -> None:
    with scene(tmp_path, threads(15, messages=6)) as page:
        page.add(kind, limit_over=1)
        page.add(kind, nested_limit_over=1)
        assert page.attempts().complete
        assert (page.message_ids, page.incomplete) == (page.ground_truth(), {})
        # One call for each conversation and message, one more for each conversation's id; the others are refused.
        assert page.calls <= 15 + 15 * 6 + 15 + 180


def test_all_rows_are_read_when_only_single_row_calls_are_fast(tmp_path: Path) -> None:
    with scene(tmp_path, threads(4)) as page:
        page.add("hang", limit_over=1)
        page.add("hang", nested_limit_over=1)
        assert page.attempts(session=impatient_session(), sizes=Sizes(4, 4, 4)).complete
        assert (page.message_ids, page.incomplete) == (page.ground_truth(), {})


@pytest.mark.parametrize("kind", ["1", "-2/2534084", "html_504"])
def test_the_next_attempt_remembers_the_size_that_works(tmp_path: Path, kind: str) -> None:
    with scene(tmp_path, threads(30)) as page:
        page.add(kind, route="conversations", limit_over=1)
        page.add("80006", route="conversations", match="limit=1&", after_calls=12, times=1, regain_minutes=60)
        assert isinstance(page.failing_attempt(), RateLimitError)
        page.clock.skip(3_700)
        lists = RecordedLists()
        assert page.attempt(session=lists.session).complete
        assert page.message_ids == page.ground_truth()
        whole = [call for call in lists.calls if call[1]]
        # It may occasionally try two conversations after successes, but starts with one.
        assert (whole[0][0], whole[0][2], max(limit for limit, _, _ in whole)) == (1, 200, 2)


@pytest.mark.parametrize("kind", ["100/field", "12"])
@pytest.mark.parametrize("field", COLUMNS)
def test_a_refused_message_field_is_left_out_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, field: str
) -> None:
    content = {"message": "m", "sticker": "https://x.example/s", "tags": {"data": [{"name": "inbox"}]}}
    messages = [MessageSpec(UNTIL - timedelta(seconds=n + 1), content=content) for n in range(9)]
    with scene(tmp_path, [ThreadSpec("MESSENGER", messages, thread_id="t_long"), *threads(5)]) as page:
        page.add(kind, field=field)
        result = page.attempt(sizes=Sizes(10, 3, 3))
        assert result.complete
        assert (page.message_ids, page.incomplete) == (page.ground_truth(), {})
        assert {str(row[field]) for row in page.written.messages} == {"None"}
        assert page.written.manifest["left_out_fields"] == [field]
        assert [row["left_out_fields"] for row in page.written.windows] == [[field]]
        assert f"refuses the fields {field}" in caplog.text
        assert page.errors <= 4


@pytest.mark.parametrize("kind", ["100/field", "12"])
@pytest.mark.parametrize("field", ["participants", "message_count"])
def test_a_refused_conversation_field_is_left_out_too(tmp_path: Path, kind: str, field: str) -> None:
    with scene(tmp_path, threads(5)) as page:
        page.add(kind, field=field)
        assert page.attempt().complete
        assert page.message_ids == page.ground_truth()
        assert {str(row[field]) for row in page.written.conversations} == {"None"}
        assert page.written.manifest["left_out_fields"] == [field]


def test_the_next_attempt_remembers_all_refused_fields(tmp_path: Path) -> None:
    with scene(tmp_path, threads(12)) as page:
        page.add("100/field", field="tags")
        page.add("12", field="reactions")
        page.add("80006", route="conversations", match="after=", after_calls=1, times=1, regain_minutes=60)
        page.failing_attempt(sizes=Sizes(3, 3))
        page.clock.skip(3_700)
        before = page.errors
        assert page.attempt(sizes=Sizes(3, 3)).complete
        assert page.message_ids == page.ground_truth()
        assert page.errors == before
        assert sorted(page.written.manifest["left_out_fields"]) == ["reactions", "tags"]


@pytest.mark.parametrize("maximum", [1, 7, 25, 99])
def test_a_refused_limit_becomes_the_maximum_and_is_remembered(tmp_path: Path, maximum: int) -> None:
    with scene(tmp_path, threads(30, messages=4)) as page:
        page.add("100/limit", limit_over=maximum)
        page.add("80006", route="conversations", after_calls=6, times=1, regain_minutes=60)
        page.attempts(apart=3_700)
        assert (page.message_ids, page.incomplete) == (page.ground_truth(), {})
        # Each of several calls in flight may be refused once; no later one is.
        assert page.server.statistics()["errors"].get("100", 0) <= 5


def test_a_refused_limit_without_a_maximum_is_lowered(tmp_path: Path) -> None:
    with scene(tmp_path, threads(30, messages=4)) as page:
        page.add("100/limit", limit_over=5, text="(#100) param limit must be lower")
        assert page.attempt().complete
        assert (page.message_ids, page.incomplete) == (page.ground_truth(), {})
        assert page.errors <= 15


@pytest.mark.parametrize("routes", [("conversations",), ("page",), ("page", "conversations")], ids="+".join)
@pytest.mark.parametrize("kind", ["613", "613/1996"])
def test_an_hour_without_a_hint_costs_at_most_twenty_calls(tmp_path: Path, kind: str, routes: tuple[str, ...]) -> None:
    with scene(tmp_path, threads(12)) as page:
        for route in routes:
            page.add(kind, route=route, until_seconds=3_600)
        started, waits = page.clock(), []
        while page.clock() - started < 3_600:
            error = page.failing_attempt()
            assert isinstance(error, RateLimitError)
            waits.append(error.retry_after)
            page.clock.skip(error.retry_after + 2)
        assert page.calls <= 20
        assert waits == sorted(waits)
        assert page.attempt().complete
        assert page.message_ids == page.ground_truth()
        # The worker was freed: hardly any waiting happened within a call. An attempt that starts with a limited call
        # waits for it up to 40 s, and knows nothing of earlier attempts.
        within_calls = page.clock.skipped - sum(waits) - 2 * len(waits)
        assert within_calls <= (160 if "page" in routes else 120)


@pytest.mark.parametrize("pool", ["ads_management", "ads_insights", "messenger", "pages"])
def test_usage_of_other_objects_causes_no_delay(tmp_path: Path, pool: str) -> None:
    with scene(tmp_path, threads(40)) as page:
        page.add("foreign_usage", pool=pool, percent=100, regain_minutes=60)
        page.add("613", route="conversations", times=1, after_calls=1)
        result = page.attempt(sizes=Sizes(5, 5))
        assert result.complete
        assert page.message_ids == page.ground_truth()
        assert page.clock.skipped <= 10


def test_more_than_25_participants_are_all_written(tmp_path: Path) -> None:
    crowd = ThreadSpec("MESSENGER", threads(1)[0].messages, thread_id="t_0", participants=160)
    with scene(tmp_path, [crowd]) as page:
        result = page.attempt()
        [row] = page.written.conversations
        assert len({each["id"] for each in row["participants"]}) == 160
        assert result.calls <= 2 + ceil(135 / 100) + 1


def test_refused_participants_are_marked(tmp_path: Path) -> None:
    crowd = ThreadSpec("MESSENGER", threads(1)[0].messages, thread_id="t_0", participants=160)
    with scene(tmp_path, [crowd]) as page:
        page.add("200", match="t_0/participants")
        assert page.attempt().complete
        [row] = page.written.conversations
        assert len(row["participants"]) == 101
        assert row["participants"][-1] == {"id": None, "name": "(more, whom Meta does not return)"}
        assert page.message_ids == page.ground_truth()


def test_an_attachments_edge_without_data_is_null(tmp_path: Path) -> None:
    message = MessageSpec(UNTIL - MINUTE, content="attachments_without_data")
    with scene(tmp_path, [ThreadSpec("MESSENGER", [message], thread_id="t_0")]) as page:
        page.attempt()
        assert [row["attachments"] for row in page.written.messages] == [None]


def test_messages_under_another_id_of_the_business_are_outbound(tmp_path: Path) -> None:
    messages = [
        MessageSpec(UNTIL - 3 * MINUTE, from_page=True),
        MessageSpec(UNTIL - 2 * MINUTE, from_page=True, sender_id="17841499999999999"),
        MessageSpec(UNTIL - MINUTE),
    ]
    with scene(tmp_path, [ThreadSpec("INSTAGRAM", messages, thread_id="t_0")], platform="INSTAGRAM") as page:
        page.attempt()
        rows = sorted(page.written.messages, key=lambda row: row["created_time"])
        assert [row["direction"] for row in rows] == ["outbound", "outbound", "inbound"]


def late(page: Scene, thread: str, ago: timedelta) -> str:
    return page.server.world.post(thread, created_time=UNTIL - ago)


def test_messages_listed_late_are_read_within_the_lookback(tmp_path: Path) -> None:
    hour = timedelta(hours=1)
    with scene(tmp_path, threads(40)) as page:
        since = UNTIL - hour
        page.attempt(folder=page.folder.parent / "window=0", since=since - hour, until=since)
        missed = late(page, "t_3", hour + 4 * MINUTE)
        too_old = late(page, "t_4", hour + 25 * MINUTE)
        page.attempt(since=since, lookback=10 * MINUTE)
        assert missed in page.message_ids
        assert too_old not in page.message_ids
        assert page.message_ids == page.ground_truth(since - 10 * MINUTE)
        [window] = page.written.windows
        assert window["window_since"] == since.isoformat()


def test_lookback_usually_costs_no_call(tmp_path: Path) -> None:
    with scene(tmp_path, threads(90)) as page:
        since = UNTIL - timedelta(hours=1)
        without = page.attempt(folder=tmp_path / "p" / "a", since=since).calls
        assert page.attempt(since=since, lookback=10 * MINUTE).calls == without


def test_a_checkpoint_of_another_lookback_is_not_resumed(tmp_path: Path) -> None:
    with scene(tmp_path, threads(90)) as page:
        since = UNTIL - timedelta(hours=1)
        page.add("80006", route="conversations", after_calls=2, times=1)
        with suppress(RateLimitError):
            page.attempt(since=since, sizes=Sizes(9, 9))
        page.clock.skip(3_700)
        page.attempt(since=since, lookback=20 * MINUTE, sizes=Sizes(9, 9))
        assert page.message_ids == page.ground_truth(since - 20 * MINUTE)

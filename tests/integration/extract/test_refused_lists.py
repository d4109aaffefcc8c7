"""A list that Meta refuses, for minutes, hours or forever: never an empty success, complete once Meta responds."""

from __future__ import annotations

import gzip
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_metaconv.extract.extraction import known_conversations
from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.files.commit import BetterResultError
from airflow_provider_metaconv.files.errors import StorageError
from airflow_provider_metaconv.files.storage.local import LocalStorage
from tests.integration.extract.scene import UNTIL, Scene, impatient_session, scene, threads

REFUSALS = ["1", "1/99", "1/unknown", "2", "-1", "-2", "-2/2534084", "-3"]
FAILURES = ["html_500", "html_502", "html_504", "html_400", "reset_before", "reset_middle", "truncated_json"]
MALFORMED = [
    "service_unavailable_200",
    "old_style_error",
    "empty_object",
    "foreign_object",
    "missing_data",
    "null_rows",
]


@pytest.mark.parametrize("kind", [*REFUSALS, *FAILURES, *MALFORMED])
def test_attempts_fail_only_while_the_list_is_refused(tmp_path: Path, kind: str) -> None:
    with scene(tmp_path, threads(12)) as page:
        page.add(kind, route="conversations", until_seconds=1_500)
        for _ in range(2):
            before = page.calls_of("conversations")
            page.failing_attempt()
            assert 1 <= page.calls_of("conversations") - before <= 60
            assert not page.has_manifest
            page.clock.skip(60)
        page.clock.skip(1_500)
        result = page.attempt()
        assert result.complete
        assert page.message_ids == page.ground_truth()
        assert page.incomplete == {}


@pytest.mark.parametrize("kind", ["1", "1/99", "2", "html_500", "-2/2534084", "reset_before"])
def test_a_list_refused_forever_keeps_the_earlier_result(tmp_path: Path, kind: str) -> None:
    with scene(tmp_path, threads(12)) as page:
        page.attempt()
        earlier = page.published()
        page.add(kind, route="conversations")
        for _ in range(4):
            before = page.calls_of("conversations")
            page.failing_attempt()
            assert page.calls_of("conversations") > before
            assert page.published() == earlier
            page.clock.skip(300)


def test_a_refusal_in_the_middle_does_not_end_the_list(tmp_path: Path) -> None:
    with scene(tmp_path, threads(40)) as page:
        page.add("1/99", route="conversations", match="after=", until_seconds=3_000)
        page.failing_attempt(sizes=Sizes(5, 5))
        page.failing_attempt(sizes=Sizes(5, 5))
        page.clock.skip(3_000)
        assert page.attempt(sizes=Sizes(5, 5)).complete
        assert page.message_ids == page.ground_truth()


def test_list_timeouts_do_not_affect_the_next_attempt(tmp_path: Path) -> None:
    with scene(tmp_path, threads(12)) as page:
        page.add("hang", route="conversations", times=40)
        page.failing_attempt(session=impatient_session(), sizes=Sizes(2, 1))
        assert not page.has_manifest
        page.server.clear_faults()
        assert page.attempt().complete
        assert page.message_ids == page.ground_truth()


def earlier_window(page: Scene) -> None:
    """Extracts a window before the scene's, as an earlier run."""
    begin = UNTIL - timedelta(hours=2)
    page.attempt(folder=page.folder.parent / "window=0", since=begin, until=UNTIL - timedelta(hours=1))


def test_known_conversations_replace_a_list_only_after_ten_minutes(
    tmp_path: Path,
) -> None:
    with scene(tmp_path, threads(90)) as page:
        earlier_window(page)
        page.add("1/99", route="conversations")
        waited, lists = page.clock.skipped, page.calls_of("conversations")
        result = page.attempt(since=UNTIL - timedelta(hours=2), accept_partial=True)
        assert page.clock.skipped - waited >= 600
        assert page.calls_of("conversations") - lists >= 3
        assert not result.complete
        [window] = page.written.windows
        assert (window["status"], window["reason_code"]) == ("partial", "list_refused")
        assert page.written.manifest["complete"] is False
        assert page.written.manifest["gaps"] == [window["reason"]]
        page.server.clear_faults()
        assert page.attempt(since=UNTIL - timedelta(hours=2), accept_partial=True).complete
        assert page.message_ids == page.ground_truth(UNTIL - timedelta(hours=2))
        assert [row["status"] for row in page.written.windows] == ["complete"]


def test_a_rerun_with_the_list_still_refused_is_partial_again(tmp_path: Path) -> None:
    with scene(tmp_path, threads(90)) as page:
        earlier_window(page)
        page.add("1/99", route="conversations")
        arguments: dict[str, Any] = {"since": UNTIL - timedelta(hours=2), "accept_partial": True}
        first = page.attempt(**arguments)
        waited = page.clock.skipped
        again = page.attempt(**arguments)
        assert page.clock.skipped - waited >= 600
        assert (again.complete, again.messages) == (False, first.messages)


def test_a_list_refused_for_nine_minutes_is_still_read(tmp_path: Path) -> None:
    with scene(tmp_path, threads(90)) as page:
        earlier_window(page)
        page.add("1/99", route="conversations", until_seconds=540)
        assert page.attempt(since=UNTIL - timedelta(hours=2), accept_partial=True).complete
        assert page.message_ids == page.ground_truth(UNTIL - timedelta(hours=2))


def test_known_conversations_never_replace_a_list_by_default(tmp_path: Path) -> None:
    with scene(tmp_path, threads(90)) as page:
        earlier_window(page)
        page.add("1/99", route="conversations")
        page.failing_attempt(since=UNTIL - timedelta(hours=2))
        assert not page.has_manifest


def test_a_partial_result_never_replaces_a_complete_one(tmp_path: Path) -> None:
    with scene(tmp_path, threads(90)) as page:
        earlier_window(page)
        page.attempt()
        earlier = page.published()
        page.add("1/99", route="conversations")
        with pytest.raises(BetterResultError, match="earlier run is kept"):
            page.attempt(accept_partial=True)
        assert page.published() == earlier


class LosesCheckpoints(LocalStorage):
    """A folder whose disk refuses checkpoints after the first ``left``."""

    left = 2

    def publish_bytes(self, data: bytes, name: str, *, durable: bool = True) -> None:
        if name == "_checkpoint.json":
            self.left -= 1
            if self.left < 0:
                raise StorageError("the disk is full")
        super().publish_bytes(data, name, durable=durable)


@pytest.mark.parametrize("left", [0, 1, 2, 3])
def test_a_lost_checkpoint_never_leads_to_an_empty_success(tmp_path: Path, left: int) -> None:
    with scene(tmp_path, threads(40)) as page:
        page.add("1/99", route="conversations", after_calls=3)
        storage = LosesCheckpoints(page.folder)
        storage.left = left
        with pytest.raises(Exception, match=r"disk is full|unknown error"):
            page.attempt(folder=storage, sizes=Sizes(5, 5))
        assert not page.has_manifest
        page.failing_attempt(sizes=Sizes(5, 5))
        assert not page.has_manifest
        page.server.clear_faults()
        assert page.attempt(sizes=Sizes(5, 5)).complete
        assert page.message_ids == page.ground_truth()


@pytest.mark.parametrize("kind", ["old_style_error", "empty_object", "foreign_object", "service_unavailable_200"])
@pytest.mark.parametrize("route", ["page", "conversations"])
def test_a_single_malformed_200_costs_one_retry(tmp_path: Path, kind: str, route: str) -> None:
    with scene(tmp_path, threads(12)) as page:
        undisturbed = page.attempt(folder=tmp_path / "other").calls
        page.add(kind, route=route, times=1)
        result = page.attempt()
        assert result.complete
        assert page.message_ids == page.ground_truth()
        assert result.calls == undisturbed + 1


@pytest.mark.parametrize("kind", ["null_row", "missing_data", "null_rows"])
def test_a_list_with_malformed_rows_once_is_retried(tmp_path: Path, kind: str) -> None:
    with scene(tmp_path, threads(12)) as page:
        page.add(kind, route="conversations", edge="conversations", times=1)
        assert page.attempt().complete
        assert page.message_ids == page.ground_truth()


@pytest.mark.parametrize("kind", ["10", "200", "1/99", "html_500"])
def test_one_refused_folder_makes_the_window_partial(tmp_path: Path, kind: str) -> None:
    specs = threads(12)
    others = [
        type(spec)(spec.platform, spec.messages, thread_id=f"{spec.thread_id}_spam", folder="spam")
        for spec in threads(4)
    ]
    with scene(tmp_path, [*specs, *others]) as page:
        page.add(kind, folder="spam", route="conversations")
        result = page.attempt(list_folders=("inbox", "spam"))
        assert not result.complete
        [reason] = result.gaps
        assert reason.startswith("folder spam: ")
        assert [(row["status"], row["reason"], row["folders"]) for row in page.written.windows] == [
            ("partial", reason, "inbox,spam")
        ]
        assert page.message_ids == page.ground_truth()
        page.server.clear_faults()
        assert page.attempt(list_folders=("inbox", "spam")).complete
        assert page.message_ids == page.ground_truth(folder="all")
        assert [row["status"] for row in page.written.windows] == ["complete"]


@pytest.mark.parametrize("kind", ["-2/2534084", "200/2069030", "1/99"])
def test_an_attempts_error_contains_metas_message_for_users(tmp_path: Path, kind: str) -> None:
    with scene(tmp_path, threads(4)) as page:
        page.add(kind, route="conversations", user_title="Please wait", user_message="There are too many messages.")
        text = str(page.failing_attempt())
        assert text.startswith(f"[{kind}]")
        assert "Please wait: There are too many messages." in text
        assert "\n" not in text


@pytest.mark.parametrize("damage", ["truncated", "not gzip", "other rows", "gone", "a pipe"])
def test_a_damaged_ledger_of_another_window_costs_only_its_own_ids(tmp_path: Path, damage: str) -> None:
    with scene(tmp_path, threads(6)) as page:
        for name in ("window=2", "window=3"):
            page.attempt(folder=page.folder.parent / name)
        storage = LocalStorage(page.folder)
        everything = sorted(known_conversations(storage))
        [ledger] = (page.folder.parent / "window=2").glob("conversations-*")
        ledger_bytes = ledger.read_bytes()
        ledger.unlink()
        if damage == "a pipe":
            os.mkfifo(ledger)
        elif damage != "gone":
            content = {"truncated": ledger_bytes[:-20], "not gzip": b"\0" * len(ledger_bytes)}
            ledger.write_bytes(content.get(damage, gzip.compress(b'{"no": 1}\n[1]\nnull\n')))
        assert everything == sorted(known_conversations(storage)) != []

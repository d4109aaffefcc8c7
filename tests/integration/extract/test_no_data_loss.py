"""Whatever Meta does meanwhile: each message is written once, or the ledger says what is missing and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import ceil, log2
from pathlib import Path

import pytest

from airflow_provider_metaconv.emulator import (
    EmulatorServer,
    EmulatorSettings,
    Fault,
    LiveTraffic,
    MessageSpec,
    PageSpec,
    ThreadSpec,
    build_world,
    uniform_world,
)
from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.files.errors import StorageError
from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.graph.errors import CursorError, GraphError, RateLimitError, TokenError
from tests.integration.extract.extraction import Written, extract, written

START = datetime(2026, 11, 1, tzinfo=UTC)
END = START + timedelta(seconds=700)


def statuses(found: Written) -> dict[str, str]:
    return {row["conversation_id"]: row["status"] for row in found.conversations}


def numbered(count: int, platform: str = "MESSENGER", messages: int = 2) -> list[ThreadSpec]:
    """Threads t_0 (the newest) to t_{count-1}, each with some messages a second apart."""
    return [
        ThreadSpec(
            platform,
            [MessageSpec(END - timedelta(seconds=60 * (n + 1) + m)) for m in range(messages)],
            thread_id=f"t_{n}",
        )
        for n in range(count)
    ]


def test_threads_that_move_to_the_top_are_read_there(tmp_path: Path) -> None:
    # Two known threads move with each call, most of them before the walk down has reached them.
    traffic = LiveTraffic(every_calls=1, messages=2, new_thread_share=0.0, times=6)
    with EmulatorServer(build_world([PageSpec("100", numbered(30))], END), EmulatorSettings(live_traffic=traffic)) as s:
        extract(s, tmp_path, until=END, sizes=Sizes(5, 5))
        assert sorted(s.ground_truth("100", "MESSENGER", None, END).message_ids) == sorted(
            written(tmp_path).message_ids
        )


@pytest.mark.parametrize("position", [0, 1, 37, 63, 99])
def test_a_thread_that_breaks_every_list_is_isolated_in_few_calls(tmp_path: Path, position: int) -> None:
    with EmulatorServer(build_world([PageSpec("100", numbered(100))], END)) as server:
        server.add_fault(Fault("poisoned_thread", thread_id=f"t_{position}"))
        extraction = extract(server, tmp_path, until=END, sizes=Sizes(64, 16))
        assert sorted(server.ground_truth("100").message_ids) == sorted(written(tmp_path).message_ids)
    assert extraction.incomplete == 0
    undisturbed = 1 + 2 + 1
    assert extraction.calls <= undisturbed + 3 * ceil(log2(64)) + 4


def test_a_thread_that_cannot_be_read_alone_is_unreadable(tmp_path: Path) -> None:
    with EmulatorServer(build_world([PageSpec("100", numbered(40))], END)) as server:
        server.add_fault(Fault("poisoned_thread", thread_id="t_17", alone=True))
        extraction = extract(server, tmp_path, until=END, sizes=Sizes(16, 16))
    found = written(tmp_path)
    assert {"unreadable": [i for i, s in statuses(found).items() if s != "complete"]} == {"unreadable": ["t_17"]}
    assert (extraction.incomplete, extraction.messages, extraction.conversations) == (1, 39 * 2, 40)
    [row] = [row for row in found.conversations if row["conversation_id"] == "t_17"]
    assert "[1] Too much data" in row["reason"]


def test_sizes_grow_back_after_meta_asked_for_less(tmp_path: Path) -> None:
    with EmulatorServer(uniform_world(threads=600, messages_per_thread=2, now=END, spacing_seconds=1)) as server:
        server.add_fault(Fault("1", times=3, after_calls=2))
        extraction = extract(server, tmp_path, until=END, sizes=Sizes(20, 4))
        assert extraction.messages == 1200
    # 30 undisturbed; three halvings to 2 conversations a call, then back to 20 in steps.
    assert extraction.calls < 30 + 3 + 80


def test_a_rate_limit_never_shrinks_requests(tmp_path: Path) -> None:
    with EmulatorServer(uniform_world(threads=100, messages_per_thread=2, now=END, spacing_seconds=1)) as server:
        server.add_fault(Fault("613", times=5, after_calls=2, every=2))
        extraction = extract(server, tmp_path, until=END, sizes=Sizes(10, 4))
    assert extraction.calls == 1 + 10 + 1 + 5


@pytest.mark.parametrize("fault", ["100/cursor", "repeated_cursor"])
def test_a_failed_cursor_costs_only_a_restart_from_the_top(tmp_path: Path, fault: str) -> None:
    with EmulatorServer(build_world([PageSpec("100", numbered(60))], END)) as server:
        server.add_fault(Fault(fault, route="conversations", after_calls=3, times=1))
        extract(server, tmp_path, until=END, sizes=Sizes(5, 5))
        assert sorted(server.ground_truth("100").message_ids) == sorted(written(tmp_path).message_ids)


def test_a_list_whose_cursors_never_work_is_not_published(tmp_path: Path) -> None:
    with EmulatorServer(build_world([PageSpec("100", numbered(60))], END)) as server:
        server.add_fault(Fault("100/cursor", route="conversations", after_calls=3))
        with pytest.raises(CursorError):
            extract(server, tmp_path, until=END, sizes=Sizes(5, 5))
        assert server.statistics()["calls"] < 60
    assert not (tmp_path / "_manifest.json").exists()


@pytest.mark.parametrize("threads", [60, 450])
def test_a_result_page_that_refers_to_itself_hides_no_conversation(tmp_path: Path, threads: int) -> None:
    with EmulatorServer(build_world([PageSpec("100", numbered(threads))], END)) as server:
        server.add_fault(Fault("repeated_cursor", route="conversations", after_calls=3))
        try:
            extract(server, tmp_path, until=END, sizes=Sizes(5, 5))
        except CursorError:
            assert not (tmp_path / "_manifest.json").exists()
        else:
            assert sorted(server.ground_truth("100").message_ids) == sorted(written(tmp_path).message_ids)
        assert server.statistics()["calls"] < 600


@pytest.mark.parametrize(("messages", "status"), [(12, "complete"), (350, "unreadable")])
def test_a_paging_loop_affects_only_its_own_conversation(tmp_path: Path, messages: int, status: str) -> None:
    threads = [*numbered(2), *numbered(3, messages=messages)[2:]]
    with EmulatorServer(build_world([PageSpec("100", threads)], END)) as server:
        server.add_fault(Fault("repeated_cursor", route="messages", match="t_2/"))
        extract(server, tmp_path, until=END, sizes=Sizes(10, 3, 3))
        found = written(tmp_path)
    assert statuses(found) == {"t_0": "complete", "t_1": "complete", "t_2": status}
    assert len(set(found.message_ids)) == len(found.message_ids)
    assert status == "unreadable" or len(found.message_ids) == 2 + 2 + messages


def test_an_unordered_list_is_logged_and_read_to_its_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with EmulatorServer(build_world([PageSpec("100", numbered(60))], END)) as server:
        server.add_fault(Fault("unordered_page", route="conversations"))
        begin = END - timedelta(seconds=60 * 40)
        extract(server, tmp_path, since=begin, until=END, sizes=Sizes(7, 5))
        truth = server.ground_truth("100", "MESSENGER", begin, END)
    assert sorted(truth.message_ids) == sorted(written(tmp_path).message_ids)
    assert "not in order" in caplog.text


def test_known_conversations_replace_a_list_that_is_refused(tmp_path: Path) -> None:
    with EmulatorServer(build_world([PageSpec("100", numbered(20))], END)) as server:
        extract(server, tmp_path / "window=1", until=END)
        server.world.post("t_7", created_time=END + timedelta(seconds=30))
        server.add_fault(Fault("1", route="conversations"))
        until = END + timedelta(seconds=60)
        extraction = extract(server, tmp_path / "window=2", since=END, until=until, accept_partial=True)
        found = written(tmp_path / "window=2")
        assert [row["conversation_id"] for row in found.messages] == ["t_7"]
        [gap] = found.manifest["gaps"]
        assert gap.startswith("the list of conversations: [1] Too much data was requested")
        assert (extraction.complete, extraction.incomplete) == (False, 1)
        assert [(row["status"], row["reason_code"], row["reason"]) for row in found.windows] == [
            ("partial", "list_refused", gap)
        ]
        # The next attempt continues, requests the list again, and completes the window.
        server.clear_faults()
        assert extract(server, tmp_path / "window=2", since=END, until=until).complete
    assert [row["status"] for row in written(tmp_path / "window=2").windows] == ["complete"]


def test_a_refused_list_fails_the_attempt_unless_partial_is_accepted(tmp_path: Path) -> None:
    with EmulatorServer(build_world([PageSpec("100", numbered(20))], END)) as server:
        extract(server, tmp_path / "window=1", until=END)
        server.add_fault(Fault("1", route="conversations"))
        for _ in range(3):
            with pytest.raises(GraphError, match="Too much data"):
                extract(server, tmp_path / "window=2", since=END, until=END + timedelta(seconds=60))
    assert not (tmp_path / "window=2" / "_manifest.json").exists()


def test_a_refused_list_without_an_earlier_run_fails(tmp_path: Path) -> None:
    with EmulatorServer(build_world([PageSpec("100", numbered(5))], END)) as server:
        server.add_fault(Fault("1", route="conversations"))
        with pytest.raises(GraphError, match="Too much data"):
            extract(server, tmp_path / "pages" / "window=1", until=END)
    assert not (tmp_path / "pages" / "window=1" / "_manifest.json").exists()


def test_an_unreadable_message_is_skipped_and_counted(tmp_path: Path) -> None:
    with EmulatorServer(build_world([PageSpec("100", numbered(1, messages=9))], END)) as server:
        # The fifth message: every call that would return it is too much, except for its id and time.
        server.add_fault(Fault("1", route="messages", match=r"from.*limit=1&", after_calls=1, times=1))
        server.add_fault(Fault("1", route="messages", match=r"limit=[2-9]"))
        extraction = extract(server, tmp_path, until=END, sizes=Sizes(1, 3, 2))
        truth = server.ground_truth("100")
    found = written(tmp_path)
    assert sorted(truth.message_ids) == sorted(found.message_ids)
    assert [r["content_status"] for r in found.messages if r["content_status"] != "available"] == ["unavailable"]
    assert extraction.messages == 9


# ---- resuming an earlier attempt


def test_after_a_long_rate_limit_the_next_attempt_resumes(tmp_path: Path) -> None:
    world = uniform_world(threads=150, messages_per_thread=5, now=END, spacing_seconds=1)
    with EmulatorServer(world) as server:
        undisturbed = extract(server, tmp_path / "a", until=END, sizes=Sizes(10, 3, 3))
        server.add_fault(Fault("80006", after_calls=90, times=1, regain_minutes=7))
        with pytest.raises(RateLimitError):
            extract(server, tmp_path / "b", until=END, sizes=Sizes(10, 3, 3))
        resumed = extract(server, tmp_path / "b", until=END, sizes=Sizes(10, 3, 3))
    a, b = written(tmp_path / "a"), written(tmp_path / "b")
    assert sorted(a.message_ids) == sorted(b.message_ids)
    assert by_id(a) == by_id(b)
    assert resumed.calls <= undisturbed.calls * 1.02 + 5
    assert tuple(b.manifest["stats"][key] for key in ("attempts", "rate_limit_waits", "rate_limit_wait_seconds")) == (
        2,
        1,
        420.0,
    )


@pytest.mark.parametrize(("cursor_still_works", "more_calls"), [(True, 6), (False, 12)])
def test_a_resumed_attempt_still_stops_where_the_window_begins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cursor_still_works: bool, more_calls: int
) -> None:
    begin = END - timedelta(minutes=40)
    with EmulatorServer(build_world([PageSpec("100", numbered(200))], END)) as server:
        undisturbed = extract(server, tmp_path / "a", since=begin, until=END, sizes=Sizes(5, 5))
        server.add_fault(Fault("80006", times=1, after_calls=6))
        with pytest.raises(RateLimitError):
            extract(server, tmp_path / "b", since=begin, until=END, sizes=Sizes(5, 5))
        if not cursor_still_works:
            server.add_fault(Fault("100/cursor", route="conversations", times=1, after_calls=0))
        resumed = extract(server, tmp_path / "b", since=begin, until=END, sizes=Sizes(5, 5))
    assert undisturbed.messages == resumed.messages
    assert "not in order" not in caplog.text
    # The whole list would be 40 calls.
    assert resumed.calls <= undisturbed.calls + more_calls


def by_id(found: Written) -> dict[str, object]:
    return {row["conversation_id"]: row for row in found.conversations}


def test_a_new_token_resumes_from_the_checkpoint(tmp_path: Path) -> None:
    world = uniform_world(threads=200, messages_per_thread=2, now=END, spacing_seconds=1)
    with EmulatorServer(world) as server:
        server.add_fault(Fault("190/463", after_calls=15, times=1))
        with pytest.raises(TokenError):
            extract(server, tmp_path, until=END, sizes=Sizes(10, 3))
        calls = server.statistics()["calls"]
        extract(server, tmp_path, until=END, sizes=Sizes(10, 3))
        assert sorted(server.ground_truth("100").message_ids) == sorted(written(tmp_path).message_ids)
        assert server.statistics()["calls"] - calls < 12


def test_an_expired_stored_cursor_costs_a_restart_from_the_top(tmp_path: Path) -> None:
    # As after a new token: Meta refuses cursors issued to another token.
    with EmulatorServer(build_world([PageSpec("100", numbered(120, messages=7))], END)) as server:
        server.add_fault(Fault("190/460", after_calls=40, times=1))
        with pytest.raises(TokenError):
            extract(server, tmp_path, until=END, sizes=Sizes(5, 3, 3))
        server.add_fault(Fault("100/cursor", match="after=", times=4))
        extract(server, tmp_path, until=END, sizes=Sizes(5, 3, 3))
        found = written(tmp_path)
        assert sorted(server.ground_truth("100").message_ids) == sorted(found.message_ids)
    assert set(statuses(found).values()) == {"complete"}


@pytest.mark.parametrize("damage", ["state", "segment", "missing segment", "other run", "other shape", "later shape"])
def test_an_unusable_checkpoint_means_starting_over(tmp_path: Path, damage: str) -> None:
    world = uniform_world(threads=60, messages_per_thread=2, now=END, spacing_seconds=1)
    with EmulatorServer(world) as server:
        server.add_fault(Fault("190", after_calls=5, times=1))
        with pytest.raises(TokenError):
            extract(server, tmp_path, until=END, sizes=Sizes(10, 1))
        segment = next(iter(sorted(tmp_path.glob("_checkpoint-*"))))
        if damage == "state":
            (tmp_path / "_checkpoint.json").write_text('{"identity": 1')
        elif damage == "segment":
            segment.write_bytes(segment.read_bytes()[:-9])
        elif damage == "missing segment":
            segment.unlink()
        else:
            old, new = {
                "other run": ('"page_id":"100"', '"page_id":"101"'),
                "other shape": ('"page_sizes":', '"page_size":'),
                "later shape": ('"attempts":', '"tries":'),
            }[damage]
            text = (tmp_path / "_checkpoint.json").read_text()
            assert old in text
            (tmp_path / "_checkpoint.json").write_text(text.replace(old, new))
        extract(server, tmp_path, until=END, sizes=Sizes(10, 3))
        assert sorted(server.ground_truth("100").message_ids) == sorted(written(tmp_path).message_ids)


def test_of_two_tasks_writing_one_window_the_second_fails(tmp_path: Path) -> None:
    with EmulatorServer(build_world([PageSpec("100", numbered(5))], END)) as server:
        with (
            LocalStorage(tmp_path).lock(),
            pytest.raises(StorageError, match="another task is writing"),
        ):
            extract(server, tmp_path, until=END)
        extract(server, tmp_path, until=END)
        assert sorted(server.ground_truth("100").message_ids) == sorted(written(tmp_path).message_ids)


def test_parquet_resumes_from_a_checkpoint_too(tmp_path: Path) -> None:
    import pyarrow.parquet

    world = uniform_world(threads=100, messages_per_thread=2, now=END, spacing_seconds=1)
    with EmulatorServer(world) as server:
        server.add_fault(Fault("80006", after_calls=8, times=1, regain_minutes=7))
        arguments = {"until": END, "sizes": Sizes(10, 3), "file_format": "parquet", "rows_per_part": 70}
        with pytest.raises(RateLimitError):
            extract(server, tmp_path, **arguments)  # type: ignore[arg-type]
        extract(server, tmp_path, **arguments)  # type: ignore[arg-type]
        ids = [
            value
            for path in sorted(tmp_path.glob("messages-*.parquet"))
            for value in pyarrow.parquet.read_table(path)["message_id"].to_pylist()
        ]
        assert sorted(server.ground_truth("100").message_ids) == sorted(ids)


class FailsOnce(LocalStorage):
    """A folder whose first ledger part cannot be published."""

    failed = False

    def publish(self, temporary: Path, name: str, *, sha256: str | None = None) -> None:
        if name.startswith("conversations-") and not self.failed:
            self.failed = True
            raise StorageError("the disk is full")
        super().publish(temporary, name, sha256=sha256)


def test_a_part_that_was_not_published_is_neither_lost_nor_repeated(tmp_path: Path) -> None:
    storage = FailsOnce(tmp_path)
    with EmulatorServer(build_world([PageSpec("100", numbered(150))], END)) as server:
        with pytest.raises(StorageError):
            extract(server, storage, until=END, sizes=Sizes(20, 5), rows_per_part=120)
        extract(server, storage, until=END, sizes=Sizes(20, 5), rows_per_part=120)
        assert sorted(server.ground_truth("100").message_ids) == sorted(written(tmp_path).message_ids)

"""Whatever Meta does while a run works: every message of the window once, or a ledger that says what is not and why."""

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


def test_threads_that_move_to_the_top_during_the_walk_are_read_from_there(tmp_path: Path) -> None:
    # Two known threads move with each call; most of them before the walk, on its way down, has come to them.
    traffic = LiveTraffic(every_calls=1, messages=2, new_thread_share=0.0, times=6)
    with EmulatorServer(build_world([PageSpec("100", numbered(30))], END), EmulatorSettings(live_traffic=traffic)) as s:
        extract(s, tmp_path, until=END, sizes=Sizes(5, 5))
        assert sorted(s.ground_truth("100", "MESSENGER", None, END).message_ids) == sorted(
            written(tmp_path).message_ids
        )


@pytest.mark.parametrize("position", [0, 1, 37, 63, 99])
def test_one_thread_that_spoils_every_list_is_isolated_in_few_calls_and_read_by_itself(
    tmp_path: Path, position: int
) -> None:
    with EmulatorServer(build_world([PageSpec("100", numbered(100))], END)) as server:
        server.add_fault(Fault("poisoned_thread", thread_id=f"t_{position}"))
        extraction = extract(server, tmp_path, until=END, sizes=Sizes(64, 16))
        assert sorted(server.ground_truth("100").message_ids) == sorted(written(tmp_path).message_ids)
    assert extraction.incomplete == 0
    undisturbed = 1 + 2 + 1
    assert extraction.calls <= undisturbed + 3 * ceil(log2(64)) + 4


def test_a_thread_that_cannot_be_read_by_itself_either_is_in_the_ledger_as_unreadable(tmp_path: Path) -> None:
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
    # 30 undisturbed; three halvings to 2 conversations a call, and back to 20 in steps.
    assert extraction.calls < 30 + 3 + 80


def test_a_rate_limit_never_shrinks_what_is_asked_for(tmp_path: Path) -> None:
    with EmulatorServer(uniform_world(threads=100, messages_per_thread=2, now=END, spacing_seconds=1)) as server:
        server.add_fault(Fault("613", times=5, after_calls=2, every=2))
        extraction = extract(server, tmp_path, until=END, sizes=Sizes(10, 4))
    assert extraction.calls == 1 + 10 + 1 + 5


@pytest.mark.parametrize("fault", ["100/cursor", "repeated_cursor"])
def test_a_cursor_that_fails_costs_a_way_down_from_the_top_and_nothing_else(tmp_path: Path, fault: str) -> None:
    with EmulatorServer(build_world([PageSpec("100", numbered(60))], END)) as server:
        server.add_fault(Fault(fault, route="conversations", after_calls=3, times=1))
        extract(server, tmp_path, until=END, sizes=Sizes(5, 5))
        assert sorted(server.ground_truth("100").message_ids) == sorted(written(tmp_path).message_ids)


def test_a_list_whose_cursors_never_work_ends_in_an_error_and_nothing_is_published(tmp_path: Path) -> None:
    with EmulatorServer(build_world([PageSpec("100", numbered(60))], END)) as server:
        server.add_fault(Fault("100/cursor", route="conversations", after_calls=3))
        with pytest.raises(CursorError):
            extract(server, tmp_path, until=END, sizes=Sizes(5, 5))
        assert server.statistics()["calls"] < 60
    assert not (tmp_path / "_manifest.json").exists()


@pytest.mark.parametrize("threads", [60, 450])
def test_a_page_that_names_itself_is_the_end_only_when_nothing_more_comes_behind_it(
    tmp_path: Path, threads: int
) -> None:
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
def test_a_circle_within_one_conversation_concerns_that_one_alone(tmp_path: Path, messages: int, status: str) -> None:
    threads = [*numbered(2), *numbered(3, messages=messages)[2:]]
    with EmulatorServer(build_world([PageSpec("100", threads)], END)) as server:
        server.add_fault(Fault("repeated_cursor", route="messages", match="t_2/"))
        extract(server, tmp_path, until=END, sizes=Sizes(10, 3, 3))
        found = written(tmp_path)
    assert statuses(found) == {"t_0": "complete", "t_1": "complete", "t_2": status}
    assert len(set(found.message_ids)) == len(found.message_ids)
    assert status == "unreadable" or len(found.message_ids) == 2 + 2 + messages


def test_a_list_out_of_order_is_read_to_its_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with EmulatorServer(build_world([PageSpec("100", numbered(60))], END)) as server:
        server.add_fault(Fault("unordered_page", route="conversations"))
        begin = END - timedelta(seconds=60 * 40)
        extract(server, tmp_path, since=begin, until=END, sizes=Sizes(7, 5))
        truth = server.ground_truth("100", "MESSENGER", begin, END)
    assert sorted(truth.message_ids) == sorted(written(tmp_path).message_ids)
    assert "not in order" in caplog.text


def test_a_page_too_busy_to_be_listed_is_read_by_the_ids_that_an_earlier_run_knew(tmp_path: Path) -> None:
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
        assert [("partial", "list_refused", gap)] == [
            (row["status"], row["reason_code"], row["reason"]) for row in found.windows
        ]
        # The next attempt continues, asks the list again, and completes the window.
        server.clear_faults()
        assert extract(server, tmp_path / "window=2", since=END, until=until).complete
    assert [row["status"] for row in written(tmp_path / "window=2").windows] == ["complete"]


def test_unless_a_partial_result_is_acceptable_a_refused_list_fails_the_attempt_at_once(tmp_path: Path) -> None:
    with EmulatorServer(build_world([PageSpec("100", numbered(20))], END)) as server:
        extract(server, tmp_path / "window=1", until=END)
        server.add_fault(Fault("1", route="conversations"))
        for _ in range(3):
            with pytest.raises(GraphError, match="Too much data"):
                extract(server, tmp_path / "window=2", since=END, until=END + timedelta(seconds=60))
    assert not (tmp_path / "window=2" / "_manifest.json").exists()


def test_without_an_earlier_run_a_page_too_busy_to_be_listed_fails(tmp_path: Path) -> None:
    with EmulatorServer(build_world([PageSpec("100", numbered(5))], END)) as server:
        server.add_fault(Fault("1", route="conversations"))
        with pytest.raises(GraphError, match="Too much data"):
            extract(server, tmp_path / "pages" / "window=1", until=END)
    assert not (tmp_path / "pages" / "window=1" / "_manifest.json").exists()


def test_a_single_message_that_cannot_be_read_is_stepped_over_and_counted(tmp_path: Path) -> None:
    with EmulatorServer(build_world([PageSpec("100", numbered(1, messages=9))], END)) as server:
        # The fifth message: everything that would show it is too much, but for its id and time.
        server.add_fault(Fault("1", route="messages", match=r"from.*limit=1&", after_calls=1, times=1))
        server.add_fault(Fault("1", route="messages", match=r"limit=[2-9]"))
        extraction = extract(server, tmp_path, until=END, sizes=Sizes(1, 3, 2))
        truth = server.ground_truth("100")
    found = written(tmp_path)
    assert sorted(truth.message_ids) == sorted(found.message_ids)
    assert [r["content_status"] for r in found.messages if r["content_status"] != "available"] == ["unavailable"]
    assert extraction.messages == 9


# ---- going on where an earlier try ended


def test_after_a_long_rate_limit_the_next_try_goes_on_and_spends_a_few_calls_at_most(tmp_path: Path) -> None:
    world = uniform_world(threads=400, messages_per_thread=5, now=END, spacing_seconds=1)
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


@pytest.mark.parametrize(("cursor_still_leads_there", "more_calls"), [(True, 6), (False, 12)])
def test_a_try_that_goes_on_still_stops_where_the_window_begins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cursor_still_leads_there: bool, more_calls: int
) -> None:
    begin = END - timedelta(minutes=40)
    with EmulatorServer(build_world([PageSpec("100", numbered(200))], END)) as server:
        undisturbed = extract(server, tmp_path / "a", since=begin, until=END, sizes=Sizes(5, 5))
        server.add_fault(Fault("80006", times=1, after_calls=6))
        with pytest.raises(RateLimitError):
            extract(server, tmp_path / "b", since=begin, until=END, sizes=Sizes(5, 5))
        if not cursor_still_leads_there:
            server.add_fault(Fault("100/cursor", route="conversations", times=1, after_calls=0))
        resumed = extract(server, tmp_path / "b", since=begin, until=END, sizes=Sizes(5, 5))
    assert undisturbed.messages == resumed.messages
    assert "not in order" not in caplog.text
    # The whole list would be 40 calls.
    assert resumed.calls <= undisturbed.calls + more_calls


def by_id(found: Written) -> dict[str, object]:
    return {row["conversation_id"]: row for row in found.conversations}


def test_a_token_that_dies_keeps_the_checkpoint_and_a_new_one_goes_on(tmp_path: Path) -> None:
    world = uniform_world(threads=200, messages_per_thread=2, now=END, spacing_seconds=1)
    with EmulatorServer(world) as server:
        server.add_fault(Fault("190/463", after_calls=15, times=1))
        with pytest.raises(TokenError):
            extract(server, tmp_path, until=END, sizes=Sizes(10, 3))
        calls = server.statistics()["calls"]
        extract(server, tmp_path, until=END, sizes=Sizes(10, 3))
        assert sorted(server.ground_truth("100").message_ids) == sorted(written(tmp_path).message_ids)
        assert server.statistics()["calls"] - calls < 12


def test_a_stored_cursor_that_no_longer_holds_is_replaced_by_the_way_down_from_the_top(tmp_path: Path) -> None:
    # As after a new token: Meta refuses cursors that another token was given.
    with EmulatorServer(build_world([PageSpec("100", numbered(120, messages=7))], END)) as server:
        server.add_fault(Fault("190/460", after_calls=40, times=1))
        with pytest.raises(TokenError):
            extract(server, tmp_path, until=END, sizes=Sizes(5, 3, 3))
        server.add_fault(Fault("100/cursor", match="after=", times=4))
        extract(server, tmp_path, until=END, sizes=Sizes(5, 3, 3))
        found = written(tmp_path)
        assert sorted(server.ground_truth("100").message_ids) == sorted(found.message_ids)
    assert {"complete"} == set(statuses(found).values())


@pytest.mark.parametrize("damage", ["state", "segment", "missing segment", "other run", "other shape", "later shape"])
def test_a_checkpoint_that_does_not_fit_means_starting_over(tmp_path: Path, damage: str) -> None:
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


def test_two_tasks_that_write_the_same_window_one_wins_whole_and_the_other_fails_clearly(tmp_path: Path) -> None:
    with EmulatorServer(build_world([PageSpec("100", numbered(5))], END)) as server:
        with (
            LocalStorage(tmp_path).lock(),
            pytest.raises(StorageError, match="another task is writing"),
        ):
            extract(server, tmp_path, until=END)
        extract(server, tmp_path, until=END)
        assert sorted(server.ground_truth("100").message_ids) == sorted(written(tmp_path).message_ids)


def test_parquet_goes_on_from_a_checkpoint_too(tmp_path: Path) -> None:
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


def test_a_part_that_could_not_be_published_is_neither_lost_nor_there_twice(tmp_path: Path) -> None:
    storage = FailsOnce(tmp_path)
    with EmulatorServer(build_world([PageSpec("100", numbered(150))], END)) as server:
        with pytest.raises(StorageError):
            extract(server, storage, until=END, sizes=Sizes(20, 5), rows_per_part=120)
        extract(server, storage, until=END, sizes=Sizes(20, 5), rows_per_part=120)
        assert sorted(server.ground_truth("100").message_ids) == sorted(written(tmp_path).message_ids)

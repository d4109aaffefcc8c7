"""Individual guarantees of an extraction: what is read, in how many calls, and what is left behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_metaconv.emulator import (
    EmulatorServer,
    Fault,
    MessageSpec,
    PageSpec,
    ThreadSpec,
    World,
    WorldSettings,
    build_world,
    uniform_world,
)
from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.files.errors import StorageError
from airflow_provider_metaconv.graph.errors import GraphError, RateLimitError, TokenError
from airflow_provider_metaconv.schema import CONVERSATIONS, MESSAGES
from tests.integration.extract.extraction import extract, written

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def thread(platform: str, count: int, newest: datetime = NOW - HOUR, **arguments: Any) -> ThreadSpec:
    messages = [MessageSpec(newest - timedelta(minutes=n), f"text {n}", from_page=n % 2 == 1) for n in range(count)]
    return ThreadSpec(platform, messages, **arguments)


def test_a_generated_world_is_extracted_completely_on_both_platforms(tmp_path: Path) -> None:
    world = World.generate(WorldSettings(seed=3, pages=1, messages=3000, now=NOW))
    with EmulatorServer(world) as server:
        for platform in ("MESSENGER", "INSTAGRAM"):
            extract(server, tmp_path / platform, platform=platform, until=NOW)
            truth = server.ground_truth("100", platform, None, NOW)
            assert sorted(truth.message_ids) == sorted(written(tmp_path / platform).message_ids)


def test_rows_have_the_tables_columns_in_order(tmp_path: Path) -> None:
    with EmulatorServer(build_world([PageSpec("100", [thread("MESSENGER", 3)])], NOW)) as server:
        extract(server, tmp_path, until=NOW)
    found = written(tmp_path)
    assert {tuple(row) for row in found.messages} == {MESSAGES.column_names}
    assert {tuple(row) for row in found.conversations} == {CONVERSATIONS.column_names}


def test_a_messenger_row_has_sender_recipients_and_text(tmp_path: Path) -> None:
    spec = thread("MESSENGER", 2, thread_id="t_1", customer_name="Ann Example", customer_id="77")
    with EmulatorServer(build_world([PageSpec("100", [spec])], NOW)) as server:
        extract(server, tmp_path, until=NOW)
    inbound, outbound = sorted(written(tmp_path).messages, key=lambda row: row["text"])
    assert (inbound["direction"], inbound["sender_id"], inbound["sender_name"]) == ("inbound", "77", "Ann Example")
    assert (outbound["direction"], outbound["sender_id"]) == ("outbound", "100")
    assert outbound["recipients"] == [{"id": "77", "name": "Ann Example"}]
    assert (
        inbound["created_time"],
        inbound["text"],
        inbound["content_status"],
        inbound["conversation_id"],
    ) == ("2026-11-20T11:00:00+00:00", "text 0", "available", "t_1")


def test_messages_of_the_instagram_account_are_outbound(tmp_path: Path) -> None:
    with EmulatorServer(build_world([PageSpec("100", [thread("INSTAGRAM", 4)])], NOW)) as server:
        extract(server, tmp_path, platform="INSTAGRAM", until=NOW)
    found = written(tmp_path).messages
    assert [row["direction"] for row in sorted(found, key=lambda row: row["text"])] == [
        "inbound",
        "outbound",
        "inbound",
        "outbound",
    ]


def test_the_ledger_counts_messages_beyond_instagrams_limit(tmp_path: Path) -> None:
    with EmulatorServer(build_world([PageSpec("100", [thread("INSTAGRAM", 53)])], NOW)) as server:
        extraction = extract(server, tmp_path, platform="INSTAGRAM", until=NOW)
    [row] = written(tmp_path).conversations
    assert (
        extraction.incomplete,
        extraction.messages,
        row["messages_extracted"],
        row["messages_unavailable"],
        row["status"],
    ) == (1, 53, 20, 33, "truncated_by_platform")
    assert "33 older ones are known by id without content" in row["reason"]


def test_a_deleted_message_does_not_make_a_thread_incomplete(tmp_path: Path) -> None:
    spec = ThreadSpec("INSTAGRAM", [MessageSpec(NOW - HOUR), MessageSpec(NOW - 2 * HOUR, deleted=True)])
    with EmulatorServer(build_world([PageSpec("100", [spec])], NOW)) as server:
        extraction = extract(server, tmp_path, platform="INSTAGRAM", until=NOW)
    [row] = written(tmp_path).conversations
    assert (extraction.incomplete, row["status"], row["messages_unavailable"]) == (0, "complete", 1)


def test_a_window_is_read_without_older_conversations(tmp_path: Path) -> None:
    world = uniform_world(threads=400, messages_per_thread=1, now=NOW, spacing_seconds=60)
    since = NOW - timedelta(minutes=10)
    with EmulatorServer(world) as server:
        extraction = extract(server, tmp_path, since=since, until=NOW, sizes=Sizes(50, 25))
    # One for the Page's token, one for the conversations; the 350 older ones are never listed.
    assert (extraction.messages, extraction.calls) == (10, 2)


def test_an_ordinary_page_costs_one_call_per_result_page(tmp_path: Path) -> None:
    world = uniform_world(threads=1000, messages_per_thread=8, now=NOW)
    with EmulatorServer(world) as server:
        extraction = extract(server, tmp_path, until=NOW, sizes=Sizes(50, 25))
    # One for the Page's token, twenty for the list's pages, and one for what moved meanwhile.
    assert (extraction.messages, extraction.calls) == (8000, 1 + 20 + 1)


def test_a_conversation_touched_only_after_the_window_is_not_in_the_ledger(tmp_path: Path) -> None:
    later, within = thread("MESSENGER", 1, NOW - HOUR), thread("MESSENGER", 1, NOW - 5 * HOUR, thread_id="t_5")
    with EmulatorServer(build_world([PageSpec("100", [later, within])], NOW)) as server:
        extract(server, tmp_path, since=NOW - 6 * HOUR, until=NOW - 4 * HOUR)
    assert [row["conversation_id"] for row in written(tmp_path).conversations] == ["t_5"]


def test_too_much_data_halves_the_request_until_it_fits(tmp_path: Path) -> None:
    world = uniform_world(threads=60, messages_per_thread=40, now=NOW)
    with EmulatorServer(world) as server:
        server.add_fault(Fault("too_much_data", more_than=30))
        extract(server, tmp_path, until=NOW, sizes=Sizes(50, 25))
        assert sorted(server.ground_truth("100", "MESSENGER").message_ids) == sorted(written(tmp_path).message_ids)


def test_a_missing_conversation_does_not_affect_the_others(tmp_path: Path) -> None:
    specs = [thread("MESSENGER", 5, thread_id="t_1"), thread("MESSENGER", 5, thread_id="t_2")]
    with EmulatorServer(build_world([PageSpec("100", specs)], NOW)) as server:
        server.add_fault(Fault("100/33", match="t_1/messages"))
        extraction = extract(server, tmp_path, until=NOW, sizes=Sizes(10, 2, 2))
    found = written(tmp_path)
    assert {row["conversation_id"]: row["messages_extracted"] for row in found.conversations} == {"t_1": 2, "t_2": 5}
    assert {row["conversation_id"]: row["status"] for row in found.conversations} == {
        "t_1": "unreadable",
        "t_2": "complete",
    }
    assert extraction.incomplete == 1


def test_folder_and_user_filter_the_list(tmp_path: Path) -> None:
    specs = [
        thread("MESSENGER", 1, thread_id="t_1", folder="spam"),
        thread("MESSENGER", 1, thread_id="t_2", customer_id="77"),
        thread("MESSENGER", 1, thread_id="t_3"),
    ]
    with EmulatorServer(build_world([PageSpec("100", specs)], NOW)) as server:
        extract(server, tmp_path / "a", until=NOW, list_folders=["spam"])
        extract(server, tmp_path / "b", until=NOW, user_id="77")
    assert [row["conversation_id"] for row in written(tmp_path / "a").conversations] == ["t_1"]
    assert [row["conversation_id"] for row in written(tmp_path / "b").conversations] == ["t_2"]


def test_several_folders_are_one_extraction_without_duplicates(tmp_path: Path) -> None:
    folders = ["inbox", "page_done", "spam", "other"]
    specs = [thread("MESSENGER", 2, thread_id=f"t_{number}", folder=name) for number, name in enumerate(folders)]
    with EmulatorServer(build_world([PageSpec("100", specs)], NOW)) as server:
        extraction = extract(server, tmp_path, until=NOW, list_folders=[*folders, "inbox"])
    assert (extraction.conversations, extraction.messages) == (4, 8)
    assert len(set(written(tmp_path).message_ids)) == 8


def test_unusual_text_is_written_unchanged_where_possible(tmp_path: Path) -> None:
    texts = ["emoji \U0001f600", "עברית", "a\nb\"c'd", "x" * 100_000, '{"a": 1}', "'; DROP TABLE messages; --", ""]
    invalid = {"nul \0 nul": "nul \ufffd nul", "half \ud83d pair": "half \ufffd pair"}
    messages = [MessageSpec(NOW - timedelta(minutes=n), text) for n, text in enumerate([*texts, *invalid])]
    with EmulatorServer(build_world([PageSpec("100", [ThreadSpec("MESSENGER", messages)])], NOW)) as server:
        extract(server, tmp_path, until=NOW + HOUR)
    assert sorted(row["text"] for row in written(tmp_path).messages) == sorted([*texts, *invalid.values()])


def test_an_empty_window_has_only_its_own_row(tmp_path: Path) -> None:
    with EmulatorServer(build_world([PageSpec("100", [])], NOW)) as server:
        extraction = extract(server, tmp_path, until=NOW)
    found = written(tmp_path)
    assert (extraction.messages, [file["table"] for file in found.manifest["files"]]) == (0, ["extraction_windows"])
    assert [(row["status"], row["conversations"]) for row in found.windows] == [("complete", 0)]


def test_a_rerun_replaces_the_earlier_files(tmp_path: Path) -> None:
    world = build_world([PageSpec("100", [thread("MESSENGER", 5)])], NOW)
    with EmulatorServer(world) as server:
        extract(server, tmp_path, until=NOW)
        first = written(tmp_path)
        extract(server, tmp_path, until=NOW)
        again = written(tmp_path)
    assert first.messages == again.messages
    assert {path.name for path in tmp_path.iterdir()} == {
        "_manifest.json",
        *(file["path"] for file in again.manifest["files"]),
    }


@pytest.mark.parametrize(("fault", "error"), [("190/463", TokenError), ("80006", RateLimitError)])
def test_a_failed_run_keeps_the_last_good_result(tmp_path: Path, fault: str, error: type[GraphError]) -> None:
    world = uniform_world(threads=30, messages_per_thread=2, now=NOW)
    with EmulatorServer(world) as server:
        extract(server, tmp_path, until=NOW)
        first = written(tmp_path)
        server.add_fault(Fault(fault, after_calls=3, regain_minutes=9))
        with pytest.raises(error):
            extract(server, tmp_path, until=NOW, sizes=Sizes(5, 5))
    assert first == written(tmp_path)


def test_an_unfinished_run_leaves_only_a_checkpoint(tmp_path: Path) -> None:
    with EmulatorServer(uniform_world(threads=30, messages_per_thread=2, now=NOW)) as server:
        server.add_fault(Fault("190", after_calls=3))
        with pytest.raises(TokenError):
            extract(server, tmp_path, until=NOW, sizes=Sizes(5, 5))
    assert {path.stem.split("-")[0] for path in tmp_path.iterdir()} == {"_checkpoint"}


def test_an_unwritable_destination_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        EmulatorServer(build_world([PageSpec("100", [thread("MESSENGER", 1)])], NOW)) as server,
        pytest.raises(StorageError, match="choose another destination"),
    ):
        extract(server, tmp_path / "file" / "below", until=NOW)


def test_files_contain_neither_tokens_nor_paging_links(tmp_path: Path) -> None:
    world = World.generate(WorldSettings(seed=5, pages=1, messages=1500, now=NOW))
    with EmulatorServer(world) as server:
        extract(server, tmp_path, until=NOW)
        content = str(written(tmp_path))
        assert [
            secret
            for secret in ("access_token", server.user_token, server.page_token("100"), "paging", "@facebook.com")
            if secret in content
        ] == []

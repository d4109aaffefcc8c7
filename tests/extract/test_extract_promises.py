"""What a run promises of its window, whatever the Page, the page sizes and the troubles on the way."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_metaconv.emulator import (
    EmulatorServer,
    EmulatorSettings,
    Fault,
    MessageSpec,
    PageSpec,
    ThreadSpec,
    build_world,
)
from airflow_provider_metaconv.extract.page_sizes import Sizes
from tests.extract.extraction import extract, written

START = datetime(2026, 11, 1, tzinfo=UTC)
END = START + timedelta(seconds=700)


def seconds(offset: int) -> datetime:
    return START + timedelta(seconds=offset)


# A narrow range of seconds on purpose: ties of times within and across conversations are the hard part.
MESSAGES = st.lists(st.builds(MessageSpec, st.integers(0, 600).map(seconds), deleted=st.booleans()), max_size=30)
PLATFORM = st.sampled_from(["MESSENGER", "INSTAGRAM"])
THREADS = st.lists(st.builds(ThreadSpec, PLATFORM, MESSAGES), max_size=9)
SIZES = st.builds(Sizes, st.integers(1, 6), st.integers(1, 25), st.integers(1, 25))
TROUBLE = st.sampled_from(
    ["2", "1/99", "613", "html_500", "service_unavailable_200", "reset_middle", "truncated_json", "empty_page"]
)
FAULTS = st.lists(
    st.builds(Fault, TROUBLE, times=st.integers(1, 2), after_calls=st.integers(1, 12), every=st.integers(1, 3)),
    max_size=3,
)
WINDOW = st.tuples(st.none() | st.integers(0, 500), st.integers(501, 700))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(THREADS, PLATFORM, SIZES, WINDOW, FAULTS, st.integers(1, 4), st.sampled_from(["id_and_time", "id_only"]))
def test_every_message_of_the_window_is_written_once(
    threads: list[ThreadSpec],
    platform: str,
    sizes: Sizes,
    window: tuple[int | None, int],
    faults: list[Fault],
    workers: int,
    old_rows: str,
) -> None:
    since, until = None if window[0] is None else seconds(window[0]), seconds(window[1])
    world = build_world([PageSpec("100", threads)], END)
    emulation = EmulatorSettings(instagram_old_rows=old_rows)  # type: ignore[arg-type]
    with EmulatorServer(world, emulation) as server, tempfile.TemporaryDirectory() as folder:
        for fault in faults:
            server.add_fault(fault)
        extraction = extract(
            server, Path(folder), platform=platform, since=since, until=until, sizes=sizes, workers=workers
        )
        truth = server.truth("100", platform, since, until)
        found = written(Path(folder))
    without_time = truth.unavailable_ids if old_rows == "id_only" else frozenset()
    assert sorted(truth.message_ids - without_time) == sorted(found.message_ids)
    assert extraction.messages == len(found.messages) == found.manifest["stats"]["messages"]
    ledger = {row["conversation_id"]: row for row in found.conversations}
    assert len(ledger) == len(found.conversations) == extraction.conversations
    for conversation_id in {row["conversation_id"] for row in found.messages}:
        times = sorted(row["created_time"] for row in found.messages if row["conversation_id"] == conversation_id)
        row = ledger[conversation_id]
        assert (len(times), times[0], times[-1]) == (
            row["messages_extracted"] + row["messages_unavailable"] * (old_rows == "id_and_time"),
            row["oldest_message_time"],
            row["newest_message_time"],
        )
    if old_rows == "id_and_time":
        without_content = {row["message_id"] for row in found.messages if row["content_status"] == "unavailable"}
        assert truth.unavailable_ids == without_content

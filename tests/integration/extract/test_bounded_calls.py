"""A conversation whose responses are too large, or never complete, affects no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_metaconv.emulator import MessageSpec
from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.graph.session import Bounds, graph_session
from tests.integration.extract.scene import UNTIL, scene, threads

BOUNDS = Bounds(response_bytes=100_000, call_seconds=0.15)


def test_lists_that_are_too_large_are_requested_in_smaller_parts(tmp_path: Path) -> None:
    specs = [
        replace(each, messages=[replace(message, text="long " * 3_000) for message in each.messages])
        for each in threads(12, messages=9)
    ]
    with scene(tmp_path, specs) as page:
        assert page.attempt(session=graph_session(BOUNDS)).complete
        assert (page.ground_truth(), {}) == (page.message_ids, page.incomplete)


def test_only_an_oversized_message_is_left_without_content(tmp_path: Path) -> None:
    specs = threads(20, messages=9)
    huge = MessageSpec(UNTIL - timedelta(minutes=8, seconds=30), text="huge " * 30_000, message_id="m_huge")
    specs[7] = replace(specs[7], messages=[*specs[7].messages, huge])
    with scene(tmp_path, specs) as page:
        assert page.attempt(session=graph_session(BOUNDS)).complete
        assert page.ground_truth() == page.message_ids
        without = [row["message_id"] for row in page.written.messages if row["content_status"] == "unavailable"]
        assert (without, page.incomplete) == (["m_huge"], {"t_7": "truncated_by_platform"})


@pytest.mark.parametrize("reach", [("alone",), ("alone", "nested_lists")])
def test_a_conversation_that_always_times_out_is_unreadable(tmp_path: Path, reach: tuple[str, ...]) -> None:
    with scene(tmp_path, threads(20, messages=30)) as page:
        page.add("hang", thread_id="t_7", reach=reach, delay_seconds=0.4)
        # Nested messages of 3: each conversation needs its own call.
        assert page.attempt(session=graph_session(BOUNDS), sizes=Sizes(10, 3, 20)).complete
        assert page.incomplete == {"t_7": "unreadable"}
        [gap] = page.written.gaps
        assert "was not complete within call_timeout" in gap["reason"]

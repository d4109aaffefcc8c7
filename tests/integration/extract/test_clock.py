"""A clock set back, during an attempt or between two, changes no row and makes no time run backwards."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_metaconv.extract import extraction
from airflow_provider_metaconv.extract.page_sizes import Sizes
from tests.integration.extract.scene import scene, threads


def test_a_clock_set_back_changes_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, hours = datetime(2026, 11, 20, tzinfo=UTC), itertools.count()
    monkeypatch.setattr(extraction, "now", lambda: (begin - timedelta(hours=next(hours))).isoformat())
    with scene(tmp_path, threads(30)) as page:
        page.add("190/463", route="conversations", match="after=", after_calls=3, times=1)
        page.failing_attempt(sizes=Sizes(5, 5))
        earlier = (begin - timedelta(days=2)).isoformat()
        assert page.attempt(sizes=Sizes(5, 5), extracted_time=earlier).complete
        assert (page.message_ids, page.incomplete) == (page.ground_truth(), {})
        [window] = page.written.windows
        assert window["started_time"] <= window["finished_time"]

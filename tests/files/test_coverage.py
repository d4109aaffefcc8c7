"""What the windows in a folder cover without a gap: what is not covered is read by the next scheduled run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_metaconv.files.coverage import covered_until, finished_windows
from airflow_provider_metaconv.files.local import LocalStorage

START = datetime(2026, 11, 20, 13, tzinfo=UTC)


def window(since: int | None, until: int) -> str:
    """A window's name, by hours of the day."""
    begin = "begin" if since is None else f"20261120T{since:02d}0000Z"
    return f"window={begin}_20261120T{until:02d}0000Z"


@pytest.mark.parametrize(
    ("hour", "windows"),
    [
        (None, []),
        (13, [window(12, 13)]),
        (13, [window(11, 12), window(12, 13)]),
        (10, [window(9, 10), window(12, 13)]),
        (10, [window(None, 10)]),
        (13, [window(None, 10), window(9, 13)]),
        (13, [window(9, 15)]),
        (10, [window(9, 10), window(12, 12), "window=odd", "else"]),
        (None, [window(14, 15)]),
    ],
)
def test_coverage_ends_at_the_first_gap(hour: int | None, windows: list[str]) -> None:
    expected = None if hour is None else START.replace(hour=hour)
    assert expected == covered_until(windows, START)


@given(st.lists(st.tuples(st.integers(0, 22), st.integers(1, 5)), max_size=12))
def test_every_hour_before_the_end_of_the_coverage_is_in_a_window(spans: list[tuple[int, int]]) -> None:
    spans = [(since, min(since + length, 23)) for since, length in spans]
    end = covered_until([window(since, until) for since, until in spans], START)
    if end is not None:
        moment = START.replace(hour=min(since for since, _ in spans))
        while moment < end:
            assert any(since <= moment.hour < until for since, until in spans)
            moment += timedelta(hours=1)


def test_only_windows_with_a_manifest_are_finished(tmp_path: Path) -> None:
    for name in (window(9, 10), window(10, 11)):
        (tmp_path / name).mkdir()
    (tmp_path / window(9, 10) / "_manifest.json").write_text("{}")
    assert [window(9, 10)] == finished_windows(LocalStorage(tmp_path / window(12, 13)))
    assert [] == finished_windows(LocalStorage(tmp_path / "nowhere" / window(12, 13)))

"""The rows of coverage events: counts and times of one Page and platform, nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import redact

from airflow_provider_metaconv.extract.extraction import ExtractionResult
from airflow_provider_metaconv.files.coverage import Coverage, with_window
from airflow_provider_metaconv.observability.coverage_event import COLUMNS, MAX_GAPS, coverage_extra, coverage_row
from airflow_provider_metaconv.window import Window


def at(hour: int) -> datetime:
    return datetime(2026, 11, 20, hour, tzinfo=UTC)


def seconds(hour: int) -> int:
    return int(at(hour).timestamp())


def covered(*windows: tuple[int | None, int], partial: tuple[int, int] | None = None) -> Coverage:
    coverage = Coverage()
    for since, until in windows:
        coverage = with_window(coverage, None if since is None else at(since), at(until), complete=True)
    if partial is not None:
        coverage = with_window(coverage, at(partial[0]), at(partial[1]), complete=False)
    return coverage


def row(coverage: Coverage | None, window: Window | None = None, **changes: Any) -> dict[str, Any]:
    stats = {
        "incomplete_by_status": {"truncated_by_platform": 2, "unreadable": 1},
        "rate_limit_waits": 4,
        "usage_percent": 61.5,
    }
    values: dict[str, Any] = {
        "messages": 90,
        "conversations": 12,
        "incomplete": 3,
        "calls": 7,
        "complete": True,
        "stats": stats,
    }
    result = ExtractionResult(manifest="/files/_manifest.json", **(values | changes))
    return coverage_row("MESSENGER/100", "extract", 3, window or Window(at(11), at(12)), result, coverage)


def test_a_row_has_the_counts_of_the_window() -> None:
    assert row(covered((10, 12))) == {
        "page": "MESSENGER/100",
        "task_id": "extract",
        "map_index": 3,
        "since": seconds(11),
        "until": seconds(12),
        "complete": True,
        "messages": 90,
        "conversations": 12,
        "truncated": 2,
        "unreadable": 1,
        "calls": 7,
        "waits": 4,
        "usage_percent": 61.5,
        "covered_since": seconds(10),
        "covered_until": seconds(12),
        "gaps": [],
        "gap_count": 0,
    }


def test_time_between_complete_windows_is_a_gap() -> None:
    found = row(covered((8, 9), (11, 12)))
    assert (found["gaps"], found["gap_count"]) == ([[seconds(9), seconds(11)]], 1)


def test_a_partial_window_before_the_others_is_a_gap() -> None:
    found = row(covered((9, 12), partial=(8, 9)))
    assert (found["covered_since"], found["gaps"]) == (seconds(8), [[seconds(8), seconds(9)]])


def test_a_partial_window_covers_nothing() -> None:
    found = row(covered((9, 11), partial=(11, 12)), complete=False)
    assert (found["complete"], found["covered_until"]) == (False, seconds(11))


def test_a_history_starts_with_the_first_message() -> None:
    found = row(covered((None, 12)), Window(None, at(12)))
    assert (found["since"], found["covered_since"], found["covered_until"]) == (0, 0, seconds(12))


def test_without_a_record_nothing_counts_as_covered() -> None:
    found = row(None)
    assert [found[name] for name in ("covered_since", "covered_until", "gaps", "gap_count")] == [None, None, [], 0]


def test_only_the_latest_gaps_are_listed() -> None:
    found = row(covered(*((hour, hour + 1) for hour in range(0, 22, 2))))
    assert (found["gap_count"], len(found["gaps"])) == (10, MAX_GAPS)
    assert found["gaps"][-1] == [seconds(19), seconds(20)]


def test_an_event_has_the_rows_of_all_results_that_have_one() -> None:
    found = row(covered((10, 12)))
    extra = coverage_extra([{"manifest": "a", "coverage": found}, {"manifest": "b"}, "c"])
    assert extra == {"columns": list(COLUMNS), "rows": [list(found.values())]}


def test_no_column_name_is_masked_by_airflow() -> None:
    found = {"columns": list(COLUMNS), "rows": [list(row(covered((10, 12))).values())], **dict.fromkeys(COLUMNS, "x")}
    assert redact(found) == found

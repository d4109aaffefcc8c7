"""The record of what a Page's windows cover: one small file that loses no write and can be rebuilt."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_metaconv.files.coverage import Coverage, Span, covered_until
from airflow_provider_metaconv.files.coverage_record import (
    COVERAGE_NAME,
    StoredCoverage,
    claim_window,
    read_coverage,
    record_window,
)
from airflow_provider_metaconv.files.errors import StorageError
from airflow_provider_metaconv.files.manifest import MANIFEST_NAME, Manifest, window_id
from airflow_provider_metaconv.files.storage.local import LocalStorage

DAY = datetime(2026, 11, 20, tzinfo=UTC)


def at(hour: int) -> datetime:
    return DAY + timedelta(hours=hour)


@pytest.fixture
def page(tmp_path: Path) -> LocalStorage:
    """The folder that contains the windows of one Page and platform."""
    return LocalStorage(tmp_path / "platform=messenger" / "page_id=100")


def commit(page: LocalStorage, since: int | None, until: int, complete: bool = True) -> None:
    """Writes a window's manifest, as a finished extraction does."""
    begin = None if since is None else at(since)
    gaps = () if complete else ("the folder spam was refused",)
    text = None if begin is None else begin.isoformat()
    manifest = Manifest("100", "MESSENGER", text, at(until).isoformat(), (), complete=complete, gaps=gaps)
    folder = LocalStorage(page.folder / f"window={window_id(begin, at(until))}")
    folder.publish_bytes(manifest.to_bytes(), MANIFEST_NAME)


def coverage(page: LocalStorage) -> Coverage:
    return read_coverage(page).coverage


def test_reading_the_coverage_of_a_new_page_creates_no_file(page: LocalStorage) -> None:
    assert read_coverage(page) == StoredCoverage(Coverage(), None)
    assert not page.folder.exists()


def test_recorded_windows_are_covered(page: LocalStorage) -> None:
    record_window(page, at(9), at(10), complete=True)
    record_window(page, at(10), at(12), complete=True)
    assert coverage(page) == Coverage(at(9), (Span(at(9), at(12)),))


def test_a_valid_record_is_read_without_the_manifests(page: LocalStorage) -> None:
    record_window(page, at(9), at(10), complete=True)
    commit(page, 10, 11)
    assert coverage(page) == Coverage(at(9), (Span(at(9), at(10)),))


@pytest.mark.parametrize("damage", [b"", b"{", b'{"version": 2}', None])
def test_a_missing_or_damaged_record_is_rebuilt_from_the_manifests(page: LocalStorage, damage: bytes | None) -> None:
    for window in ((9, 10), (10, 11), (12, 13)):
        commit(page, *window)
    commit(page, 11, 12, complete=False)
    if damage is not None:
        page.publish_bytes(damage, COVERAGE_NAME)
    expected = Coverage(at(9), (Span(at(9), at(11)), Span(at(12), at(13))))
    assert coverage(page) == expected
    record_window(page, at(13), at(14), complete=True)
    assert coverage(page) == replace(expected, complete=(expected.complete[0], Span(at(12), at(14))))


def test_a_full_history_is_rebuilt(page: LocalStorage) -> None:
    commit(page, None, 10)
    assert covered_until(coverage(page), at(12)) == at(10)


def test_only_window_folders_with_a_manifest_count(page: LocalStorage) -> None:
    commit(page, 9, 10)
    window = page.folder / f"window={window_id(at(9), at(10))}"
    window.rename(page.folder / "copy-of-a-window")
    (page.folder / f"window={window_id(at(10), at(11))}").mkdir()
    assert coverage(page) == Coverage()


@pytest.mark.parametrize(
    ("since", "until"),
    [("x", "y"), ("2026-11-20T10:00:00", "2026-11-20T11:00:00"), (at(11).isoformat(), at(10).isoformat())],
)
def test_an_invalid_manifest_covers_nothing_and_is_reported(
    page: LocalStorage, caplog: pytest.LogCaptureFixture, since: str, until: str
) -> None:
    commit(page, 9, 10)
    invalid = LocalStorage(page.folder / "window=odd")
    invalid.publish_bytes(Manifest("100", "MESSENGER", since, until, ()).to_bytes(), MANIFEST_NAME)
    with caplog.at_level(logging.WARNING):
        assert coverage(page) == Coverage(at(9), (Span(at(9), at(10)),))
    assert f"{invalid.uri(MANIFEST_NAME)} counts as not covered" in caplog.text


def test_windows_recorded_concurrently_are_all_covered(page: LocalStorage) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda hour: record_window(page, at(hour), at(hour + 1), complete=True), range(12)))
    assert coverage(page) == Coverage(at(0), (Span(at(0), at(12)),))


def test_what_another_run_recorded_meanwhile_is_kept(page: LocalStorage) -> None:
    record_window(page, at(9), at(10), complete=True)
    known = read_coverage(page)
    record_window(page, at(12), at(13), complete=True)
    record_window(page, at(10), at(11), complete=True, known=known)
    assert coverage(page).complete == (Span(at(9), at(11)), Span(at(12), at(13)))


def test_a_run_without_a_gap_keeps_its_scheduled_window(page: LocalStorage) -> None:
    record_window(page, at(9), at(12), complete=True)
    before = read_coverage(page)
    assert claim_window(page, at(12), at(13)) == (at(12), before)
    assert read_coverage(page) == before


def test_a_run_after_a_gap_starts_where_the_gap_does(page: LocalStorage) -> None:
    record_window(page, at(8), at(9), complete=True)
    since, known = claim_window(page, at(12), at(13))
    assert since == at(9)
    record_window(page, since, at(13), complete=True, known=known)
    assert claim_window(page, at(13), at(14))[0] == at(13)


def test_a_run_after_a_partial_window_reads_it_again(page: LocalStorage) -> None:
    record_window(page, at(8), at(12), complete=True)
    record_window(page, at(12), at(13), complete=False)
    assert claim_window(page, at(13), at(14))[0] == at(12)


@pytest.mark.parametrize("complete", [True, False])
def test_each_attempt_of_a_run_has_the_same_window(page: LocalStorage, complete: bool) -> None:
    record_window(page, at(8), at(9), complete=True)
    attempts = [claim_window(page, at(12), at(13))[0]]
    record_window(page, at(9), at(13), complete=complete)
    attempts.append(claim_window(page, at(12), at(13))[0])
    # Other runs may commit in between, including windows that start earlier.
    record_window(page, at(5), at(6), complete=False)
    attempts.append(claim_window(page, at(12), at(13))[0])
    assert attempts == [at(9)] * 3


def test_concurrent_runs_both_read_the_gap(page: LocalStorage) -> None:
    record_window(page, at(8), at(9), complete=True)
    assert [claim_window(page, at(hour), at(hour + 1))[0] for hour in (12, 13)] == [at(9), at(9)]


def test_an_unrecorded_window_is_read_again(page: LocalStorage) -> None:
    record_window(page, at(8), at(9), complete=True)
    commit(page, 9, 10)
    assert claim_window(page, at(10), at(11))[0] == at(9)


def test_a_record_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot create the folder"):
        record_window(LocalStorage(tmp_path / "file"), at(9), at(10), complete=True)


def test_the_record_contains_only_times(page: LocalStorage) -> None:
    commit(page, 9, 10, complete=False)
    record_window(page, at(10), at(11), complete=True)
    assert "spam" not in page.read(COVERAGE_NAME).decode()

"""The coverage of one Page and platform as a small file next to the folders of its windows.

It is derived from the windows' manifests and never ahead of them: a window is recorded after its manifest is published.
If the file is missing or damaged, it is rebuilt from the manifests (except the claims) and stored with the next write.
A window that could not be recorded counts as not covered, and its time is read once more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from airflow_provider_metaconv.files.coverage import (
    BEGINNING,
    Coverage,
    claimed_since,
    covered_until,
    kept_from,
    with_claim,
    with_window,
)
from airflow_provider_metaconv.files.errors import (
    ChangedMeanwhileError,
    ManifestError,
    NotPublishedError,
    UnusableFileError,
)
from airflow_provider_metaconv.files.manifest import MANIFEST_NAME, MOST_MANIFEST_BYTES, WINDOW_PREFIX, Manifest
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.stop import threads_of

logger = logging.getLogger(__name__)

COVERAGE_NAME = "_coverage.json"

MANIFESTS_AT_ONCE = 8

_UNTIL_WRITTEN = Retrying(
    retry=retry_if_exception_type(ChangedMeanwhileError),
    wait=wait_random_exponential(multiplier=0.05, max=2),
    stop=stop_after_attempt(12),
    reraise=True,
)
"""Each conflict means that another task has written the file. Few tasks share one Page and platform."""


@dataclass(frozen=True, slots=True)
class StoredCoverage:
    """A coverage and the version of its file, which is None if the file does not exist yet."""

    coverage: Coverage
    version: str | None


def read_coverage(storage: Storage) -> StoredCoverage:
    """Return the coverage of the windows whose folders are in this one. Costs one read, whatever their number.

    Without a usable record, it is rebuilt from the windows' manifests, which reads all of them. Raises
    ``StorageError``.
    """
    found = storage.read_versioned(COVERAGE_NAME)
    if found is None:
        return StoredCoverage(_rebuilt(storage), None)
    data, version = found
    try:
        return StoredCoverage(Coverage.from_bytes(data), version)
    except ValueError as error:
        logger.warning("%s is unusable (%s) and is rebuilt from the manifests", storage.uri(COVERAGE_NAME), error)
        return StoredCoverage(_rebuilt(storage), version)


def forget_before(storage: Storage, cutoff: datetime) -> None:
    """Record that nothing before ``cutoff`` is covered, before its messages are removed. Raises ``StorageError``.

    From then on the coverage could not be rebuilt, because the manifests of that time leave as well.
    """
    stored = read_coverage(storage)
    if kept_from(stored.coverage, cutoff) != stored.coverage:
        _update(storage, lambda coverage: kept_from(coverage, cutoff), stored)


def claim_window(
    storage: Storage, since: datetime, until: datetime, not_before: datetime = BEGINNING
) -> tuple[datetime, StoredCoverage]:
    """Return where the scheduled run of this interval must start to leave no gap before it; never after ``since``.

    Time before ``not_before``, which must not be after ``since``, is no gap: its messages are not kept.

    An earlier start is stored by ``until`` before it is returned, so that all attempts of a run get the same one.
    Otherwise a run repeated after its commit would find the gap closed, and would extract a window without the rows
    that are not loaded yet. Costs one read, and one write if there is a gap. If it raises ``StorageError``, nothing was
    decided.
    """
    stored = read_coverage(storage)
    begin = _run_start(stored.coverage, since, until, not_before)
    if begin == since or claimed_since(stored.coverage, since, until) is not None:
        return begin, stored

    def claim(coverage: Coverage) -> Coverage:
        return with_claim(coverage, _run_start(coverage, since, until, not_before), until)

    stored = _update(storage, claim, stored)
    return _run_start(stored.coverage, since, until, not_before), stored


def record_window(
    storage: Storage,
    since: datetime | None,
    until: datetime,
    *,
    complete: bool,
    known: StoredCoverage | None = None,
) -> Coverage:
    """Record a window whose manifest is published, and return the coverage; ``since`` None means a full history.

    Costs one write unless another task has written since ``known`` was read, and a read before it without ``known``.
    Concurrent writers lose no window. If it raises ``StorageError``, the window counts as not covered.
    """
    return _update(storage, lambda coverage: with_window(coverage, since, until, complete=complete), known).coverage


def _run_start(coverage: Coverage, since: datetime, until: datetime, not_before: datetime) -> datetime:
    claimed = claimed_since(coverage, since, until)
    return max(claimed or covered_until(kept_from(coverage, not_before), since) or since, not_before)


def _update(storage: Storage, change: Callable[[Coverage], Coverage], known: StoredCoverage | None) -> StoredCoverage:
    for attempt in _UNTIL_WRITTEN.copy():
        with attempt:
            stored, known = known or read_coverage(storage), None
            changed = change(stored.coverage)
            version = storage.replace_if_unchanged(changed.to_bytes(), COVERAGE_NAME, version=stored.version)
            return StoredCoverage(changed, version)
    raise AssertionError("unreachable")


def _rebuilt(storage: Storage) -> Coverage:
    folders = [
        folder
        for folder in storage.children(MANIFEST_NAME)
        if folder.uri(MANIFEST_NAME).split("/")[-2].startswith(WINDOW_PREFIX)
    ]
    if len(folders) > 1:
        logger.info("There is no usable %s: reading the manifests of %d windows", COVERAGE_NAME, len(folders))
    coverage = Coverage()
    with threads_of(MANIFESTS_AT_ONCE) as pool:
        for window in pool.map(_window, folders):
            if window is not None:
                since, until, complete = window
                coverage = with_window(coverage, since, until, complete=complete)
    return coverage


def _window(folder: Storage) -> tuple[datetime | None, datetime, bool] | None:
    """Return the times and completeness of one manifest's window; None if the manifest is missing or invalid."""
    uri = folder.uri(MANIFEST_NAME)
    try:
        manifest = Manifest.from_bytes(folder.read(MANIFEST_NAME, MOST_MANIFEST_BYTES), uri)
        since, until = _times(manifest)
    except NotPublishedError:
        return None
    except (ManifestError, UnusableFileError, ValueError) as error:
        logger.warning("%s counts as not covered: %s", uri, error)
        return None
    return since, until, manifest.complete


def _times(manifest: Manifest) -> tuple[datetime | None, datetime]:
    since = None if manifest.since is None else datetime.fromisoformat(manifest.since)
    until = datetime.fromisoformat(manifest.until)
    if any(moment is not None and moment.utcoffset() is None for moment in (since, until)):
        raise ValueError("its window has no time zone")
    if since is not None and since >= until:
        raise ValueError("its window ends before it begins")
    return since, until

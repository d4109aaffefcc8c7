"""Removes old messages from the files of a destination: whole windows where it can, and rows of the others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from airflow_provider_metaconv.erase.rewriting import (
    FilesErased,
    manifest_of,
    remove_folder_of_a_person,
    remove_other_files,
    rewritten,
    windows_of,
)
from airflow_provider_metaconv.files.coverage_record import forget_before
from airflow_provider_metaconv.files.errors import ManifestError, UnusableFileError
from airflow_provider_metaconv.files.manifest import MANIFEST_NAME, ManifestFile, window_times
from airflow_provider_metaconv.files.reading import read_part
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.schema import CONVERSATION_GAPS, CONVERSATIONS, MESSAGES, Row
from airflow_provider_metaconv.stop import threads_of
from airflow_provider_metaconv.window import iso

MANIFESTS_AT_ONCE = 8

_OF_A_PERSON = "user_id="
"""The start of the name of a folder with the windows that were read for one person alone."""


@dataclass(slots=True)
class _OldMessages:
    """The rows of one window without messages before ``cutoff``, and conversations of which nothing is left."""

    cutoff: str
    _gone: set[str] = field(default_factory=set)

    def candidates(self, folder: Storage, file: ManifestFile) -> Iterator[Row]:
        """Yield all rows of a part."""
        return read_part(folder, file)

    def row_left(self, row: Row, table: str) -> Row | None:
        """Return the row, or None if it is too old."""
        if table == MESSAGES.name:
            is_old = (row["created_time"] or self.cutoff) < self.cutoff
        elif table == CONVERSATIONS.name:
            has_messages = row["messages_extracted"] or row["messages_unavailable"]
            # Without a time, it may have messages that could not be read.
            is_old = not has_messages and (row["updated_time"] or self.cutoff) < self.cutoff
            if is_old:
                self._gone.add(row["conversation_id"])
        else:
            is_old = table == CONVERSATION_GAPS.name and row["conversation_id"] in self._gone
        return None if is_old else row

    def counts_again(self, has_lost_messages: bool) -> bool:
        """A conversation that has gone may be in any part, and its gap as well."""
        return True


def remove_old_from_files(root: Storage, cutoff: datetime) -> FilesErased:
    """Remove messages before ``cutoff`` from all windows, and windows that end before it.

    First that time counts as neither covered nor a gap. Raises ``StorageError`` if a window is being extracted now or
    cannot be changed, and ``ManifestError`` for a damaged manifest.
    """
    erased = FilesErased()
    folders = windows_of(root)
    for parent in {folder.parent().uri(MANIFEST_NAME): folder.parent() for folder in folders}.values():
        forget_before(parent, cutoff)
    for folder in folders:
        if _has_ended(folder, cutoff):
            _remove_window(folder, erased)
    others = [folder for folder in folders if not _has_ended(folder, cutoff)]
    with threads_of(MANIFESTS_AT_ONCE) as pool:
        are_old = pool.map(lambda folder: _may_have_old_rows(folder, cutoff), others)
        for folder, is_old in zip(others, are_old, strict=True):
            if is_old:
                _shorten_window(folder, cutoff, erased)
    return erased


def _times(folder: Storage) -> tuple[datetime | None, datetime] | None:
    return window_times(_name(folder))


def _name(folder: Storage) -> str:
    return folder.uri(MANIFEST_NAME).split("/")[-2]


def _has_ended(folder: Storage, cutoff: datetime) -> bool:
    # By the name alone, so that a window whose manifest is damaged leaves as well.
    times = _times(folder)
    return times is not None and times[1] <= cutoff


def _remove_window(folder: Storage, erased: FilesErased) -> None:
    with folder.lock():
        folder.remove_temporaries()
        manifest = None
        with contextlib.suppress(ManifestError, UnusableFileError):
            manifest = manifest_of(folder)
        erased.add_window(manifest)
        remove_other_files(folder, None)
    if _name(folder.parent()).startswith(_OF_A_PERSON):
        remove_folder_of_a_person(folder)
    else:
        folder.remove_if_empty()


def _may_have_old_rows(folder: Storage, cutoff: datetime) -> bool:
    manifest = manifest_of(folder)
    if manifest is not None:
        begin = manifest.reads_since or manifest.since
        return begin is None or datetime.fromisoformat(begin) < cutoff
    # A checkpoint: an extraction that begins at the cutoff does not continue from it.
    times = _times(folder)
    return times is None or times[0] is None or times[0] < cutoff


def _shorten_window(folder: Storage, cutoff: datetime, erased: FilesErased) -> None:
    with folder.lock():
        folder.remove_temporaries()
        manifest = manifest_of(folder)
        if manifest is not None:
            manifest = rewritten(folder, manifest, _OldMessages(iso(cutoff)), erased)
        remove_other_files(folder, manifest)
    if manifest is None:
        folder.remove_if_empty()

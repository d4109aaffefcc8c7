"""Rewrites a window's files without some of its rows: new parts, and the manifest with them in one step.

A window is changed while its lock is held, so that no extraction writes it meanwhile. Until its new manifest is
published the old files count, and afterwards they are removed: a task that is killed leaves either, and the next one
removes what is left. Checkpoints go too, because they hold rows: an interrupted extraction starts its window over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from airflow_provider_metaconv.files.coverage_record import COVERAGE_NAME
from airflow_provider_metaconv.files.errors import NotPublishedError
from airflow_provider_metaconv.files.ledger_rows import WindowCounts
from airflow_provider_metaconv.files.manifest import (
    CHECKPOINT_NAME,
    MANIFEST_NAME,
    MOST_MANIFEST_BYTES,
    Manifest,
    ManifestFile,
)
from airflow_provider_metaconv.files.parts import write_rows
from airflow_provider_metaconv.files.reading import read_part, rows_naming, rows_of
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.schema import (
    CONVERSATION_GAPS,
    CONVERSATIONS,
    EXTRACTION_WINDOWS,
    MESSAGES,
    ContentStatus,
    ConversationStatus,
    Row,
    table_named,
)


@dataclass(slots=True)
class FilesErased:
    """How many windows were changed, and how many rows of them were removed or changed, by table."""

    windows: int = 0
    rows: Counter[str] = field(default_factory=Counter)

    def add_window(self, manifest: Manifest | None) -> None:
        """Count a window that goes as a whole; None if it has no usable manifest."""
        self.windows += 1
        for file in () if manifest is None else manifest.files:
            self.rows[file.table] += file.rows


class Change(Protocol):
    """What happens to the rows of one window. Rows come by table: messages, conversations, then gaps."""

    def candidates(self, folder: Storage, file: ManifestFile) -> Iterator[Row]:
        """Yield at least the rows of a part that ``row_left`` changes."""

    def row_left(self, row: Row, table: str) -> Row | None:
        """Return what is left of a row: itself if nothing changes, None if nothing is left.

        The counts of a conversation or gap are already without the messages that have gone.
        """

    def counts_again(self, has_lost_messages: bool) -> bool:
        """Whether the counts of conversations and gaps may be others, so that all of their rows are read."""


def windows_of(root: Storage) -> list[Storage]:
    """Return every folder of the destination that has files of a window, finished or not."""
    found = {
        folder.uri(MANIFEST_NAME): folder for name in (MANIFEST_NAME, CHECKPOINT_NAME) for folder in root.below(name)
    }
    return [found[uri] for uri in sorted(found)]


def manifest_of(folder: Storage) -> Manifest | None:
    """Return the manifest of a window, or None; raises ``ManifestError`` if it is damaged."""
    try:
        return Manifest.from_bytes(folder.read(MANIFEST_NAME, MOST_MANIFEST_BYTES), folder.uri(MANIFEST_NAME))
    except NotPublishedError:
        return None


def remove_other_files(folder: Storage, manifest: Manifest | None) -> None:
    """Remove what is not in the manifest; without one, everything."""
    kept = set() if manifest is None else {MANIFEST_NAME, *(file.path for file in manifest.files)}
    # The manifest last: without it, the others are found by the checkpoint until they are gone.
    for name in sorted(folder.names(), key=lambda name: name in (MANIFEST_NAME, CHECKPOINT_NAME)):
        if name not in kept:
            folder.delete(name)


def remove_folder_of_a_person(folder: Storage) -> None:
    """Remove the empty folder of a window that was read for one person alone, whose ID is in its path."""
    parent = folder.parent()
    if not parent.children(MANIFEST_NAME) and not parent.children(CHECKPOINT_NAME):
        parent.delete(COVERAGE_NAME)
    folder.remove_if_empty()


def rewritten(folder: Storage, manifest: Manifest, change: Change, erased: FilesErased) -> Manifest:
    """Publish the window's files without what the change removes, and return their manifest.

    Its lock must be held. The files that the manifest no longer lists are still there.
    """
    return _Rewriting(folder, manifest, change, erased).run()


class _Rewriting:
    """The files of one window while they are rewritten."""

    def __init__(self, folder: Storage, manifest: Manifest, change: Change, erased: FilesErased) -> None:
        self._folder = folder
        self._manifest = manifest
        self._change = change
        self._erased = erased
        # A lifecycle rule may have deleted parts. They stay in the manifest, so that a load still reports them.
        names = frozenset(folder.names())
        self._missing = frozenset(file for file in manifest.files if file.path not in names)
        self._dropped: Counter[tuple[str, bool]] = Counter()
        self._times: dict[str, tuple[str, str]] = {}

    def run(self) -> Manifest:
        manifest = self._manifest
        affected = {file.path for file in manifest.files if self._is_affected(file)}
        if not affected:
            return manifest
        self._erased.windows += 1
        # Messages first: the counts of the conversations follow from them.
        tables = (MESSAGES.name, CONVERSATIONS.name, CONVERSATION_GAPS.name)
        files: list[ManifestFile] = []
        for name in tables:
            own = [file for file in manifest.files if file.table == name]
            files += self._rewritten_parts(own, affected)
            if name == MESSAGES.name:
                self._times = self._remaining_times(files)
        counts = self._counts(files)
        shown = {
            "conversations": counts.conversations,
            "messages": counts.messages,
            "messages_unavailable": counts.messages_unavailable,
        }
        windows = rows_of(self._folder, manifest.files, EXTRACTION_WINDOWS)
        rows = [row | shown | {"incomplete_conversations": counts.incomplete_conversations} for row in windows]
        files += write_rows(self._folder, EXTRACTION_WINDOWS, manifest.files[0].file_format, rows)
        stats = manifest.stats | shown
        stats |= {
            "incomplete": counts.incomplete_conversations + len(manifest.gaps),
            "incomplete_by_status": dict(counts.incomplete_by_status),
        }
        changed = replace(manifest, files=tuple(files), stats=stats)
        self._folder.publish_bytes(changed.to_bytes(), MANIFEST_NAME)
        return changed

    def _is_affected(self, file: ManifestFile) -> bool:
        if file in self._missing:
            return False
        rows = self._change.candidates(self._folder, file)
        return any(self._change.row_left(row, file.table) is not row for row in rows)

    def _rewritten_parts(self, files: Sequence[ManifestFile], affected: set[str]) -> list[ManifestFile]:
        kept = []
        for file in files:
            is_counted = file.table != MESSAGES.name and self._change.counts_again(bool(self._dropped))
            if file in self._missing or (file.path not in affected and not is_counted):
                kept.append(file)
                continue
            kept += write_rows(self._folder, table_named(file.table), file.file_format, self._remaining_rows(file))
        return kept

    def _remaining_rows(self, file: ManifestFile) -> Iterator[Row]:
        is_message = file.table == MESSAGES.name
        for row in read_part(self._folder, file):
            counted = row if is_message else self._recounted(row)
            left = self._change.row_left(counted, file.table)
            if left is not counted:
                self._erased.rows[file.table] += 1
            if left is not None:
                yield left
            elif is_message:
                self._dropped[row["conversation_id"], row["content_status"] == ContentStatus.UNAVAILABLE] += 1

    def _remaining_times(self, files: Sequence[ManifestFile]) -> dict[str, tuple[str, str]]:
        """Return the first and last time of the remaining messages of conversations that lost some."""
        conversations = {conversation_id for conversation_id, _ in self._dropped}
        times: dict[str, tuple[str, str]] = {}
        for file in files if conversations else ():
            if file.table == MESSAGES.name and file not in self._missing:
                for row in rows_naming(self._folder, file, conversations):
                    time = row["created_time"]
                    oldest, newest = times.get(row["conversation_id"], (time, time))
                    times[row["conversation_id"]] = min(oldest, time), max(newest, time)
        return times

    def _recounted(self, row: Row) -> Row:
        available, unavailable = (self._dropped[row["conversation_id"], status] for status in (False, True))
        if not (available or unavailable):
            return row
        counts: Row = {
            "messages_extracted": max(row["messages_extracted"] - available, 0),
            "messages_unavailable": max(row["messages_unavailable"] - unavailable, 0),
        }
        if "oldest_message_time" in row:
            oldest, newest = self._times.get(row["conversation_id"], (None, None))
            counts |= {"oldest_message_time": oldest, "newest_message_time": newest}
        if "messages_known" in row:
            counts["messages_known"] = max(row["messages_known"] - available - unavailable, 0)
        return row | counts

    def _counts(self, files: Sequence[ManifestFile]) -> WindowCounts:
        """Return the counts of the window, from the rows that are left."""
        conversations = unavailable = 0
        incomplete: Counter[str] = Counter()
        for row in rows_of(self._folder, files, CONVERSATIONS):
            conversations += 1
            unavailable += row["messages_unavailable"]
            if row["status"] != ConversationStatus.COMPLETE:
                incomplete[row["status"]] += 1
        messages = sum(file.rows for file in files if file.table == MESSAGES.name)
        return WindowCounts(conversations, messages, unavailable, dict(incomplete))

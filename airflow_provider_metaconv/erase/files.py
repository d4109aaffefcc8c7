"""Erases people from the files of a destination: parts are rewritten, and the manifest with them in one step.

A window is changed while its lock is held, so that no extraction writes it meanwhile. Until its new manifest is
published the old files count, and afterwards they are removed: a task that is killed leaves either, and the next one
removes what is left. Checkpoints go too, because they hold rows: an interrupted extraction starts its window over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

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
from airflow_provider_metaconv.files.reading import read_part, rows_naming
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.privacy.policy import PolicyError
from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.privacy.traces import TRACES, without_people
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

_NESTED = {table.name: columns for table, columns in TRACES.items()}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The people and their conversations, by every ID under which they may be stored, and how much is erased."""

    people: frozenset[str]
    conversations: frozenset[str]
    scope: Scope
    key_id: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether whole conversations are erased."""
        return self.scope is Scope.CONVERSATION


@dataclass(slots=True)
class FilesErased:
    """How many windows were changed, and how many rows of them were removed or changed, by table."""

    windows: int = 0
    rows: Counter[str] = field(default_factory=Counter)


def windows_of(root: Storage) -> list[Storage]:
    """Return every folder of the destination that has files of a window, finished or not."""
    found = {
        folder.uri(MANIFEST_NAME): folder for name in (MANIFEST_NAME, CHECKPOINT_NAME) for folder in root.below(name)
    }
    return [found[uri] for uri in sorted(found)]


def conversations_in_files(root: Storage, wanted: Wanted) -> frozenset[str]:
    """Return the conversations, as they are stored, in which one of the people takes part.

    Raises ``PolicyError`` for files whose pseudonyms have another key than ``wanted``.
    """
    found: set[str] = set()
    for folder in windows_of(root):
        manifest = _manifest(folder)
        if manifest is None:
            continue
        check_key(manifest, folder.uri(MANIFEST_NAME), wanted.key_id)
        for file in manifest.files:
            if file.table in _NESTED:
                rows = rows_naming(folder, file, wanted.people)
                found.update(row["conversation_id"] for row in rows if _takes_part(row, file.table, wanted.people))
    return frozenset(found)


def check_key(manifest: Manifest, uri: str, key_id: str) -> None:
    """Raise ``PolicyError`` if a manifest's pseudonyms have another key, so that nobody can be found in its files."""
    if manifest.privacy.key_id not in ("", key_id):
        raise PolicyError(
            f"{uri} has pseudonyms of the key {manifest.privacy.key_id}: set privacy_conn_id to the connection of that "
            "key."
        )


def erase_from_files(root: Storage, wanted: Wanted) -> FilesErased:
    """Erase them from every window; raises ``StorageError`` if one is being extracted now, or cannot be changed."""
    erased = FilesErased()
    for folder in windows_of(root):
        with folder.lock():
            folder.remove_temporaries()
            is_left = _Window(folder, wanted, erased).erase()
        if not is_left:
            _remove_folder(folder)
    return erased


def _remove_folder(folder: Storage) -> None:
    """Remove the folder of a window that was read for one person alone, whose ID is in its path."""
    parent = folder.parent()
    if not parent.children(MANIFEST_NAME) and not parent.children(CHECKPOINT_NAME):
        parent.delete(COVERAGE_NAME)
    folder.remove_if_empty()


def remaining_in_files(root: Storage, wanted: Wanted) -> int:
    """Return how many rows of the files still have a trace of them."""
    count = 0
    for folder in windows_of(root):
        manifest = _manifest(folder)
        for file in () if manifest is None else manifest.files:
            count += sum(_changed(row, file.table, wanted) is not row for row in _candidates(folder, file, wanted))
    return count


def _manifest(folder: Storage) -> Manifest | None:
    try:
        return Manifest.from_bytes(folder.read(MANIFEST_NAME, MOST_MANIFEST_BYTES), folder.uri(MANIFEST_NAME))
    except NotPublishedError:
        return None


def _candidates(folder: Storage, file: ManifestFile, wanted: Wanted) -> Iterator[Row]:
    return rows_naming(folder, file, wanted.people | wanted.conversations)


def _rows(folder: Storage, files: Iterable[ManifestFile], table: str) -> Iterator[Row]:
    for file in files:
        if file.table == table:
            yield from read_part(folder, file)


class _Window:
    """The files of one window, whose lock is held."""

    def __init__(self, folder: Storage, wanted: Wanted, erased: FilesErased) -> None:
        self._folder = folder
        self._wanted = wanted
        self._erased = erased
        self._dropped: Counter[tuple[str, bool]] = Counter()
        self._times: dict[str, tuple[str, str]] = {}

    def erase(self) -> bool:
        """Erase them; returns whether anything of the window is left."""
        manifest = _manifest(self._folder)
        if manifest is not None:
            check_key(manifest, self._folder.uri(MANIFEST_NAME), self._wanted.key_id)
            manifest = self._rewritten(manifest)
        kept = set() if manifest is None else {MANIFEST_NAME, *(file.path for file in manifest.files)}
        # The manifest last: without it, the others are found by the checkpoint until they are gone.
        for name in sorted(self._folder.names(), key=lambda name: name in (MANIFEST_NAME, CHECKPOINT_NAME)):
            if name not in kept:
                self._folder.delete(name)
        return manifest is not None

    def _rewritten(self, manifest: Manifest) -> Manifest | None:
        """Publish the window without them; None if it was read for one of them alone."""
        windows = list(_rows(self._folder, manifest.files, EXTRACTION_WINDOWS.name))
        if any(row["user_id"] in self._wanted.people for row in windows):
            self._erased.windows += 1
            self._erased.rows.update({file.table: file.rows for file in manifest.files})
            return None
        affected = {file.path for file in manifest.files if self._is_affected(file)}
        if not affected:
            return manifest
        self._erased.windows += 1
        # Messages first: the counts of the conversations follow from them.
        tables = (MESSAGES.name, CONVERSATIONS.name, CONVERSATION_GAPS.name)
        files = [file for file in manifest.files if file.table == EXTRACTION_WINDOWS.name]
        for name in tables:
            own = [file for file in manifest.files if file.table == name]
            files += self._rewritten_parts(own, affected)
            if name == MESSAGES.name:
                self._times = self._remaining_times(files)
        counts = self._counts(files)
        files = [file for file in files if file.table != EXTRACTION_WINDOWS.name]
        shown = {
            "conversations": counts.conversations,
            "messages": counts.messages,
            "messages_unavailable": counts.messages_unavailable,
        }
        rows = [row | shown | {"incomplete_conversations": counts.incomplete_conversations} for row in windows]
        files += write_rows(self._folder, EXTRACTION_WINDOWS, _format(manifest), rows)
        stats = manifest.stats | shown
        stats |= {
            "incomplete": counts.incomplete_conversations + len(manifest.gaps),
            "incomplete_by_status": dict(counts.incomplete_by_status),
        }
        changed = replace(manifest, files=tuple(files), stats=stats)
        self._folder.publish_bytes(changed.to_bytes(), MANIFEST_NAME)
        return changed

    def _is_affected(self, file: ManifestFile) -> bool:
        rows = _candidates(self._folder, file, self._wanted)
        return any(_changed(row, file.table, self._wanted) is not row for row in rows)

    def _rewritten_parts(self, files: Sequence[ManifestFile], affected: set[str]) -> list[ManifestFile]:
        kept = []
        for file in files:
            # Only conversations that lost some messages, and not all, are counted again.
            is_counted = file.table != MESSAGES.name and self._dropped and not self._wanted.is_whole
            if file.path not in affected and not is_counted:
                kept.append(file)
                continue
            kept += write_rows(self._folder, table_named(file.table), file.file_format, self._remaining_rows(file))
        return kept

    def _remaining_rows(self, file: ManifestFile) -> Iterator[Row]:
        for row in read_part(self._folder, file):
            changed = _changed(row, file.table, self._wanted)
            if changed is not row:
                self._erased.rows[file.table] += 1
            if changed is None:
                if file.table == MESSAGES.name:
                    self._dropped[row["conversation_id"], row["content_status"] == ContentStatus.UNAVAILABLE] += 1
                continue
            yield self._recounted(changed) if file.table != MESSAGES.name else changed

    def _remaining_times(self, files: Sequence[ManifestFile]) -> dict[str, tuple[str, str]]:
        """Return the first and last time of the remaining messages of conversations that lost some."""
        conversations = {conversation_id for conversation_id, _ in self._dropped}
        times: dict[str, tuple[str, str]] = {}
        for file in files if conversations else ():
            if file.table == MESSAGES.name:
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
        for row in _rows(self._folder, files, CONVERSATIONS.name):
            conversations += 1
            unavailable += row["messages_unavailable"]
            if row["status"] != ConversationStatus.COMPLETE:
                incomplete[row["status"]] += 1
        messages = sum(file.rows for file in files if file.table == MESSAGES.name)
        return WindowCounts(conversations, messages, unavailable, dict(incomplete))


def _format(manifest: Manifest) -> str:
    return manifest.files[0].file_format


def _changed(row: Row, table: str, wanted: Wanted) -> Row | None:
    """Return what is left of a row: itself if it has no trace of them, None if nothing is."""
    if wanted.is_whole:
        if row.get("conversation_id") in wanted.conversations:
            return None
        if _takes_part(row, table, wanted.people):
            return None
    elif table == MESSAGES.name and row["sender_id"] in wanted.people:
        return None
    changes = {
        name: left
        for name in _NESTED.get(table, ())
        if (left := without_people(row[name], wanted.people)) is not row[name]
    }
    return row | changes if changes else row


def _takes_part(row: Row, table: str, people: frozenset[str]) -> bool:
    """Whether one of the people is in the row's conversation; a reaction alone is no conversation."""
    if table == MESSAGES.name:
        return row["sender_id"] in people or without_people(row["recipients"], people) is not row["recipients"]
    if table == CONVERSATIONS.name:
        return without_people(row["participants"], people) is not row["participants"]
    return False

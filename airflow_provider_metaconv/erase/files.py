"""Erases people from the files of a destination: finds them, rewrites their windows, and looks for what is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_metaconv.erase.rewriting import (
    FilesErased,
    manifest_of,
    remove_folder_of_a_person,
    remove_other_files,
    rewritten,
    windows_of,
)
from airflow_provider_metaconv.files.manifest import MANIFEST_NAME, Manifest, ManifestFile
from airflow_provider_metaconv.files.reading import rows_naming, rows_of
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.privacy.policy import PolicyError
from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.privacy.traces import TRACES, without_people
from airflow_provider_metaconv.schema import CONVERSATIONS, EXTRACTION_WINDOWS, MESSAGES, Row

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

    def candidates(self, folder: Storage, file: ManifestFile) -> Iterator[Row]:
        """Yield the rows of a part that may have a trace of them."""
        return rows_naming(folder, file, self.people | self.conversations)

    def row_left(self, row: Row, table: str) -> Row | None:
        """Return what is left of a row: itself if it has no trace of them, None if nothing is."""
        if self.is_whole:
            if row.get("conversation_id") in self.conversations or _takes_part(row, table, self.people):
                return None
        elif table == MESSAGES.name and row["sender_id"] in self.people:
            return None
        changes = {
            name: left
            for name in _NESTED.get(table, ())
            # Files of earlier releases lack columns.
            if (left := without_people(row.get(name), self.people)) is not row.get(name)
        }
        return row | changes if changes else row

    def counts_again(self, has_lost_messages: bool) -> bool:
        """Only conversations that lost some messages, and not all, are counted again."""
        return has_lost_messages and not self.is_whole


def conversations_in_files(root: Storage, wanted: Wanted) -> frozenset[str]:
    """Return the conversations, as they are stored, in which one of the people takes part.

    Raises ``PolicyError`` for files whose pseudonyms have another key than ``wanted``.
    """
    found: set[str] = set()
    for folder in windows_of(root):
        manifest = manifest_of(folder)
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
            manifest = _erased_window(folder, wanted, erased)
            remove_other_files(folder, manifest)
        if manifest is None:
            remove_folder_of_a_person(folder)
    return erased


def _erased_window(folder: Storage, wanted: Wanted, erased: FilesErased) -> Manifest | None:
    """Rewrite one window; returns None if there is no manifest, or the window was read for one of them alone."""
    manifest = manifest_of(folder)
    if manifest is None:
        return None
    check_key(manifest, folder.uri(MANIFEST_NAME), wanted.key_id)
    windows = rows_of(folder, manifest.files, EXTRACTION_WINDOWS)
    if any(row["user_id"] in wanted.people for row in windows):
        erased.add_window(manifest)
        return None
    return rewritten(folder, manifest, wanted, erased)


def remaining_in_files(root: Storage, wanted: Wanted) -> int:
    """Return how many rows of the files still have a trace of them."""
    count = 0
    for folder in windows_of(root):
        manifest = manifest_of(folder)
        for file in () if manifest is None else manifest.files:
            rows = wanted.candidates(folder, file)
            count += sum(wanted.row_left(row, file.table) is not row for row in rows)
    return count


def _takes_part(row: Row, table: str, people: frozenset[str]) -> bool:
    """Whether one of the people is in the row's conversation; a reaction alone is no conversation."""
    if table == MESSAGES.name:
        return row["sender_id"] in people or without_people(row["recipients"], people) is not row["recipients"]
    if table == CONVERSATIONS.name:
        return without_people(row["participants"], people) is not row["participants"]
    return False

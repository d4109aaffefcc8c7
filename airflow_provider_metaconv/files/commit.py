"""The commit of a window: its parts become what counts, in one step, and never in place of something better.

What an earlier extraction of the same window left is compared with what came now, conversation by conversation: a
partial result never replaces a complete one, and of each conversation and message the richer version stays.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from airflow_provider_metaconv.files.errors import (
    FilesError,
    ManifestError,
    NotPublishedError,
    StorageError,
    UnusableFileError,
)
from airflow_provider_metaconv.files.evidence import WindowEvidence
from airflow_provider_metaconv.files.ledger_rows import WindowHeader, shown_counts, write_ledger
from airflow_provider_metaconv.files.manifest import (
    MANIFEST_NAME,
    MOST_MANIFEST_BYTES,
    Manifest,
    ManifestFile,
)
from airflow_provider_metaconv.files.parts import write_rows
from airflow_provider_metaconv.files.reading import rows_of
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.files.versions import (
    better,
    has_messages,
    is_poorer,
    message_rank,
    recounted,
    unavailable_messages,
)
from airflow_provider_metaconv.schema import (
    CONVERSATION_GAPS,
    CONVERSATIONS,
    MESSAGES,
    ConversationStatus,
    ReasonCode,
    Row,
    Table,
)

logger = logging.getLogger(__name__)


class BetterResultError(FilesError):
    """A complete result of the window is there already, and a partial one would have replaced it."""


@dataclass(frozen=True, slots=True)
class Corrections:
    """What the rows in the parts do not say yet.

    ``reread`` are conversations whose rows may be there twice. ``amend`` changes ledger rows of conversations that
    were looked at a second time, by their ids. ``unplaced`` counts the messages of a conversation whose window is
    unknown: they are in no row, and counted as known.
    """

    reread: frozenset[str] = frozenset()
    amend: Mapping[str, Callable[[Row], Row]] = field(default_factory=dict)
    unplaced: Mapping[str, int] = field(default_factory=dict)


def earlier_manifest(storage: Storage) -> Manifest | None:
    """What an earlier extraction of the window published; None when there is nothing, or nothing that can be used."""
    try:
        return Manifest.from_bytes(storage.read(MANIFEST_NAME, MOST_MANIFEST_BYTES), storage.uri(MANIFEST_NAME))
    except (NotPublishedError, UnusableFileError, ManifestError):
        return None


def incomplete_before(storage: Storage, earlier: Manifest | None) -> frozenset[str]:
    """The conversations of which an earlier extraction of the window says that something is missing."""
    gaps = rows_of(storage, whole_files(storage, earlier, CONVERSATION_GAPS), CONVERSATION_GAPS)
    return frozenset(row["conversation_id"] for row in gaps if row["status"] != ConversationStatus.COMPLETE)


def _unplaced_before(storage: Storage, earlier: Manifest | None) -> dict[str, int]:
    """How many messages the earlier result knew beyond those in its rows, where that is why something is missing."""
    gaps = rows_of(storage, whole_files(storage, earlier, CONVERSATION_GAPS), CONVERSATION_GAPS)
    return {
        row["conversation_id"]: row["messages_known"] - row["messages_extracted"] - row["messages_unavailable"]
        for row in gaps
        if row["reason_code"] == ReasonCode.UNPLACED_MESSAGES
    }


def commit_window(
    storage: Storage,
    header: WindowHeader,
    parts: Sequence[ManifestFile],
    evidence: WindowEvidence,
    corrections: Corrections,
    stats: Mapping[str, Any],
    *,
    extraction_id: str,
    left_out_fields: Sequence[str] = (),
) -> Manifest:
    """Makes these parts the window's files in one step and removes what is no longer needed; returns the manifest.

    ``stats`` are what the extraction cost, as the manifest shows it. After a partial result the checkpoint stays, from
    which the next attempt continues. Raises ``BetterResultError`` when a complete result would be replaced by a partial
    one, and ``StorageError`` when a part is gone or the storage fails; then the earlier files count as before.
    """
    _check_present(storage, parts)
    earlier = earlier_manifest(storage)
    if earlier is not None and earlier.complete and not evidence.is_complete:
        raise BetterResultError(
            f"{'; '.join(evidence.gaps)}. The complete result of an earlier run stays in {storage.uri(MANIFEST_NAME)}"
        )
    files = _Rewriter(storage, header, corrections, earlier, left_out_fields).rewritten(list(parts))
    unplaced = {**_unplaced_before(storage, earlier), **corrections.unplaced}
    ledger, counts = write_ledger(storage, header, files, unplaced, stats, evidence, left_out_fields)
    manifest = Manifest(
        page_id=header.page_id,
        platform=header.platform,
        since=header.since,
        until=header.until,
        files=(*files, *ledger),
        stats=shown_counts(counts, stats, evidence),
        complete=evidence.is_complete,
        gaps=evidence.gaps,
        extraction_id=extraction_id,
        left_out_fields=tuple(left_out_fields),
        reads_since=header.reads_since,
    )
    storage.publish_bytes(manifest.to_bytes(), MANIFEST_NAME)
    clean_up(storage, manifest, [] if evidence.is_complete else parts)
    return manifest


def clean_up(storage: Storage, manifest: Manifest, checkpointed: Sequence[ManifestFile] = ()) -> None:
    """Removes what neither the manifest nor, after a partial result, the checkpoint and its parts need."""
    kept = {MANIFEST_NAME, *(file.path for file in (*manifest.files, *checkpointed))}
    # The checkpoint itself goes last: by it the next attempt sees that this one had finished.
    for name in sorted(storage.names(), key=lambda name: name == "_checkpoint.json"):
        is_checkpoint = not manifest.complete and name.startswith("_checkpoint")
        if name not in kept and not is_checkpoint:
            storage.delete(name)


def _check_present(storage: Storage, parts: Sequence[ManifestFile]) -> None:
    missing = {part.path for part in parts} - set(storage.names())
    if missing:
        raise StorageError(
            f"{', '.join(sorted(missing))} is gone from beside {storage.uri(MANIFEST_NAME)}: something "
            "removes files there while a task runs, stop that and run the task again"
        )


class _Rewriter:
    """Writes anew those parts that do not hold what they should: rows twice, or poorer ones than there were."""

    def __init__(
        self,
        storage: Storage,
        header: WindowHeader,
        corrections: Corrections,
        earlier: Manifest | None,
        left_out_fields: Sequence[str],
    ) -> None:
        self._storage = storage
        self._header = header
        self._corrections = corrections
        self._earlier = earlier
        self._earlier_rows = self._read_earlier()
        # Then each message may have been richer, though no conversation is poorer.
        self._lacks_fields = bool(left_out_fields)

    def _read_earlier(self) -> dict[str, Row]:
        rows = rows_of(self._storage, whole_files(self._storage, self._earlier, CONVERSATIONS), CONVERSATIONS)
        return {row["conversation_id"]: row for row in rows}

    def rewritten(self, files: list[ManifestFile]) -> list[ManifestFile]:
        """The files, or others with the same rows where theirs have to change."""
        richer = self._richer_before(files)
        touched = self._corrections.reread | richer
        if not touched and not self._corrections.amend:
            return files
        ours = self._set_aside(files, touched, richer)
        changed = {CONVERSATIONS.name, MESSAGES.name} if touched else {CONVERSATIONS.name}
        kept = [file for file in files if file.table not in changed]
        if touched:
            others = (row for row in rows_of(self._storage, files, MESSAGES) if row["conversation_id"] not in touched)
            kept += self._write(MESSAGES, chain(others, (row for each in ours.values() for row in each.values())))
        return kept + self._write(CONVERSATIONS, self._conversation_rows(files, ours))

    def _richer_before(self, files: list[ManifestFile]) -> frozenset[str]:
        """The conversations of which the earlier result holds more than the new one."""
        poorer = {name: row for name, row in self._earlier_rows.items() if has_messages(row)}
        if not poorer:
            return frozenset()
        for row in map(self._amended, rows_of(self._storage, files, CONVERSATIONS)):
            before = self._earlier_rows.get(row["conversation_id"])
            if before is not None and not self._lacks_fields and not is_poorer(row, before):
                poorer.pop(row["conversation_id"], None)
        return frozenset(poorer)

    def _amended(self, row: Row) -> Row:
        amend = self._corrections.amend.get(row["conversation_id"])
        return row if amend is None else amend(row)

    def _set_aside(
        self, files: list[ManifestFile], touched: frozenset[str], richer: frozenset[str]
    ) -> dict[str, dict[str, Row]]:
        """The messages of the touched conversations by conversation and id, of each the richest version."""
        messages: dict[str, dict[str, Row]] = {conversation_id: {} for conversation_id in touched}
        earlier = whole_files(self._storage, self._earlier, MESSAGES) if richer else []
        before = (row for row in rows_of(self._storage, earlier, MESSAGES) if row["conversation_id"] in richer)
        now = rows_of(self._storage, files if touched else (), MESSAGES)
        for row in chain(before, now):
            versions = messages.get(row["conversation_id"])
            if versions is not None:
                known = versions.get(row["message_id"])
                if known is None or message_rank(row) <= message_rank(known):
                    versions[row["message_id"]] = row
        return messages

    def _conversation_rows(self, files: list[ManifestFile], messages: Mapping[str, Mapping[str, Row]]) -> Iterator[Row]:
        touched: dict[str, Row] = {}
        for row in map(self._amended, rows_of(self._storage, files, CONVERSATIONS)):
            if row["conversation_id"] in messages:
                touched[row["conversation_id"]] = row
            else:
                yield row
        for conversation_id, versions in messages.items():
            now, before = touched.get(conversation_id), self._earlier_rows.get(conversation_id)
            chosen = better(now, before, unavailable_messages(versions.values()))
            if chosen is not None:
                yield recounted(chosen, versions.values())

    def _write(self, table: Table, rows: Iterable[Row]) -> list[ManifestFile]:
        return write_rows(self._storage, table, self._header.file_format, rows)


def whole_files(storage: Storage, manifest: Manifest | None, table: Table) -> list[ManifestFile]:
    """A manifest's parts of a table, as far as they are whole: what is damaged cannot be used.

    A storage that does not answer says nothing of that: its ``StorageError`` ends the attempt.
    """
    files = [] if manifest is None else [file for file in manifest.files if file.table == table.name]
    whole = [file for file in files if _is_whole(storage, file)]
    if len(whole) < len(files):
        logger.warning("Parts of the earlier result in %s are damaged and not used", storage.uri(MANIFEST_NAME))
    return whole


def _is_whole(storage: Storage, file: ManifestFile) -> bool:
    try:
        return storage.stat(file.path, file.bytes) == (file.bytes, file.sha256)
    except (NotPublishedError, UnusableFileError):
        return False

"""The commit of a window: one step makes its parts the result, and never replaces a better result.

The new result is compared with an earlier result of the same window, conversation by conversation. A partial result
never replaces a complete one, and the more complete version of each conversation and message is kept.
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
    PolicyChangedError,
    StorageError,
    UnusableFileError,
)
from airflow_provider_metaconv.files.evidence import WindowEvidence
from airflow_provider_metaconv.files.ledger_rows import WindowHeader, shown_counts, write_ledger
from airflow_provider_metaconv.files.manifest import (
    CHECKPOINT_NAME,
    MANIFEST_NAME,
    MOST_MANIFEST_BYTES,
    Manifest,
    ManifestFile,
    ManifestPrivacy,
)
from airflow_provider_metaconv.files.parts import write_rows
from airflow_provider_metaconv.files.reading import rows_of
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.files.versions import (
    better,
    has_messages,
    is_less_complete,
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
    """A partial result would have replaced a complete result of the same window."""


@dataclass(frozen=True, slots=True)
class Corrections:
    """Changes to the rows that are already in the parts.

    ``reread`` are conversations whose rows may be duplicated. ``amend`` changes the conversation rows of conversations
    that were read a second time, by ID. ``unplaced`` counts the messages per conversation whose window is unknown: they
    have no row, but count as known.
    """

    reread: frozenset[str] = frozenset()
    amend: Mapping[str, Callable[[Row], Row]] = field(default_factory=dict)
    unplaced: Mapping[str, int] = field(default_factory=dict)


def earlier_manifest(storage: Storage) -> Manifest | None:
    """Return the manifest of an earlier extraction of the window; None if there is none, or it is unusable."""
    try:
        return Manifest.from_bytes(storage.read(MANIFEST_NAME, MOST_MANIFEST_BYTES), storage.uri(MANIFEST_NAME))
    except (NotPublishedError, UnusableFileError, ManifestError):
        return None


def comparable_manifest(earlier: Manifest | None, privacy: ManifestPrivacy) -> Manifest | None:
    """Return the earlier manifest if its rows were stored under the same policy; otherwise they are not kept."""
    return earlier if earlier is not None and earlier.privacy.is_like(privacy) else None


def check_policy(storage: Storage, earlier: Manifest | None, privacy: ManifestPrivacy) -> None:
    """Raise ``PolicyChangedError`` if the window's files were written with another policy or key."""
    if earlier is not None and not earlier.privacy.is_like(privacy):
        raise PolicyChangedError(
            f"{storage.uri(MANIFEST_NAME)} has the privacy policy {earlier.privacy}, not {privacy}: use another "
            "destination, or set allow_policy_change=True to replace its files"
        )


def incomplete_before(storage: Storage, earlier: Manifest | None) -> frozenset[str]:
    """Return the conversations that an earlier extraction of the window reports as incomplete."""
    gaps = rows_of(storage, whole_files(storage, earlier, CONVERSATION_GAPS), CONVERSATION_GAPS)
    return frozenset(row["conversation_id"] for row in gaps if row["status"] != ConversationStatus.COMPLETE)


def _earlier_unplaced(storage: Storage, earlier: Manifest | None) -> dict[str, int]:
    """Return how many known messages without a row the earlier result reports per conversation."""
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
    """Commit these parts as the window's files in one step, remove obsolete files, and return the manifest.

    ``stats`` are the costs of the extraction, for the manifest. After a partial result, the checkpoint is kept so that
    the next attempt can continue from it. Raises ``BetterResultError`` if a partial result would replace a complete
    one, and ``StorageError`` if a part is missing or the storage fails. In both cases the earlier files remain valid.
    """
    _check_present(storage, parts)
    earlier = earlier_manifest(storage)
    if earlier is not None and earlier.complete and not evidence.is_complete:
        raise BetterResultError(
            f"{'; '.join(evidence.gaps)}. The complete result of an earlier run is kept in {storage.uri(MANIFEST_NAME)}"
        )
    comparable = comparable_manifest(earlier, header.privacy)
    files = _Rewriter(storage, header, corrections, comparable, left_out_fields).rewritten(list(parts))
    unplaced = {**_earlier_unplaced(storage, comparable), **corrections.unplaced}
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
        privacy=header.privacy,
    )
    storage.publish_bytes(manifest.to_bytes(), MANIFEST_NAME)
    clean_up(storage, manifest, [] if evidence.is_complete else parts)
    return manifest


def clean_up(storage: Storage, manifest: Manifest, checkpointed: Sequence[ManifestFile] = ()) -> None:
    """Remove all files but those of the manifest and, after a partial result, the checkpoint and its parts."""
    kept = {MANIFEST_NAME, *(file.path for file in (*manifest.files, *checkpointed))}
    # The checkpoint is deleted last, because it shows the next attempt that this one had finished.
    for name in sorted(storage.names(), key=lambda name: name == CHECKPOINT_NAME):
        is_checkpoint = not manifest.complete and name.startswith("_checkpoint")
        if name not in kept and not is_checkpoint:
            storage.delete(name)


def _check_present(storage: Storage, parts: Sequence[ManifestFile]) -> None:
    missing = {part.path for part in parts} - set(storage.names())
    if missing:
        raise StorageError(
            f"{', '.join(sorted(missing))} was removed from the folder of {storage.uri(MANIFEST_NAME)}: stop whatever "
            "removes files there while a task runs, and run the task again"
        )


class _Rewriter:
    """Rewrites the parts that have duplicate rows, or rows less complete than those of the earlier result."""

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
        # Without these fields, any message may have been more complete before, even if its conversation was not.
        self._lacks_fields = bool(left_out_fields)

    def _read_earlier(self) -> dict[str, Row]:
        rows = rows_of(self._storage, whole_files(self._storage, self._earlier, CONVERSATIONS), CONVERSATIONS)
        return {row["conversation_id"]: row for row in rows}

    def rewritten(self, files: list[ManifestFile]) -> list[ManifestFile]:
        """Return the files, with those replaced whose rows have to change."""
        more_complete = self._more_complete_before(files)
        touched = self._corrections.reread | more_complete
        if not touched and not self._corrections.amend:
            return files
        merged = self._merged_messages(files, touched, more_complete)
        changed = {CONVERSATIONS.name, MESSAGES.name} if touched else {CONVERSATIONS.name}
        kept = [file for file in files if file.table not in changed]
        if touched:
            others = (row for row in rows_of(self._storage, files, MESSAGES) if row["conversation_id"] not in touched)
            kept += self._write(MESSAGES, chain(others, (row for each in merged.values() for row in each.values())))
        return kept + self._write(CONVERSATIONS, self._conversation_rows(files, merged))

    def _more_complete_before(self, files: list[ManifestFile]) -> frozenset[str]:
        """Return the conversations that are more complete in the earlier result."""
        affected = {name: row for name, row in self._earlier_rows.items() if has_messages(row)}
        if not affected:
            return frozenset()
        for row in map(self._amended, rows_of(self._storage, files, CONVERSATIONS)):
            before = self._earlier_rows.get(row["conversation_id"])
            if before is not None and not self._lacks_fields and not is_less_complete(row, before):
                affected.pop(row["conversation_id"], None)
        return frozenset(affected)

    def _amended(self, row: Row) -> Row:
        amend = self._corrections.amend.get(row["conversation_id"])
        return row if amend is None else amend(row)

    def _merged_messages(
        self, files: list[ManifestFile], touched: frozenset[str], more_complete: frozenset[str]
    ) -> dict[str, dict[str, Row]]:
        """Return the most complete version of each message of these conversations, by conversation and message ID."""
        messages: dict[str, dict[str, Row]] = {conversation_id: {} for conversation_id in touched}
        earlier = whole_files(self._storage, self._earlier, MESSAGES) if more_complete else []
        before = (row for row in rows_of(self._storage, earlier, MESSAGES) if row["conversation_id"] in more_complete)
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
    """Return a manifest's undamaged parts of a table.

    A storage error does not count as damage: its ``StorageError`` ends the attempt.
    """
    files = [] if manifest is None else [file for file in manifest.files if file.table == table.name]
    whole = [file for file in files if _is_undamaged(storage, file)]
    if len(whole) < len(files):
        logger.warning("Damaged parts of the earlier result in %s are ignored", storage.uri(MANIFEST_NAME))
    return whole


def _is_undamaged(storage: Storage, file: ManifestFile) -> bool:
    try:
        return storage.stat(file.path, file.bytes) == (file.bytes, file.sha256)
    except (NotPublishedError, UnusableFileError):
        return False

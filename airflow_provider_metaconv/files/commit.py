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
from airflow_provider_metaconv.files.manifest import (
    MANIFEST_NAME,
    MOST_MANIFEST_BYTES,
    Manifest,
    ManifestFile,
    next_part_number,
)
from airflow_provider_metaconv.files.parts import PartsWriter
from airflow_provider_metaconv.files.reading import read_part
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.schema import (
    CONVERSATION_GAPS,
    CONVERSATIONS,
    EXTRACTION_WINDOWS,
    MESSAGES,
    ContentStatus,
    ConversationStatus,
    ReasonCode,
    Row,
    Table,
    WindowStatus,
    without_content,
)

logger = logging.getLogger(__name__)

_CONTENT_RANK = {status.value: rank for rank, status in enumerate(ContentStatus)}
_STATUS_RANK = {status.value: rank for rank, status in enumerate(ConversationStatus)}


class BetterResultError(FilesError):
    """A complete result of the window is there already, and a partial one would have replaced it."""


@dataclass(frozen=True, slots=True)
class ListOutcome:
    """How the reading of one list ended: ``proof`` says why it counts as read to its end, else ``reason`` why not.

    ``folder`` is Messenger's folder, None for Meta's default list.
    """

    folder: str | None
    proof: str = ""
    reason: str = ""

    @property
    def is_read(self) -> bool:
        """Whether the list was read to its end."""
        return bool(self.proof)


@dataclass(frozen=True, slots=True)
class WindowEvidence:
    """What was read of a window's lists: nothing counts as complete without a proof for each of them."""

    lists: tuple[ListOutcome, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every list was read to its end; not when there is none."""
        return bool(self.lists) and all(each.is_read for each in self.lists)

    @property
    def gaps(self) -> tuple[str, ...]:
        """Which lists were not read to their end, and why."""
        return tuple(
            f"{f'folder {each.folder}' if each.folder else 'the list of conversations'}: {each.reason}"
            for each in self.lists
            if not each.is_read
        )


@dataclass(frozen=True, slots=True)
class WindowHeader:
    """Whose window it is; times as in ``Manifest``."""

    page_id: str
    platform: str
    folders: str
    user_id: str
    window_id: str
    since: str | None
    until: str
    extracted_time: str
    file_format: str = "ndjson"
    reads_since: str | None = None


@dataclass(frozen=True, slots=True)
class Corrections:
    """What the rows in the parts do not say yet.

    ``reread`` are conversations whose rows may be there twice. ``amend`` changes ledger rows of conversations that
    were looked at a second time, by their ids. ``unplaced`` is of how many messages of a conversation nobody can say to
    which window they belong: they are in no row, and counted as known.
    """

    reread: frozenset[str] = frozenset()
    amend: Mapping[str, Callable[[Row], Row]] = field(default_factory=dict)
    unplaced: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """What a window's files hold."""

    conversations: int = 0
    messages: int = 0
    messages_unavailable: int = 0
    incomplete_by_status: Mapping[str, int] = field(default_factory=dict)

    @property
    def incomplete_conversations(self) -> int:
        """Conversations that are not complete."""
        return sum(self.incomplete_by_status.values())


def earlier_manifest(storage: Storage) -> Manifest | None:
    """What an earlier extraction of the window published; None when there is nothing, or nothing that can be used."""
    try:
        return Manifest.from_bytes(storage.read(MANIFEST_NAME, MOST_MANIFEST_BYTES), storage.uri(MANIFEST_NAME))
    except (NotPublishedError, UnusableFileError, ManifestError):
        return None


def incomplete_before(storage: Storage, earlier: Manifest | None) -> frozenset[str]:
    """The conversations of which an earlier extraction of the window says that something is missing."""
    gaps = _rows(storage, whole_files(storage, earlier, CONVERSATION_GAPS), CONVERSATION_GAPS)
    return frozenset(row["conversation_id"] for row in gaps if row["status"] != ConversationStatus.COMPLETE)


def _unplaced_before(storage: Storage, earlier: Manifest | None) -> dict[str, int]:
    """How many messages the earlier result knew beyond those in its rows, where that is why something is missing."""
    gaps = _rows(storage, whole_files(storage, earlier, CONVERSATION_GAPS), CONVERSATION_GAPS)
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
    ledger, counts = _ledger(storage, header, files, unplaced, stats, evidence, left_out_fields)
    manifest = Manifest(
        page_id=header.page_id,
        platform=header.platform,
        since=header.since,
        until=header.until,
        files=(*files, *ledger),
        stats=_shown(counts, stats, evidence),
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
        rows = _rows(self._storage, whole_files(self._storage, self._earlier, CONVERSATIONS), CONVERSATIONS)
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
            others = (row for row in _rows(self._storage, files, MESSAGES) if row["conversation_id"] not in touched)
            kept += self._write(MESSAGES, chain(others, (row for each in ours.values() for row in each.values())))
        return kept + self._write(CONVERSATIONS, self._conversation_rows(files, ours))

    def _richer_before(self, files: list[ManifestFile]) -> frozenset[str]:
        """The conversations of which the earlier result holds more than the new one."""
        poorer = {name: row for name, row in self._earlier_rows.items() if _has_messages(row)}
        if not poorer:
            return frozenset()
        for row in map(self._amended, _rows(self._storage, files, CONVERSATIONS)):
            before = self._earlier_rows.get(row["conversation_id"])
            if before is not None and not self._lacks_fields and not _is_poorer(row, before):
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
        before = (row for row in _rows(self._storage, earlier, MESSAGES) if row["conversation_id"] in richer)
        now = _rows(self._storage, files if touched else (), MESSAGES)
        for row in chain(before, now):
            versions = messages.get(row["conversation_id"])
            if versions is not None:
                known = versions.get(row["message_id"])
                if known is None or _rank(row) <= _rank(known):
                    versions[row["message_id"]] = row
        return messages

    def _conversation_rows(self, files: list[ManifestFile], messages: Mapping[str, Mapping[str, Row]]) -> Iterator[Row]:
        touched: dict[str, Row] = {}
        for row in map(self._amended, _rows(self._storage, files, CONVERSATIONS)):
            if row["conversation_id"] in messages:
                touched[row["conversation_id"]] = row
            else:
                yield row
        for conversation_id, versions in messages.items():
            now, before = touched.get(conversation_id), self._earlier_rows.get(conversation_id)
            better = _better(now, before, _unavailable(versions.values()))
            if better is not None:
                yield _recounted(better, versions.values())

    def _write(self, table: Table, rows: Iterable[Row]) -> list[ManifestFile]:
        return _write(self._storage, table, self._header.file_format, rows)


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


def _write(storage: Storage, table: Table, file_format: str, rows: Iterable[Row]) -> list[ManifestFile]:
    number = next_part_number(storage.names())
    with PartsWriter(storage, table, file_format, first_number=number) as writer:
        writer.write(rows)
    return list(writer.published)


def _rows(storage: Storage, files: Iterable[ManifestFile], table: Table) -> Iterator[Row]:
    for file in files:
        if file.table == table.name:
            yield from read_part(storage, file)


def completeness_rank(message: Row) -> int:
    """How much of a message is missing: the lower the richer, as the warehouses count it."""
    return (
        9 * _CONTENT_RANK.get(message["content_status"], len(_CONTENT_RANK))
        + 2 * (message["sender_id"] is None)
        + 2 * (not message["text"])
        + 2 * (message["attachments"] is None)
        + (message["shares"] is None)
        + (message["story"] is None)
    )


def _rank(message: Row) -> tuple[int, int]:
    """The rank, and of equal ones the number of columns without a value."""
    return completeness_rank(message), sum(value is None for value in message.values())


def _is_poorer(now: Row, before: Row) -> bool:
    return (
        _status_rank(now) > _status_rank(before)
        or now["messages_unavailable"] > before["messages_unavailable"]
        or now["messages_extracted"] < before["messages_extracted"]
        # Where something is missing, as many messages can be others: Instagram's newest have moved on.
        or now["reason_code"] is not None
    )


def _has_messages(row: Row) -> bool:
    # Nothing is lost with the row of a conversation that was refused, or of messages that belong to no window.
    return row["oldest_message_time"] is not None


def _status_rank(row: Row) -> int:
    return _STATUS_RANK.get(row["status"], len(_STATUS_RANK))


def _better(now: Row | None, before: Row | None, unavailable: int) -> Row | None:
    """The row that says more of the messages that are there, ``unavailable`` of them without content."""
    if now is None or before is None:
        return before if now is None else now
    # A message that came since, and whose content is refused, is one that the earlier row knows nothing of.
    is_outdated = unavailable > before["messages_unavailable"]
    return before if _status_rank(before) < _status_rank(now) and not is_outdated else now


def _unavailable(messages: Iterable[Row]) -> int:
    return sum(message["content_status"] == ContentStatus.UNAVAILABLE for message in messages)


def _recounted(row: Row, messages: Iterable[Row]) -> Row:
    """The ledger row with the counts of the messages that are there."""
    messages = list(messages)
    times = sorted(message["created_time"] for message in messages)
    unavailable = _unavailable(messages)
    recounted = row | {
        "messages_extracted": len(messages) - unavailable,
        "messages_unavailable": unavailable,
        "oldest_message_time": times[0] if times else None,
        "newest_message_time": times[-1] if times else None,
    }
    if unavailable and row["reason_code"] is None:
        # Known from the earlier result alone: Meta has shown all that it still has.
        recounted |= {"reason_code": ReasonCode.CONTENT_UNAVAILABLE.value, "reason": without_content(unavailable)}
    return {name: recounted.get(name) for name in CONVERSATIONS.column_names}


def _ledger(
    storage: Storage,
    header: WindowHeader,
    files: Sequence[ManifestFile],
    unplaced: Mapping[str, int],
    stats: Mapping[str, Any],
    evidence: WindowEvidence,
    left_out_fields: Sequence[str],
) -> tuple[list[ManifestFile], WindowCounts]:
    """The parts of the tables ``conversation_gaps`` and ``extraction_windows``, and what the files hold."""
    counter = _Counter()
    gaps = (
        _gap_row(header, row, unplaced.get(row["conversation_id"], 0))
        for row in counter.counted(_rows(storage, files, CONVERSATIONS))
        if row["reason_code"] is not None
    )
    parts = _write(storage, CONVERSATION_GAPS, header.file_format, gaps)
    counts = counter.counts(sum(file.rows for file in files if file.table == MESSAGES.name))
    window = _window_row(header, counts, stats, evidence, left_out_fields)
    return parts + _write(storage, EXTRACTION_WINDOWS, header.file_format, [window]), counts


class _Counter:
    def __init__(self) -> None:
        self._conversations = self._unavailable = 0
        self._incomplete: dict[str, int] = {}

    def counted(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            self._conversations += 1
            self._unavailable += row["messages_unavailable"]
            if row["status"] != ConversationStatus.COMPLETE:
                self._incomplete[row["status"]] = self._incomplete.get(row["status"], 0) + 1
            yield row

    def counts(self, messages: int) -> WindowCounts:
        in_order = {name: self._incomplete[name] for name in _STATUS_RANK if name in self._incomplete}
        return WindowCounts(self._conversations, messages, self._unavailable, in_order)


def _key(header: WindowHeader) -> Row:
    return {
        "platform": header.platform,
        "page_id": header.page_id,
        "folders": header.folders,
        "user_id": header.user_id,
        "window_id": header.window_id,
    }


def _gap_row(header: WindowHeader, conversation: Row, unplaced: int) -> Row:
    extracted, unavailable = conversation["messages_extracted"], conversation["messages_unavailable"]
    return _key(header) | {
        "conversation_id": conversation["conversation_id"],
        "window_since": header.since,
        "window_until": header.until,
        "status": conversation["status"],
        "reason_code": conversation["reason_code"],
        "reason": conversation["reason"],
        "messages_known": extracted + unavailable + unplaced,
        "messages_extracted": extracted,
        "messages_unavailable": unavailable,
        "closed_by_window": None,
        # Of this extraction even where an earlier row was kept: it found the gap still open.
        "extracted_time": header.extracted_time,
    }


def _window_row(
    header: WindowHeader,
    counts: WindowCounts,
    stats: Mapping[str, Any],
    evidence: WindowEvidence,
    left_out_fields: Sequence[str],
) -> Row:
    is_complete = evidence.is_complete
    return _key(header) | {
        "window_since": header.since,
        "window_until": header.until,
        "status": (WindowStatus.COMPLETE if is_complete else WindowStatus.PARTIAL).value,
        "reason_code": None if is_complete else ReasonCode.LIST_REFUSED.value,
        "reason": None if is_complete else "; ".join(evidence.gaps),
        "conversations": counts.conversations,
        "messages": counts.messages,
        "messages_unavailable": counts.messages_unavailable,
        "incomplete_conversations": counts.incomplete_conversations,
        "calls": stats["calls"],
        "rate_limit_waits": stats["rate_limit_waits"],
        "rate_limit_wait_seconds": round(stats["rate_limit_wait_seconds"]),
        "left_out_fields": list(left_out_fields),
        "started_time": stats["started"],
        "finished_time": stats["finished"],
        "extracted_time": header.extracted_time,
    }


def _shown(counts: WindowCounts, stats: Mapping[str, Any], evidence: WindowEvidence) -> dict[str, Any]:
    """The manifest's stats: what is there, and what it cost."""
    shown = {
        "conversations": counts.conversations,
        "messages": counts.messages,
        "messages_unavailable": counts.messages_unavailable,
        "incomplete": counts.incomplete_conversations + len(evidence.gaps),
        "incomplete_by_status": dict(counts.incomplete_by_status),
        **stats,
    }
    return shown | {"gaps": list(evidence.gaps)} if evidence.gaps else shown

"""What a later attempt needs to continue where this one ended: rows that are in no part yet, and the state.

Beside the parts are, until the window is published as complete::

    _checkpoint-00007-1b9d6bcd.ndjson   the rows since the checkpoint before: messages, then conversations
    _checkpoint.json   which of those and which parts count, and the state: replaced as a whole

An attempt that is killed loses what came after its last ``_checkpoint.json`` and nothing else. Whatever does not fit, a
missing or changed file, another window, another release, means starting over: a checkpoint is only ever a saving.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from airflow_provider_metaconv.extract.rows import Batch
from airflow_provider_metaconv.extract.state import ExtractionState
from airflow_provider_metaconv.extract.stats import EarlierAttempts
from airflow_provider_metaconv.files.errors import NotPublishedError, UnusableFileError
from airflow_provider_metaconv.files.manifest import ManifestFile
from airflow_provider_metaconv.files.storage import Storage

logger = logging.getLogger(__name__)

CHECKPOINT_NAME = "_checkpoint.json"
CHECKPOINT_VERSION = 7

FEWEST_CALLS = 2
SHARE_OF_CALLS = 0.01
MOST_ROWS = 5_000
MOST_BYTES = 16 * 1024 * 1024
"""A checkpoint is due after so many calls or that share of all calls so far, which is what a killed attempt may lose;
and after so many rows or bytes, which is what is held in memory; but never sooner than the storage takes a replacement.
"""


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must be the same for a later attempt to continue from a checkpoint."""

    release: str
    page_id: str
    platform: str
    reads_since: str
    until: str
    folders: list[str | None]
    user_id: str | None
    file_format: str


class _Segment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    messages: int
    sha256: str


class _Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    identity: Identity
    extraction_id: str
    writer: str
    number: int
    segments: list[_Segment]
    parts: list[ManifestFile]
    attempts: EarlierAttempts
    state: ExtractionState


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sha256: str
    content: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Saved:
    """What an earlier attempt left: its state and its counts, its parts, and its rows that are in none.

    ``batches`` are read as they are taken, since they can be many.
    """

    extraction_id: str
    state: ExtractionState
    attempts: EarlierAttempts
    parts: tuple[ManifestFile, ...]
    batches: Iterator[Batch]


class _Pending:
    """Rows that no checkpoint has yet, as lines of JSON: as objects they would be four times the size."""

    def __init__(self) -> None:
        self.messages = self.bytes = 0
        self._message_lines: list[bytes] = []
        self._conversation_lines: list[bytes] = []

    def keep_messages(self, lines: bytes) -> None:
        self.messages += lines.count(b"\n")
        self._keep(self._message_lines, lines)

    def keep_conversations(self, lines: bytes) -> None:
        self._keep(self._conversation_lines, lines)

    def _keep(self, kept: list[bytes], lines: bytes) -> None:
        kept.append(lines)
        self.bytes += len(lines)

    @property
    def lines(self) -> list[bytes]:
        return self._message_lines + self._conversation_lines


class Checkpoint:
    """The checkpoint of one window; ``identity`` says which extraction may continue from it."""

    def __init__(self, storage: Storage, identity: Identity, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage = storage
        # Two attempts that run at once never write the same bytes, nor segments of the same name.
        self._writer = uuid.uuid4().hex[:8]
        self._identity = identity
        self._pending = _Pending()
        self._segments: list[_Segment] = []
        self._has_unnamed_segments = False
        self._number = 0
        self._calls = 0
        self._is_overdue = False
        self._clock = clock
        self._earliest_replacement = -math.inf
        self.extraction_id = uuid.uuid4().hex
        self.kept_bytes = 0

    def keep_messages(self, lines: bytes) -> None:
        """Remembers rows of messages, as lines of JSON, until the next ``commit``; raises ``StorageError``."""
        self._pending.keep_messages(lines)
        self._kept(lines)

    def keep_conversations(self, lines: bytes) -> None:
        """Remembers rows of the ledger until the next ``commit``; raises ``StorageError``."""
        self._pending.keep_conversations(lines)
        self._kept(lines)

    def _kept(self, lines: bytes) -> None:
        self.kept_bytes += len(lines)
        if self._pending.bytes >= MOST_BYTES:
            # Not in memory any longer; they count once a checkpoint names them.
            self._write_pending()

    def is_due(self, calls: int) -> bool:
        """Whether it is time for the next checkpoint, now that the extraction has cost so many calls."""
        if self._clock() < self._earliest_replacement:
            return False
        if self._pending.messages >= MOST_ROWS or self._has_unnamed_segments:
            return True
        return calls - self._calls >= max(FEWEST_CALLS, int(SHARE_OF_CALLS * calls))

    def commit(self, state: ExtractionState, attempts: EarlierAttempts, parts: tuple[ManifestFile, ...]) -> None:
        """Makes everything so far what a later attempt continues from; raises ``StorageError``."""
        self._write_pending()
        self._publish(state, attempts, parts)

    def commit_in_parts(
        self, state: ExtractionState, attempts: EarlierAttempts, parts: tuple[ManifestFile, ...]
    ) -> None:
        """The same when all rows so far are in published parts: no row needs to be kept here any longer."""
        old, self._segments, self._pending = self._segments, [], _Pending()
        self._publish(state, attempts, parts)
        for segment in old:
            self._storage.delete(segment.name)

    def _write_pending(self) -> None:
        if self._pending.lines:
            self._segments.append(self._write_segment())
            self._pending = _Pending()
            self._has_unnamed_segments = True

    def _write_segment(self) -> _Segment:
        name = f"_checkpoint-{self._number:05d}-{self._writer}.ndjson"
        self._number += 1
        data = b"".join(self._pending.lines)
        self._storage.publish_bytes(data, name, durable=False)
        return _Segment(name, self._pending.messages, hashlib.sha256(data).hexdigest())

    def _publish(self, state: ExtractionState, attempts: EarlierAttempts, parts: tuple[ManifestFile, ...]) -> None:
        content = _Content(
            CHECKPOINT_VERSION,
            self._identity,
            self.extraction_id,
            self._writer,
            self._number,
            self._segments,
            list(parts),
            attempts,
            state,
        )
        encoded = msgspec.json.encode(content)
        sealed = _Sealed(hashlib.sha256(encoded).hexdigest(), msgspec.Raw(encoded))
        self._storage.publish_bytes(msgspec.json.encode(sealed), CHECKPOINT_NAME, durable=False)
        self._earliest_replacement = self._clock() + self._storage.seconds_between_replacements
        self._calls = attempts.calls
        self._has_unnamed_segments = False

    def earlier_extraction(self) -> str | None:
        """The id of the extraction whose checkpoint is stored here, if this one could continue it, whole or not."""
        content = self._content()
        return None if content is None else content.extraction_id

    def _content(self) -> _Content | None:
        try:
            content = _decode(self._storage.read(CHECKPOINT_NAME))
        except NotPublishedError:
            return None
        except (UnusableFileError, ValueError, RecursionError) as error:
            logger.warning("The checkpoint cannot be used (%s): starting over", type(error).__name__)
            return None
        if content.identity != self._identity:
            logger.info("A checkpoint of another extraction is stored here: starting over")
            return None
        return content

    def load(self) -> Saved | None:
        """What an earlier attempt of the same extraction left; None when there is nothing to continue from."""
        content = self._content()
        if content is None:
            return None
        try:
            for segment in content.segments:
                self._read_segment(segment)
            self._check_parts(content.parts)
        except (NotPublishedError, UnusableFileError, ValueError) as error:
            logger.warning("The checkpoint lacks files (%s): starting over", type(error).__name__)
            return None
        self._segments, self._number, self.extraction_id = content.segments, content.number, content.extraction_id
        batches = map(self._batch_of, tuple(self._segments))
        return Saved(content.extraction_id, content.state, content.attempts, tuple(content.parts), batches)

    def _read_segment(self, segment: _Segment) -> bytes:
        data = self._storage.read(segment.name)
        if hashlib.sha256(data).hexdigest() != segment.sha256:
            raise ValueError(segment.name)
        return data

    def _batch_of(self, segment: _Segment) -> Batch:
        # Not orjson: it turns integers beyond 64 bits into floats.
        rows = [json.loads(line) for line in self._read_segment(segment).splitlines()]
        return Batch(rows[: segment.messages], rows[segment.messages :])

    def _check_parts(self, parts: list[ManifestFile]) -> None:
        for part in parts:
            if self._storage.stat(part.path, part.bytes) != (part.bytes, part.sha256):
                raise ValueError(part.path)


def _decode(data: bytes) -> _Content:
    """The content, if it is whole and of this release's shape; raises ``ValueError`` for anything else."""
    sealed = msgspec.json.decode(data, type=_Sealed)
    if hashlib.sha256(sealed.content).hexdigest() != sealed.sha256:
        raise ValueError("the checkpoint is damaged")
    content = msgspec.json.decode(sealed.content, type=_Content)
    if content.version != CHECKPOINT_VERSION:
        raise ValueError("the checkpoint is of another version")
    return content

"""The checkpoint from which a later attempt continues: the rows that are in no part yet, and the state.

Until the window is published as complete, these files are next to the parts::

    _checkpoint-00007-1b9d6bcd.ndjson   the rows since the previous checkpoint: messages, then conversations
    _checkpoint.json   which of those files and which parts count, and the state; replaced atomically

A killed attempt loses only what came after its last ``_checkpoint.json``. A missing or changed file, another window or
another release means starting over, because a checkpoint only saves work.
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
from airflow_provider_metaconv.files.manifest import CHECKPOINT_NAME, ManifestFile
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.privacy.pseudonyms import Pseudonyms

logger = logging.getLogger(__name__)

CHECKPOINT_VERSION = 9

FEWEST_CALLS = 2
SHARE_OF_CALLS = 0.01
MOST_ROWS = 5_000
MOST_BYTES = 16 * 1024 * 1024
"""A checkpoint is due after this many calls or this share of all calls, which is what a killed attempt may lose, or
after this many rows or bytes, which are held in memory, but never more often than the storage accepts replacements.
"""


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must be equal for a later attempt to continue from a checkpoint."""

    release: str
    page_id: str
    platform: str
    reads_since: str
    until: str
    folders: list[str | None]
    user_id: str | None
    file_format: str
    privacy: str = ""
    suppressed: str = ""
    extra_fields: list[str] = []


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
    """The content: JSON, or a string that only the holder of the privacy key can read."""

    sha256: str
    content: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Saved:
    """What an earlier attempt left: its state, counts and parts, and its rows that are in no part.

    ``batches`` are read lazily, because they may be many.
    """

    extraction_id: str
    state: ExtractionState
    attempts: EarlierAttempts
    parts: tuple[ManifestFile, ...]
    batches: Iterator[Batch]


class _Pending:
    """Rows that are in no checkpoint yet, as lines of JSON. As objects they would take four times the memory."""

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
    """The checkpoint of one window. ``identity`` determines which extraction may continue from it.

    Rows are stored as they are given. The state names people and conversations, so with ``pseudonyms`` it is sealed.
    """

    def __init__(
        self,
        storage: Storage,
        identity: Identity,
        clock: Callable[[], float] = time.monotonic,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        self._storage = storage
        self._pseudonyms = pseudonyms
        # Concurrent attempts never write identical files or segments with the same name.
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
        """Keep message rows, as lines of JSON, until the next ``commit``; raises ``StorageError``."""
        self._pending.keep_messages(lines)
        self._kept(lines)

    def keep_conversations(self, lines: bytes) -> None:
        """Keep ledger rows, as lines of JSON, until the next ``commit``; raises ``StorageError``."""
        self._pending.keep_conversations(lines)
        self._kept(lines)

    def _kept(self, lines: bytes) -> None:
        self.kept_bytes += len(lines)
        if self._pending.bytes >= MOST_BYTES:
            # Move them out of memory. They count once a checkpoint lists them.
            self._write_pending()

    def is_due(self, calls: int) -> bool:
        """Whether the next checkpoint is due, given the calls that the extraction has made."""
        if self._clock() < self._earliest_replacement:
            return False
        if self._pending.messages >= MOST_ROWS or self._has_unnamed_segments:
            return True
        return calls - self._calls >= max(FEWEST_CALLS, int(SHARE_OF_CALLS * calls))

    def commit(self, state: ExtractionState, attempts: EarlierAttempts, parts: tuple[ManifestFile, ...]) -> None:
        """Write a checkpoint with everything so far; raises ``StorageError``."""
        self._write_pending()
        self._publish(state, attempts, parts)

    def commit_in_parts(
        self, state: ExtractionState, attempts: EarlierAttempts, parts: tuple[ManifestFile, ...]
    ) -> None:
        """Write a checkpoint when all rows so far are in published parts, so that none need to be kept here."""
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
        if self._pseudonyms is not None:
            encoded = msgspec.json.encode(self._pseudonyms.seal(encoded).decode())
        sealed = _Sealed(hashlib.sha256(encoded).hexdigest(), msgspec.Raw(encoded))
        self._storage.publish_bytes(msgspec.json.encode(sealed), CHECKPOINT_NAME, durable=False)
        self._earliest_replacement = self._clock() + self._storage.seconds_between_replacements
        self._calls = attempts.calls
        self._has_unnamed_segments = False

    def earlier_extraction(self) -> str | None:
        """Return the ID of the extraction whose checkpoint is stored here, if this extraction could continue it."""
        content = self._content()
        return None if content is None else content.extraction_id

    def _content(self) -> _Content | None:
        try:
            content = _decode(self._storage.read(CHECKPOINT_NAME), self._pseudonyms)
        except NotPublishedError:
            return None
        except (UnusableFileError, ValueError, RecursionError) as error:
            logger.warning("The checkpoint cannot be used (%s): starting over", type(error).__name__)
            return None
        if content.identity != self._identity:
            logger.info("The stored checkpoint is from a different extraction: starting over")
            return None
        return content

    def load(self) -> Saved | None:
        """Return what an earlier attempt of the same extraction left; None if there is nothing to continue from."""
        content = self._content()
        if content is None:
            return None
        try:
            for segment in content.segments:
                self._read_segment(segment)
            self._check_parts(content.parts)
        except (NotPublishedError, UnusableFileError, ValueError) as error:
            logger.warning("Files of the checkpoint are missing or damaged (%s): starting over", type(error).__name__)
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
        # orjson is unsuitable: it turns integers beyond 64 bits into floats.
        rows = [json.loads(line) for line in self._read_segment(segment).splitlines()]
        return Batch(rows[: segment.messages], rows[segment.messages :])

    def _check_parts(self, parts: list[ManifestFile]) -> None:
        for part in parts:
            if self._storage.stat(part.path, part.bytes) != (part.bytes, part.sha256):
                raise ValueError(part.path)


def _decode(data: bytes, pseudonyms: Pseudonyms | None) -> _Content:
    """Decode a checkpoint; raises ``ValueError`` if it is damaged, from another release, or sealed with another key."""
    sealed = msgspec.json.decode(data, type=_Sealed)
    if hashlib.sha256(sealed.content).hexdigest() != sealed.sha256:
        raise ValueError("the checkpoint is damaged")
    encoded = bytes(sealed.content)
    if pseudonyms is not None:
        encoded = pseudonyms.unseal(msgspec.json.decode(encoded, type=str).encode())
    content = msgspec.json.decode(encoded, type=_Content)
    if content.version != CHECKPOINT_VERSION:
        raise ValueError("the checkpoint has a different version")
    return content

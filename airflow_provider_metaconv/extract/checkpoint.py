"""What a later try needs to go on where this one ended: rows that are in no part yet, and the state of the walk.

Beside the parts lie, until the manifest is published::

    _checkpoint-00007-1b9d6bcd.ndjson   the rows since the checkpoint before: messages, then conversations
    _checkpoint.json   which of those and which parts count, the walk's state, what it cost: replaced as a whole

A try that is killed loses what came after its last ``_checkpoint.json`` and nothing else. Whatever does not fit, a
missing or changed file, another window, another version, means starting over: a checkpoint is only ever a saving.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from airflow_provider_metaconv.extract.reader import Batch
from airflow_provider_metaconv.files.errors import NotPublishedError
from airflow_provider_metaconv.files.manifest import ManifestFile
from airflow_provider_metaconv.files.ndjson import encoded_slices
from airflow_provider_metaconv.files.storage import Storage

logger = logging.getLogger(__name__)

CHECKPOINT_NAME = "_checkpoint.json"
CHECKPOINT_VERSION = 2

FEWEST_CALLS = 2
SHARE_OF_CALLS = 0.01
MOST_ROWS = 5_000
"""A checkpoint is due after so many calls or that share of all calls so far, which is what a killed try may lose;
and after so many rows, which is what is held in memory; but never sooner than the storage takes a replacement.
"""


@dataclass(frozen=True, slots=True)
class Saved:
    """What an earlier try left: the state of its walk and its counts, its parts, and its rows that are in none.

    ``batches`` are read as they are taken, since they can be many.
    """

    state: dict[str, Any]
    parts: tuple[ManifestFile, ...]
    batches: Iterator[Batch]


class _Pending:
    """Rows that no checkpoint has yet, as lines of JSON: as objects they would be four times the size."""

    def __init__(self) -> None:
        self.messages = 0
        self._message_lines: list[bytes] = []
        self._conversation_lines: list[bytes] = []

    def add(self, batch: Batch) -> None:
        self._message_lines += encoded_slices(batch.messages)
        self._conversation_lines += encoded_slices(batch.conversations)
        self.messages += len(batch.messages)

    @property
    def lines(self) -> list[bytes]:
        return self._message_lines + self._conversation_lines


class Checkpoint:
    """The checkpoint of one window; ``identity`` says which run may go on from it."""

    def __init__(
        self, storage: Storage, identity: Mapping[str, Any], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._storage = storage
        # Two tries that run at once never write the same bytes, nor segments of the same name.
        self._writer = uuid.uuid4().hex[:8]
        self._identity = {"version": CHECKPOINT_VERSION, **identity}
        self._pending = _Pending()
        self._segments: list[dict[str, Any]] = []
        self._number = 0
        self._calls = 0
        self._clock = clock
        self._earliest_replacement = -math.inf

    def add(self, batch: Batch) -> None:
        """Remembers rows until the next ``commit``."""
        self._pending.add(batch)

    def is_due(self, calls: int) -> bool:
        """Whether it is time for the next checkpoint, now that the run has cost so many calls."""
        if self._clock() < self._earliest_replacement:
            return False
        if self._pending.messages >= MOST_ROWS:
            return True
        return calls - self._calls >= max(FEWEST_CALLS, int(SHARE_OF_CALLS * calls))

    def commit(self, state: Mapping[str, Any], parts: tuple[ManifestFile, ...], calls: int) -> None:
        """Makes everything so far what a later try goes on from; raises ``StorageError``."""
        if self._pending.lines:
            self._segments.append(self._write_segment())
            self._pending = _Pending()
        self._publish(state, parts)
        self._calls = calls

    def commit_in_parts(self, state: Mapping[str, Any], parts: tuple[ManifestFile, ...], calls: int) -> None:
        """The same when all rows so far are in published parts: no row needs to be kept here any longer."""
        old, self._segments, self._pending = self._segments, [], _Pending()
        self._publish(state, parts)
        for segment in old:
            self._storage.delete(segment["name"])
        self._calls = calls

    def _write_segment(self) -> dict[str, Any]:
        name = f"_checkpoint-{self._number:05d}-{self._writer}.ndjson"
        self._number += 1
        data = b"".join(self._pending.lines)
        self._storage.publish_bytes(data, name, durable=False)
        return {"name": name, "messages": self._pending.messages, "sha256": hashlib.sha256(data).hexdigest()}

    def _publish(self, state: Mapping[str, Any], parts: tuple[ManifestFile, ...]) -> None:
        content = {
            "identity": self._identity,
            "writer": self._writer,
            "segments": self._segments,
            "number": self._number,
            "parts": [asdict(part) for part in parts],
            "state": dict(state),
        }
        self._storage.publish_bytes(orjson.dumps(content), CHECKPOINT_NAME, durable=False)
        self._earliest_replacement = self._clock() + self._storage.seconds_between_replacements

    def load(self) -> Saved | None:
        """What an earlier try of the same run left; None when there is nothing to go on from."""
        try:
            content = orjson.loads(self._storage.read(CHECKPOINT_NAME))
            if content["identity"] != orjson.loads(orjson.dumps(self._identity)):
                logger.info("A checkpoint of another run lies here: starting over")
                return None
            for segment in content["segments"]:
                self._read_segment(segment)
            parts = tuple(ManifestFile(**part) for part in content["parts"])
            self._check_parts(parts)
        except NotPublishedError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            logger.warning("The checkpoint cannot be used (%s): starting over", type(error).__name__)
            return None
        self._segments, self._number = content["segments"], content["number"]
        return Saved(content["state"], parts, map(self._batch_of, tuple(self._segments)))

    def _read_segment(self, segment: Mapping[str, Any]) -> bytes:
        data = self._storage.read(segment["name"])
        if hashlib.sha256(data).hexdigest() != segment["sha256"]:
            raise ValueError(segment["name"])
        return data

    def _batch_of(self, segment: Mapping[str, Any]) -> Batch:
        # Not orjson: it turns integers beyond 64 bits into floats.
        rows = [json.loads(line) for line in self._read_segment(segment).splitlines()]
        return Batch(rows[: segment["messages"]], rows[segment["messages"] :])

    def _check_parts(self, parts: tuple[ManifestFile, ...]) -> None:
        missing = {part.path for part in parts} - set(self._storage.names())
        if missing:
            raise ValueError(f"parts are missing: {sorted(missing)}")

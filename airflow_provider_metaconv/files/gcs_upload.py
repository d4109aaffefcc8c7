"""One upload to Google Cloud Storage: whole, once, in place of the generation that was expected and of no other."""

from __future__ import annotations

import base64
import hashlib
import logging
from dataclasses import dataclass
from typing import BinaryIO, Self

import google_crc32c
from google.api_core.exceptions import GoogleAPICallError, PreconditionFailed
from google.api_core.retry import Retry
from google.cloud import storage

from airflow_provider_metaconv.files.stored_file import BLOCK_BYTES

logger = logging.getLogger(__name__)

TIMEOUT = (10.0, 60.0)
"""Seconds to wait for a connection and for an answer."""

CHUNK_BYTES = 16 * 1024 * 1024
"""What is in memory and in one request at a time; Google advises at least 8 MiB, and each request costs a wait."""

SESSIONS = 3
SHA256_KEY = "sha256"

_CONTENT_TYPES = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "gz": "application/gzip",
    "parquet": "application/vnd.apache.parquet",
}
_LOST_SESSION_CODES = (400, 404, 410)
_HALF_TAKEN_CODE = 308


class GenerationMismatchError(Exception):
    """The object is no longer of the generation that was expected, and holds other bytes than ours."""


@dataclass(frozen=True, slots=True)
class Checksums:
    """Whether an object is whole: its size, and both the checksum that we keep and the one that Google computes."""

    size: int
    sha256: str
    crc32c: str

    @classmethod
    def of(cls, stream: BinaryIO, sha256: str | None = None) -> Self:
        """Those of a stream's content, which is read once; a SHA-256 that is known saves most of the time."""
        size, computed, crc32c = 0, hashlib.sha256(), 0
        while block := stream.read(BLOCK_BYTES):
            size += len(block)
            if sha256 is None:
                computed.update(block)
            crc32c = google_crc32c.extend(crc32c, block)
        return cls(size, sha256 or computed.hexdigest(), base64.b64encode(crc32c.to_bytes(4, "big")).decode())

    def fits(self, blob: storage.Blob) -> bool:
        """Whether an object, as Google describes it, holds these bytes."""
        return (blob.size, blob.crc32c) == (self.size, self.crc32c)


def upload(
    bucket: storage.Bucket, key: str, content: BinaryIO, checksums: Checksums, generation: int, retry: Retry
) -> int:
    """Put the content in place of that generation of the object, 0 for none; returns the new generation.

    Google verifies the bytes before the object appears, and the SHA-256 appears with it. Raises
    ``GenerationMismatchError`` when somebody else has written the object meanwhile, and what Google's libraries raise.
    """
    for session in range(1, SESSIONS + 1):
        try:
            return _upload_once(bucket, key, content, checksums, generation, retry)
        except PreconditionFailed:
            # Also when it was ours, and only the answer got lost.
            return _own_generation(bucket, key, checksums, retry)
        except (GoogleAPICallError, ValueError) as error:
            if session == SESSIONS or not _is_session_lost(error):
                raise
            logger.info("The upload of %s has to start over", key)
    raise AssertionError("unreachable")


def _upload_once(
    bucket: storage.Bucket, key: str, content: BinaryIO, checksums: Checksums, generation: int, retry: Retry
) -> int:
    blob = bucket.blob(key, chunk_size=CHUNK_BYTES)
    blob.metadata = {SHA256_KEY: checksums.sha256}
    # Known beforehand, the checksum makes Google refuse other bytes. The library, left to compute it, would compare
    # afterwards, and then delete whatever object has the name by then.
    blob.crc32c = checksums.crc32c
    blob.upload_from_file(
        content,
        rewind=True,
        size=checksums.size,
        content_type=_CONTENT_TYPES.get(key.rpartition(".")[2], "application/octet-stream"),
        if_generation_match=generation,
        checksum=None,
        timeout=TIMEOUT,
        retry=retry,
    )
    return int(blob.generation)


def _own_generation(bucket: storage.Bucket, key: str, checksums: Checksums, retry: Retry) -> int:
    blob = bucket.get_blob(key, timeout=TIMEOUT, retry=retry)
    if blob is None or not checksums.fits(blob):
        raise GenerationMismatchError(key)
    return int(blob.generation)


def _is_session_lost(error: Exception) -> bool:
    """Whether a resumable upload cannot go on where it is, and would have to begin anew."""
    if not isinstance(error, GoogleAPICallError):
        # The library's ValueError: Google has kept a part of a chunk only, and the library does not go back.
        return True
    request = getattr(error.response, "request", None)
    # A session begins with a POST, whose errors are about the bucket; its chunks are PUT.
    is_chunk = request is not None and request.method == "PUT"
    return error.code == _HALF_TAKEN_CODE or (is_chunk and error.code in _LOST_SESSION_CODES)

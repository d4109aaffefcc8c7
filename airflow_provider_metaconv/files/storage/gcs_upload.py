"""One upload to Google Cloud Storage: atomic, at most once, and only over the expected generation."""

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

from airflow_provider_metaconv.files.storage.stored_file import BLOCK_BYTES

logger = logging.getLogger(__name__)

TIMEOUT = (10.0, 60.0)
"""Seconds to wait for a connection and for a response."""

CHUNK_BYTES = 16 * 1024 * 1024
"""How much is held in memory and sent per request. Google recommends at least 8 MiB; each request adds latency."""

SESSIONS = 3
SHA256_KEY = "sha256"

_CONTENT_TYPES = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "gz": "application/gzip",
    "parquet": "application/vnd.apache.parquet",
}
_LOST_SESSION_CODES = (400, 404, 410)
_PARTIALLY_STORED_CODE = 308


class GenerationMismatchError(Exception):
    """The object has a different generation than expected, and different content than ours."""


@dataclass(frozen=True, slots=True)
class Checksums:
    """The size of a file, the SHA-256 that we store, and the CRC32C that Google computes."""

    size: int
    sha256: str
    crc32c: str

    @classmethod
    def of(cls, stream: BinaryIO, sha256: str | None = None) -> Self:
        """Read a stream once and return its checksums. Passing a known SHA-256 saves most of the time."""
        size, computed, crc32c = 0, hashlib.sha256(), 0
        while block := stream.read(BLOCK_BYTES):
            size += len(block)
            if sha256 is None:
                computed.update(block)
            crc32c = google_crc32c.extend(crc32c, block)
        return cls(size, sha256 or computed.hexdigest(), base64.b64encode(crc32c.to_bytes(4, "big")).decode())

    def fits(self, blob: storage.Blob) -> bool:
        """Whether an object has this content, according to its metadata."""
        return (blob.size, blob.crc32c) == (self.size, self.crc32c)


def upload(
    bucket: storage.Bucket, key: str, content: BinaryIO, checksums: Checksums, generation: int, retry: Retry
) -> int:
    """Upload the content over that generation of the object (0 for none), and return the new generation.

    Google verifies the content before the object appears, together with its SHA-256. Raises
    ``GenerationMismatchError`` if the object was written by someone else meanwhile, and errors of Google's libraries.
    """
    for session in range(1, SESSIONS + 1):
        try:
            return _upload_once(bucket, key, content, checksums, generation, retry)
        except PreconditionFailed:
            # The earlier upload may have been ours, with its response lost.
            return _own_generation(bucket, key, checksums, retry)
        except (GoogleAPICallError, ValueError) as error:
            if session == SESSIONS or not _is_session_lost(error):
                raise
            logger.info("Restarting the upload of %s", key)
    raise AssertionError("unreachable")


def _upload_once(
    bucket: storage.Bucket, key: str, content: BinaryIO, checksums: Checksums, generation: int, retry: Retry
) -> int:
    blob = bucket.blob(key, chunk_size=CHUNK_BYTES)
    blob.metadata = {SHA256_KEY: checksums.sha256}
    # With the checksum sent in advance, Google rejects corrupted content. If the library computed it, it would compare
    # only afterwards, and then delete whatever object has the name by then.
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
    """Whether a resumable upload cannot be resumed and has to start over."""
    if not isinstance(error, GoogleAPICallError):
        # The library raises ValueError if Google has stored only part of a chunk, because it cannot rewind.
        return True
    request = getattr(error.response, "request", None)
    # A session starts with a POST, whose errors concern the bucket. Its chunks are sent with PUT.
    is_chunk = request is not None and request.method == "PUT"
    return error.code == _PARTIALLY_STORED_CODE or (is_chunk and error.code in _LOST_SESSION_CODES)

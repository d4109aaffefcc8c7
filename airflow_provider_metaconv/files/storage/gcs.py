"""A folder in a Google Cloud Storage bucket. Import this module only if Google's libraries are installed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud import storage

from airflow_provider_metaconv.access import create
from airflow_provider_metaconv.files.errors import (
    NameTakenError,
    NotPublishedError,
    StorageError,
    another_writer,
    changed_meanwhile,
    not_published,
    storage_error,
    too_large,
)
from airflow_provider_metaconv.files.storage.gcs_errors import SERVICE_ERRORS, gcs_error, is_bucket_missing
from airflow_provider_metaconv.files.storage.gcs_names import is_folder, normalised, parse_gs_uri
from airflow_provider_metaconv.files.storage.gcs_upload import (
    SHA256_KEY,
    TIMEOUT,
    Checksums,
    GenerationMismatchError,
    upload,
)
from airflow_provider_metaconv.files.storage.stored_file import MOST_BYTES_READ, checked_name, remove, size_and_checksum

__all__ = ["GCSStorage", "parse_gs_uri"]

RETRY_SECONDS = 120.0
"""How long one request is retried before the error is left to Airflow's retries."""

PROBE_NAME = ".writable"


class _BoundedBuffer(io.BytesIO):
    """A buffer that raises an error above a size limit."""

    def __init__(self, place: str, most_bytes: int) -> None:
        super().__init__()
        self._place, self._most_bytes = place, most_bytes

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > self._most_bytes:
            raise too_large(self._place, self._most_bytes)
        return super().write(data)


class GCSStorage:
    """The ``Storage`` of one folder of a bucket. Unpublished files are on the local disk.

    Two tasks never mix their files, without a lock object that a killed task could leave behind. Inside ``lock``, a
    write replaces, and a delete removes, only the generation that this task has seen or written. Of two tasks, the
    first to write a shared name (the checkpoint or the manifest) continues, and the other one gets a ``StorageError``
    when it writes that name. No task removes objects of other tasks that were created after ``lock``.
    """

    # Google allows about one write per second to the same object name.
    seconds_between_replacements = 1.1

    def __init__(self, bucket: storage.Bucket, folder: str, retry_seconds: float = RETRY_SECONDS) -> None:
        self._bucket = bucket
        self._folder = normalised(folder)
        self._retry_seconds = retry_seconds
        self._options: dict[str, Any] = {
            "timeout": TIMEOUT,
            "retry": storage.retry.DEFAULT_RETRY.with_timeout(retry_seconds),
        }
        self._generations: dict[str, int] | None = None
        digest = hashlib.sha256(self._place.encode()).hexdigest()[:16]
        self._temporaries = Path(tempfile.gettempdir()) / f"airflow-provider-metaconv-{os.getuid()}-{digest}"

    def check_writable(self) -> None:
        """Write and delete a hidden object and a local file."""
        temporary = self.temporary()
        with self._clear_errors("write to", str(temporary.parent)):
            create(temporary).close()
        self.discard(temporary)
        probe = self._bucket.blob(self._key(PROBE_NAME))
        with self._clear_errors("write to", self._place):
            probe.upload_from_string(b"", checksum="crc32c", **self._options)
            self._delete(probe)

    def temporary(self) -> Path:
        """Return a new path in a local folder that is private to this user and this folder of the bucket."""
        try:
            self._temporaries.mkdir(mode=0o700, exist_ok=True)
            found = self._temporaries.lstat()
        except OSError as error:
            raise storage_error("create the folder", self._temporaries, error) from error
        # The folder's name is predictable, and its parent is writable for other users.
        if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077:
            raise StorageError(f"{self._temporaries} belongs to another user: remove it")
        return self._temporaries / uuid.uuid4().hex

    def publish(self, temporary: Path, name: str, *, sha256: str | None = None) -> None:
        """Upload the file under ``name``, and remove the local copy."""
        try:
            content = temporary.open("rb")
        except FileNotFoundError:
            raise StorageError(
                f"cannot publish {self.uri(name)}: {temporary} was removed (another task extracts the same window on "
                "this machine, or a cleanup job removes files there: stop it)"
            ) from None
        except OSError as error:
            raise storage_error("read", temporary, error) from error
        with content:
            self._upload(content, name, sha256)
        self.discard(temporary)

    def publish_bytes(self, data: bytes, name: str, *, durable: bool = True) -> None:
        """Upload ``data`` under ``name``. An accepted upload is always durable."""
        self._upload(io.BytesIO(data), name)

    def _upload(self, content: BinaryIO, name: str, sha256: str | None = None) -> None:
        checked_name(name, self._place)
        expected = self._expected(name)
        try:
            self._replace(expected, content, name, sha256)
        except GenerationMismatchError:
            raise another_writer(self._place, StorageError if expected else NameTakenError) from None

    def _replace(self, generation: int, content: BinaryIO, name: str, sha256: str | None = None) -> int:
        with self._clear_errors("write", self.uri(name)):
            checksums = Checksums.of(content, sha256)
            written = upload(self._bucket, self._key(name), content, checksums, generation, self._options["retry"])
        if self._generations is not None:
            self._generations[name] = written
        return written

    def read_versioned(self, name: str) -> tuple[bytes, str] | None:
        """Return a published file's content and generation, in one request; None if it does not exist."""
        stream = _BoundedBuffer(self.uri(name), MOST_BYTES_READ)
        try:
            generation = self._download(name, stream)
        except NotPublishedError:
            return None
        return stream.getvalue(), str(generation)

    def replace_if_unchanged(self, data: bytes, name: str, *, version: str | None) -> str:
        """Upload ``data`` on the condition that the object still has that generation, which Google checks."""
        try:
            return str(self._replace(int(version or 0), io.BytesIO(data), name))
        except GenerationMismatchError:
            raise changed_meanwhile(self.uri(name)) from None

    def read(self, name: str, most_bytes: int = MOST_BYTES_READ) -> bytes:
        """Return a published file's content; raises ``NotPublishedError`` if it does not exist."""
        stream = _BoundedBuffer(self.uri(name), most_bytes)
        self._download(name, stream)
        return stream.getvalue()

    def open(self, name: str) -> BinaryIO:
        """Return a verified copy of a published file in an anonymous local file; raises ``NotPublishedError``."""
        with contextlib.ExitStack() as on_error:
            with self._clear_errors("create a file in", tempfile.gettempdir()):
                stream = cast(BinaryIO, on_error.enter_context(tempfile.TemporaryFile()))
            self._download(name, stream)
            stream.seek(0)
            on_error.pop_all()
            return stream

    def _download(self, name: str, stream: BinaryIO) -> int:
        blob = self._blob(name)
        with self._clear_errors("read", self.uri(name)), self._missing(name):
            blob.download_to_file(stream, checksum="crc32c", **self._options)
        return int(blob.generation)

    def stat(self, name: str, expected: int | None = None) -> tuple[int, str]:
        """Return a published file's size and SHA-256, which were stored with the upload that Google verified."""
        blob = self._blob(name)
        with self._clear_errors("read", self.uri(name)), self._missing(name):
            blob.reload(**self._options)
        size, sha256 = int(blob.size), (blob.metadata or {}).get(SHA256_KEY)
        if sha256 or expected not in (None, size):
            return size, sha256 or ""
        with self.open(name) as stream:  # written by another program, without our checksum
            return size_and_checksum(stream)

    def names(self) -> list[str]:
        """Return the sorted names of the objects directly in the folder, except hidden ones."""
        return sorted(name for name in self._listed() if name[0] != ".")

    def _listed(self) -> dict[str, int]:
        prefix = self._key("")
        objects = ((blob.name.removeprefix(prefix), blob) for blob in self._list(prefix, delimiter="/"))
        # Some tools create an object with an empty name as a placeholder for a folder.
        return {name: int(blob.generation) for name, blob in objects if name}

    def _list(self, prefix: str, **options: str) -> list[storage.Blob]:
        fields = "items(name,generation),nextPageToken"
        with self._clear_errors("list", self._place):
            return list(self._bucket.list_blobs(prefix=prefix or None, fields=fields, **options, **self._options))

    def delete(self, name: str) -> None:
        """Remove a published file, if it exists and belongs to this task."""
        blob, generation = self._blob(name), self._expected(name)
        with self._clear_errors("remove", self.uri(name)):
            if generation:
                self._delete(blob, if_generation_match=generation)
        if self._generations is not None:
            self._generations.pop(name, None)

    def _delete(self, blob: storage.Blob, **condition: int) -> None:
        try:
            blob.delete(**condition, **self._options)
        except (NotFound, PreconditionFailed):
            return

    def discard(self, temporary: Path) -> None:
        """Remove a temporary file, if it exists."""
        remove(temporary)

    def remove_temporaries(self) -> None:
        """Remove the local files that dead earlier attempts left behind."""
        for path in self._temporaries.glob("*"):
            remove(path)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Restrict writes and deletes to what this task knows; see the class for the guarantee."""
        self._generations = self._listed()
        try:
            yield
        finally:
            self._generations = None
            with contextlib.suppress(OSError):
                self._temporaries.rmdir()

    def parent(self) -> GCSStorage:
        """Return the parent folder; a bucket is its own parent."""
        return self._at(self._folder.rpartition("/")[0])

    def children(self, holding: str) -> list[GCSStorage]:
        """Return the sorted subfolders that contain such an object. Costs one listing."""
        prefix = self._key("")
        pattern = f"{prefix}*/{normalised(checked_name(holding, self._place))}"
        keys = [blob.name for blob in self._list(prefix, match_glob=pattern)]
        folders = {key.removesuffix(f"/{holding}") for key in keys}
        # Other programs may create objects whose names are not valid folders here.
        return [self._at(folder) for folder in sorted(folders) if is_folder(folder)]

    def below(self, holding: str) -> list[GCSStorage]:
        """Return the folders below that contain such an object, sorted. Costs one listing of all of them."""
        prefix = self._key("")
        ending = f"/{normalised(checked_name(holding, self._place))}"
        keys = [blob.name for blob in self._list(prefix, match_glob=f"{prefix}**{ending}")]
        folders = {key.removesuffix(ending) for key in keys if key.endswith(ending)}
        return [self._at(folder) for folder in sorted(folders) if is_folder(folder) and folder != self._folder]

    def child(self, name: str) -> GCSStorage:
        """Return the subfolder of that name."""
        return self._at(self._key(checked_name(name, self._place)))

    def remove_if_empty(self) -> None:
        """Do nothing: a bucket has no folders without objects."""

    def limits(self) -> tuple[str, ...]:
        """Return whether the bucket keeps what is deleted. Costs one request."""
        with self._clear_errors("read the settings of", self._place):
            self._bucket.reload(**self._options)
        found = []
        if self._bucket.versioning_enabled:
            found.append("The bucket has object versioning: delete the noncurrent versions of its objects.")
        soft_delete = self._bucket.soft_delete_policy.retention_duration_seconds or 0
        if soft_delete:
            found.append(f"The bucket has soft delete: deleted objects remain for {soft_delete / 86_400:g} days.")
        return tuple(found)

    def siblings(self, holding: str) -> list[GCSStorage]:
        """Return the sorted sibling folders that contain such an object. Costs one listing."""
        if not self._folder:
            return []
        return [child for child in self.parent().children(holding) if child._folder != self._folder]

    def _at(self, folder: str) -> GCSStorage:
        return GCSStorage(self._bucket, folder, self._retry_seconds)

    def uri(self, name: str) -> str:
        """Return the ``gs://`` URI of ``name``."""
        return f"gs://{self._bucket.name}/{self._key(checked_name(name, self._place))}"

    @property
    def _place(self) -> str:
        return f"gs://{self._bucket.name}/{self._folder}"

    def _key(self, name: str) -> str:
        return f"{self._folder}/{name}" if self._folder else name

    def _blob(self, name: str) -> storage.Blob:
        return self._bucket.blob(self._key(checked_name(name, self._place)))

    def _expected(self, name: str) -> int:
        """Return the generation that a write may replace; 0 means that the object must not exist."""
        if self._generations is not None:
            return self._generations.get(name, 0)
        with self._clear_errors("read", self.uri(name)):
            blob = self._bucket.get_blob(self._key(name), **self._options)
        return 0 if blob is None else int(blob.generation)

    @contextlib.contextmanager
    def _missing(self, name: str) -> Iterator[None]:
        try:
            yield
        except NotFound as error:
            if is_bucket_missing(error):
                raise
            raise not_published(self.uri(name)) from None

    @contextlib.contextmanager
    def _clear_errors(self, action: str, place: str) -> Iterator[None]:
        # The cause is dropped: Google's errors quote upload session URLs, which let anyone write.
        try:
            yield
        except SERVICE_ERRORS as error:
            raise gcs_error(action, place, error) from None
        except OSError as error:
            raise storage_error(action, place, error) from None

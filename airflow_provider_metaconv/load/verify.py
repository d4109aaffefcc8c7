"""Verification of manifests and of the files that they list, several at a time, before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, TypeVar

from airflow_provider_metaconv.files import (
    Manifest,
    ManifestFile,
    NotPublishedError,
    Storage,
)
from airflow_provider_metaconv.files.errors import RUN_AGAIN
from airflow_provider_metaconv.files.manifest import MOST_MANIFEST_BYTES
from airflow_provider_metaconv.load.belonging import NotOfManifestError, check_rows
from airflow_provider_metaconv.stop import threads_of
from airflow_provider_metaconv.warehouse import SourceFile

AT_ONCE = 8
"""Files read in parallel: enough to hide a bucket's latency, at 1 MiB of memory each."""

Item = TypeVar("Item")
Result = TypeVar("Result")

StorageOpener = Callable[[str], Storage]
"""Opens the storage of a folder, given its path or URI."""


class LoadError(Exception):
    """The files to load are missing or damaged; the warehouse is unchanged. The one-line message says what to do."""


@dataclass(frozen=True, slots=True)
class VerifiedManifest:
    """A manifest whose files all exist with the size and checksum that it lists."""

    manifest: Manifest
    files: tuple[SourceFile, ...]


def verify_manifests(uris: Sequence[str], open_storage: StorageOpener) -> list[VerifiedManifest]:
    """Read each manifest once and verify its files in parallel. A manifest given twice counts once.

    The order is that of ``uris``. Raises ``ManifestError`` for an invalid manifest, ``LoadError`` for a manifest or
    file that is missing or damaged, and ``StorageError`` for storage that cannot be read. Of several errors, the first
    in that order is raised, those of manifests before those of files.
    """
    locations = list(_places(uris, open_storage))
    manifests = _in_parallel(_manifest, locations)
    try:
        return _verified(locations, manifests)
    except LoadError:
        again = _in_parallel(_manifest, locations)
        if again == manifests:
            raise
    # The window may have been committed again, which deletes its earlier files.
    try:
        return _verified(locations, again)
    except LoadError as error:
        raise LoadError(
            f"{error}. Its window keeps being extracted again: load it once those runs have ended"
        ) from None


def _verified(locations: Sequence[_Location], manifests: Sequence[Manifest]) -> list[VerifiedManifest]:
    for location, manifest in zip(locations, manifests, strict=True):
        if not manifest.files:
            raise LoadError(f"manifest {location.uri} lists no files, which no extraction writes: {RUN_AGAIN}")
    parts = [
        _Part(location.storage, manifest, file)
        for location, manifest in zip(locations, manifests, strict=True)
        for file in manifest.files
    ]
    files = iter(_in_parallel(_source_file, parts))
    return [VerifiedManifest(manifest, tuple(islice(files, len(manifest.files)))) for manifest in manifests]


def read_manifests(uris: Sequence[str], open_storage: StorageOpener) -> list[Manifest]:
    """Read each manifest without verifying its files; raises as ``verify_manifests`` does."""
    return _in_parallel(_manifest, list(_places(uris, open_storage)))


class _Location(NamedTuple):
    uri: str
    storage: Storage
    name: str


class _Part(NamedTuple):
    storage: Storage
    manifest: Manifest
    file: ManifestFile


def _in_parallel(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return the results in the order of the items. Of several errors, the first in that order is raised."""
    with threads_of(AT_ONCE) as pool:
        # When a result is an error, map() cancels the items that have not started.
        return list(pool.map(function, items))


def _places(uris: Sequence[str], open_storage: StorageOpener) -> Iterable[_Location]:
    places: dict[str, _Location] = {}
    for uri in uris:
        folder, _, name = uri.rpartition("/")
        storage = open_storage(folder or ("/" if uri.startswith("/") else "."))
        # One location can be written in several ways; the storage's own URI is unique.
        places.setdefault(_uri(storage, name, uri), _Location(uri, storage, name))
    return places.values()


def _uri(storage: Storage, name: str, uri: str) -> str:
    if not name:
        raise LoadError(f"{uri!r} is not the path of a manifest: pass the path of a file, such as …/_manifest.json")
    return storage.uri(name)


def _manifest(location: _Location) -> Manifest:
    try:
        data = location.storage.read(location.name, MOST_MANIFEST_BYTES)
    except NotPublishedError:
        raise LoadError(f"manifest {location.uri} does not exist: the extract has not finished, {RUN_AGAIN}") from None
    return Manifest.from_bytes(data, source=location.uri)


def _source_file(part: _Part) -> SourceFile:
    storage, file = part.storage, part.file
    uri = storage.uri(file.path)
    try:
        size, sha256 = storage.stat(file.path, file.bytes)
    except NotPublishedError:
        raise LoadError(f"file {uri} is missing: {RUN_AGAIN}") from None
    if size != file.bytes:
        raise LoadError(f"file {uri} has {size} bytes, but its manifest says {file.bytes}: {RUN_AGAIN}")
    if sha256 != file.sha256:
        raise LoadError(f"file {uri} has changed since it was written (its SHA-256 differs): {RUN_AGAIN}")
    _check_rows(part, uri)
    return SourceFile(uri, file.table, file.file_format, file.rows, sha256)


def _check_rows(part: _Part, uri: str) -> None:
    try:
        with part.storage.open(part.file.path) as stream:
            check_rows(part.manifest, part.file, stream)
    except NotPublishedError:
        raise LoadError(f"file {uri} is missing: {RUN_AGAIN}") from None
    except NotOfManifestError as error:
        raise LoadError(f"file {uri} {error}: {RUN_AGAIN}") from None

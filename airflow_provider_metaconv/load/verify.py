"""Manifests and the files they name, proven whole before anything is loaded, several of them at a time."""

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
"""How many files are read at a time: enough to hide a bucket's answer times, each with a block of 1 MiB in memory."""

Item = TypeVar("Item")
Result = TypeVar("Result")

StorageOpener = Callable[[str], Storage]
"""Makes the storage of a folder from its path or URI."""


class LoadError(Exception):
    """What is to be loaded is not whole; the warehouse was not touched. The message is one line with what to do."""


@dataclass(frozen=True, slots=True)
class VerifiedManifest:
    """A manifest whose files are all there, with the size and the checksum that it says, ready to be loaded."""

    manifest: Manifest
    files: tuple[SourceFile, ...]


def verify_manifests(uris: Sequence[str], open_storage: StorageOpener) -> list[VerifiedManifest]:
    """Read each manifest once and measure its files, side by side; a manifest that is named twice counts once.

    The order is that of ``uris``. Raises ``ManifestError`` for a manifest that is wrong, ``LoadError`` for a manifest
    or file that is missing or not whole, ``StorageError`` for a place that cannot be read: of several the first in that
    order, those of manifests before those of files.
    """
    locations = list(_places(uris, open_storage))
    manifests = _side_by_side(_manifest, locations)
    try:
        return _verified(locations, manifests)
    except LoadError:
        again = _side_by_side(_manifest, locations)
        if again == manifests:
            raise
    # A window was published again, and its earlier files are gone.
    try:
        return _verified(locations, again)
    except LoadError as error:
        raise LoadError(
            f"{error}. Its window is being extracted again and again: load it when that has ended"
        ) from None


def _verified(locations: Sequence[_Location], manifests: Sequence[Manifest]) -> list[VerifiedManifest]:
    for location, manifest in zip(locations, manifests, strict=True):
        if not manifest.files:
            raise LoadError(f"manifest {location.uri} names no files, which no extraction writes: {RUN_AGAIN}")
    parts = [
        _Part(location.storage, manifest, file)
        for location, manifest in zip(locations, manifests, strict=True)
        for file in manifest.files
    ]
    files = iter(_side_by_side(_source_file, parts))
    return [VerifiedManifest(manifest, tuple(islice(files, len(manifest.files)))) for manifest in manifests]


def read_manifests(uris: Sequence[str], open_storage: StorageOpener) -> list[Manifest]:
    """Each manifest as it says of itself, without a look at its files; raises as ``verify_manifests`` does."""
    return _side_by_side(_manifest, list(_places(uris, open_storage)))


class _Location(NamedTuple):
    uri: str
    storage: Storage
    name: str


class _Part(NamedTuple):
    storage: Storage
    manifest: Manifest
    file: ManifestFile


def _side_by_side(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """The results in the order of the items; of several errors the first in that order is raised."""
    with threads_of(AT_ONCE) as pool:
        # map() cancels what has not begun when a result is an error.
        return list(pool.map(function, items))


def _places(uris: Sequence[str], open_storage: StorageOpener) -> Iterable[_Location]:
    places: dict[str, _Location] = {}
    for uri in uris:
        folder, _, name = uri.rpartition("/")
        storage = open_storage(folder or ("/" if uri.startswith("/") else "."))
        # The same place can be written in several ways: the storage knows one.
        places.setdefault(_uri(storage, name, uri), _Location(uri, storage, name))
    return places.values()


def _uri(storage: Storage, name: str, uri: str) -> str:
    if not name:
        raise LoadError(f"{uri!r} names no manifest: pass the path of a file, such as …/_manifest.json")
    return storage.uri(name)


def _manifest(location: _Location) -> Manifest:
    try:
        data = location.storage.read(location.name, MOST_MANIFEST_BYTES)
    except NotPublishedError:
        raise LoadError(f"there is no manifest {location.uri}: the extract has not finished, {RUN_AGAIN}") from None
    return Manifest.from_bytes(data, source=location.uri)


def _source_file(part: _Part) -> SourceFile:
    storage, file = part.storage, part.file
    uri = storage.uri(file.path)
    try:
        size, sha256 = storage.stat(file.path, file.bytes)
    except NotPublishedError:
        raise LoadError(f"file {uri} is missing: {RUN_AGAIN}") from None
    if size != file.bytes:
        raise LoadError(f"file {uri} has {size} bytes, its manifest says {file.bytes}: {RUN_AGAIN}")
    if sha256 != file.sha256:
        raise LoadError(f"file {uri} was changed after it was written (its SHA-256 differs): {RUN_AGAIN}")
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

"""Manifests and the files they name, proven whole before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from airflow_provider_metaconv.files import (
    Manifest,
    ManifestFile,
    NotPublishedError,
    Storage,
)
from airflow_provider_metaconv.warehouse import SourceFile

_RUN_AGAIN = "run the extract task again"

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
    """Read each manifest and measure its files; a manifest that is named twice counts once.

    Raises ``ManifestError`` for a manifest that is wrong, ``LoadError`` for a manifest or file that is missing or not
    whole, ``StorageError`` for a place that cannot be read.
    """
    return [_verify(uri, storage, name) for uri, storage, name in _places(uris, open_storage)]


def read_manifests(uris: Sequence[str], open_storage: StorageOpener) -> list[Manifest]:
    """Each manifest as it says of itself, without a look at its files; raises as ``verify_manifests`` does."""
    return [_manifest(uri, storage, name) for uri, storage, name in _places(uris, open_storage)]


def _places(uris: Sequence[str], open_storage: StorageOpener) -> Iterable[tuple[str, Storage, str]]:
    places: dict[str, tuple[str, Storage, str]] = {}
    for uri in uris:
        folder, _, name = uri.rpartition("/")
        storage = open_storage(folder or ("/" if uri.startswith("/") else "."))
        # The same place can be written in several ways: the storage knows one.
        places.setdefault(_uri(storage, name, uri), (uri, storage, name))
    return places.values()


def _uri(storage: Storage, name: str, uri: str) -> str:
    if not name:
        raise LoadError(f"{uri!r} names no manifest: pass the path of a file, such as …/_manifest.json")
    return storage.uri(name)


def _verify(uri: str, storage: Storage, name: str) -> VerifiedManifest:
    manifest = _manifest(uri, storage, name)
    return VerifiedManifest(manifest, tuple(_source_file(storage, file) for file in manifest.files))


def _manifest(uri: str, storage: Storage, name: str) -> Manifest:
    try:
        data = storage.read(name)
    except NotPublishedError:
        raise LoadError(f"there is no manifest {uri}: the extract has not finished, {_RUN_AGAIN}") from None
    return Manifest.from_bytes(data, source=uri)


def _source_file(storage: Storage, file: ManifestFile) -> SourceFile:
    uri = storage.uri(file.path)
    try:
        size, sha256 = storage.measure(file.path)
    except NotPublishedError:
        raise LoadError(f"file {uri} is missing: {_RUN_AGAIN}") from None
    if size != file.bytes:
        raise LoadError(f"file {uri} has {size} bytes, its manifest says {file.bytes}: {_RUN_AGAIN}")
    if sha256 != file.sha256:
        raise LoadError(f"file {uri} was changed after it was written (its SHA-256 differs): {_RUN_AGAIN}")
    return SourceFile(uri, file.table, file.file_format, file.rows, sha256)

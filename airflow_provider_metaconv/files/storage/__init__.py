"""The ``Storage`` protocol, bound to the folder of one window, and the choice of an implementation by URI scheme."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from airflow_provider_metaconv.files.errors import StorageRefusedError
from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.files.storage.stored_file import MOST_BYTES_READ

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_MALFORMED_URI = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:/(?!/)")


class Storage(Protocol):
    """One folder in which files appear atomically.

    A part is written to a local path (``temporary``) and then published under its name, by a rename or an upload. Every
    method raises ``StorageError`` with a one-line message.
    """

    seconds_between_replacements: float
    """How long to wait between two writes of the same name to stay below the storage's rate limit."""

    def check_writable(self) -> None:
        """Raise ``StorageError`` if the folder is not writable, before a run costs any calls."""

    def temporary(self) -> Path:
        """Return a new local path to write one file to, before it is published or discarded."""

    def publish(self, temporary: Path, name: str, *, sha256: str | None = None) -> None:
        """Publish the written file under ``name``, atomically and durably, replacing any file of that name.

        Passing a known SHA-256 may save computing it again. Raises ``NameTakenError`` if another task has taken the
        name since this task locked the folder.
        """

    def publish_bytes(self, data: bytes, name: str, *, durable: bool = True) -> None:
        """Publish ``data`` under ``name``, atomically, replacing any file of that name.

        Without ``durable``, the file survives the process but not necessarily a power cut.
        """

    def read(self, name: str, most_bytes: int = MOST_BYTES_READ) -> bytes:
        """Return a published file's content; raises ``NotPublishedError`` if it does not exist.

        Raises ``StorageError`` for a file larger than ``most_bytes``.
        """

    def open(self, name: str) -> BinaryIO:
        """Open a published file for reading; raises ``NotPublishedError`` if it does not exist."""

    def stat(self, name: str, expected: int | None = None) -> tuple[int, str]:
        """Return a published file's size and SHA-256 (hexadecimal); raises ``NotPublishedError`` if it does not exist.

        A file that does not have the ``expected`` size need not be read; its checksum is then meaningless.
        """

    def names(self) -> list[str]:
        """Return the sorted names of all published files; empty if the folder does not exist."""

    def delete(self, name: str) -> None:
        """Remove a published file, if it exists."""

    def discard(self, temporary: Path) -> None:
        """Remove a temporary file, if it exists."""

    def remove_temporaries(self) -> None:
        """Remove the files that dead earlier attempts left behind. Call it before this run writes anything."""

    def lock(self) -> AbstractContextManager[None]:
        """Prevent two writers from mixing their files in one folder: one of them gets a ``StorageError``.

        Which one gets it, and whether immediately or on its next publish, depends on the storage.
        """

    def read_versioned(self, name: str) -> tuple[bytes, str] | None:
        """Return a published file's content and version, an opaque string; None if it does not exist.

        Raises ``StorageError`` for a file that is too large to be read as a whole.
        """

    def replace_if_unchanged(self, data: bytes, name: str, *, version: str | None) -> str:
        """Publish ``data``, atomically and durably, over that version of the file; None means that none must exist.

        Returns the new version. Raises ``ChangedMeanwhileError``, and changes nothing, if the file has another version
        by now. Requires no ``lock``: of several writers that read the same version, exactly one succeeds.
        """

    def parent(self) -> Storage:
        """Return the parent folder; the topmost folder is its own parent."""

    def children(self, holding: str) -> Sequence[Storage]:
        """Return the sorted subfolders in which a file of that name is published."""

    def below(self, holding: str) -> Sequence[Storage]:
        """Return the folders below this one, at any depth, in which a file of that name is published, sorted."""

    def child(self, name: str) -> Storage:
        """Return the subfolder of that name, which need not exist."""

    def remove_if_empty(self) -> None:
        """Remove the folder, and each folder above that is then empty, if the storage has folders without files."""

    def limits(self) -> tuple[str, ...]:
        """Return what deleting a file does not delete, one sentence each, for people who must know."""

    def siblings(self, holding: str) -> Sequence[Storage]:
        """Return the sorted sibling folders in which a file of that name is published."""

    def uri(self, name: str) -> str:
        """Return the URI of ``name``, existing or not, in a form that other tasks and warehouses can open."""


def local_path(location: str) -> Path | None:
    """Return the path of a plain path or ``file://`` URI, or None if the location is not local."""
    match = _SCHEME.match(location)
    if match is None:
        return Path(location)
    try:
        parts = urlsplit(location)
    except ValueError:  # brackets without an IP address
        return None
    if match[1].lower() != "file" or parts.netloc not in {"", "localhost"}:
        return None
    return Path(unquote(parts.path))


def open_storage(folder_uri: str, supported: str = "a local folder or file://") -> Storage:
    """Return the storage of a folder by its scheme: a plain path or ``file://``.

    Raises ``StorageRefusedError`` for any other scheme. Storage that needs credentials is opened by the caller that has
    them, which then also passes what is ``supported``.
    """
    path = local_path(folder_uri)
    # A typo such as gs:/bucket would be taken for a local folder, and the files would end up there.
    if path is None or _MALFORMED_URI.match(folder_uri):
        # Only the scheme is quoted, because a URI may contain a key and its secret.
        scheme = folder_uri.partition(":")[0]
        raise StorageRefusedError(f"{scheme}: addresses are not supported here: use {supported}")
    return LocalStorage(path)

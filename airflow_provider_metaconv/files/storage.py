"""Where files go: one protocol, bound to the folder of one window, and the choice of an implementation by scheme."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from airflow_provider_metaconv.files.errors import StorageRefusedError
from airflow_provider_metaconv.files.local import LocalStorage
from airflow_provider_metaconv.files.stored_file import MOST_BYTES_READ

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_HALF_A_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:/(?!/)")


class Storage(Protocol):
    """One folder in which files appear whole or not at all.

    A part is written to a local path (``temporary``) and then published under its name; what that takes, a rename or
    an upload, is the storage's business. Every method raises ``StorageError`` with one clear line.
    """

    seconds_between_replacements: float
    """How long to wait between two writes of the same name, so that the storage need not slow them down."""

    def check_writable(self) -> None:
        """Raises ``StorageError`` when nothing can be written there, before a run has cost anything."""

    def temporary(self) -> Path:
        """A fresh local path, not yet existing, to write one file to before it is published or discarded."""

    def publish(self, temporary: Path, name: str, *, sha256: str | None = None) -> None:
        """Make the written file appear under ``name``, whole and durable, in place of what had that name.

        Who knows its SHA-256 already may spare the storage from computing it again. Raises ``NameTakenError`` for a
        name that was free when this task locked the folder, and that another task has taken since.
        """

    def publish_bytes(self, data: bytes, name: str, *, durable: bool = True) -> None:
        """Make ``data`` appear under ``name``, whole, in place of what had that name.

        What is not ``durable`` outlives the process, but need not outlive a power cut.
        """

    def read(self, name: str, most_bytes: int = MOST_BYTES_READ) -> bytes:
        """All bytes of a published file; raises ``NotPublishedError`` when there is none.

        One that is larger than ``most_bytes`` is not read: ``StorageError``.
        """

    def open(self, name: str) -> BinaryIO:
        """A stream of a published file, to be closed; raises ``NotPublishedError`` when there is none."""

    def stat(self, name: str, expected: int | None = None) -> tuple[int, str]:
        """Size and SHA-256 (hexadecimal) of a published file; raises ``NotPublishedError`` when there is none.

        One that is not of the ``expected`` size need not be read: then the checksum is not its own.
        """

    def names(self) -> list[str]:
        """The names of all published files, sorted; empty when the folder does not exist."""

    def delete(self, name: str) -> None:
        """Remove a published file; nothing happens when there is none."""

    def discard(self, temporary: Path) -> None:
        """Remove a temporary file; nothing happens when it was never written."""

    def remove_temporaries(self) -> None:
        """Remove what dead earlier attempts left behind; call it only before anything of this run is written."""

    def lock(self) -> AbstractContextManager[None]:
        """Keep two writers of one folder from mixing their files: one of them gets a ``StorageError``.

        Which one, and whether at once or when it next publishes, is the storage's business.
        """

    def read_versioned(self, name: str) -> tuple[bytes, str] | None:
        """All bytes of a published file and its version, an opaque text; None when there is no such file.

        One that is too large to be read as a whole raises ``StorageError``.
        """

    def replace_if_unchanged(self, data: bytes, name: str, *, version: str | None) -> str:
        """Publish ``data``, whole and durable, in place of that version of the file; None: where there is no file.

        Returns the new version. Raises ``ChangedMeanwhileError``, and changes nothing, when the file is of another
        version by now. Needs no ``lock``: of writers that read the same version exactly one succeeds.
        """

    def parent(self) -> Storage:
        """The folder that this one is in; the topmost folder is its own parent."""

    def children(self, holding: str) -> Sequence[Storage]:
        """The folders directly in this one in which a file of that name is published, sorted."""

    def siblings(self, holding: str) -> Sequence[Storage]:
        """The folders beside this one in which a file of that name is published, sorted."""

    def uri(self, name: str) -> str:
        """Where ``name`` is or would be, in the form that other tasks and warehouses can open."""


def local_path(location: str) -> Path | None:
    """The path behind a plain path or a ``file://`` URI, or None when the location is not on this machine."""
    match = _SCHEME.match(location)
    if match is None:
        return Path(location)
    try:
        parts = urlsplit(location)
    except ValueError:  # brackets that hold no address
        return None
    if match[1].lower() != "file" or parts.netloc not in {"", "localhost"}:
        return None
    return Path(unquote(parts.path))


def open_storage(folder_uri: str, supported: str = "a local folder or file://") -> Storage:
    """The storage for a folder, chosen by the scheme of its address: a plain path or ``file://``.

    Raises ``StorageRefusedError`` for any other scheme; storages that need credentials are made by who holds them, who
    say as well what is ``supported`` then.
    """
    path = local_path(folder_uri)
    # gs:/bucket would be taken for a folder of that odd name, and the files would be looked for in vain.
    if path is None or _HALF_A_SCHEME.match(folder_uri):
        # Only its scheme is named: some addresses hold a key and its secret.
        scheme = folder_uri.partition(":")[0]
        raise StorageRefusedError(f"addresses with {scheme}: are not supported here: use {supported}")
    return LocalStorage(path)

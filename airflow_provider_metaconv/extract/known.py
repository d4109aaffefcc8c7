"""The conversations that earlier runs knew, for Pages so busy that Meta refuses to list them."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_metaconv.files.errors import NotPublishedError
from airflow_provider_metaconv.files.manifest import MANIFEST_NAME, Manifest
from airflow_provider_metaconv.files.reading import read_part
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.records import CONVERSATIONS


def known_conversations(storage: Storage) -> Iterator[str]:
    """The ids in the ledgers of the Page's other windows, each once; folders without a manifest do not count.

    Raises ``ManifestError`` and ``StorageError`` for ledgers that cannot be read.
    """
    known: set[str] = set()
    for folder in storage.neighbours(MANIFEST_NAME):
        try:
            manifest = Manifest.from_bytes(folder.read(MANIFEST_NAME), folder.uri(MANIFEST_NAME))
        except NotPublishedError:
            continue
        for file in manifest.files:
            if file.table == CONVERSATIONS.name:
                new = {row["conversation_id"] for row in read_part(folder, file)} - known
                known |= new
                yield from new

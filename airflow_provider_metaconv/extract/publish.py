"""The commit of a run: the manifest that names its parts, and the end of everything else in the folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_metaconv.extract.ledger import Scope
from airflow_provider_metaconv.extract.window import iso
from airflow_provider_metaconv.files.errors import StorageError
from airflow_provider_metaconv.files.manifest import MANIFEST_NAME, Manifest, ManifestFile
from airflow_provider_metaconv.files.storage import Storage


def publish_manifest(storage: Storage, scope: Scope, parts: Sequence[ManifestFile], figures: dict[str, Any]) -> None:
    """Makes these parts the window's files in one step, then removes the files of earlier runs.

    Raises ``StorageError`` when a part is gone, or the storage fails.
    """
    missing = {part.path for part in parts} - set(storage.names())
    if missing:
        raise StorageError(
            f"{', '.join(sorted(missing))} is gone from beside {storage.uri(MANIFEST_NAME)}: something "
            "removes files there while a task runs, stop that and run the task again"
        )
    if scope.window.capped_from is not None:
        figures = figures | {"until_capped_from": iso(scope.window.capped_from)}
    manifest = Manifest(
        page_id=scope.page_id,
        platform=scope.platform,
        since=scope.since or None,
        until=scope.until,
        files=tuple(parts),
        stats=figures,
    )
    storage.publish_bytes(manifest.to_bytes(), MANIFEST_NAME)
    kept = {MANIFEST_NAME, *(part.path for part in parts)}
    for name in storage.names():
        if name not in kept:
            storage.delete(name)

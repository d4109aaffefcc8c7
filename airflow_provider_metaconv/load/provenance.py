"""The provenance of loaded rows, in a few words for data engineers who consume them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_metaconv.load.verify import StorageOpener, read_manifests


def provenance(manifest_uris: Sequence[str], open_storage: StorageOpener) -> dict[str, Any]:
    """Summarise the manifests in JSON types.

    ``{"pages": ["MESSENGER/100"], "window": {"since": …, "until": …}, "incomplete": 0}``. The window spans all of the
    manifests' windows, in ISO 8601 UTC; ``since`` is None if one of them is a full history. Raises ``LoadError``,
    ``ManifestError`` or ``StorageError`` if a manifest cannot be read.
    """
    manifests = read_manifests(manifest_uris, open_storage)
    begins = [manifest.since for manifest in manifests if manifest.since is not None]
    return {
        "pages": sorted({f"{manifest.platform}/{manifest.page_id}" for manifest in manifests}),
        "window": {
            "since": min(begins) if begins and len(begins) == len(manifests) else None,
            "until": max((manifest.until for manifest in manifests), default=None),
        },
        "incomplete": sum(count for m in manifests if isinstance(count := m.stats.get("incomplete", 0), int)),
    }

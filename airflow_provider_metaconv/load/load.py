"""The two use cases: load the files of manifests, and check that a warehouse holds them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from airflow_provider_metaconv.files import Manifest
from airflow_provider_metaconv.files import open_storage as open_storage_by_scheme
from airflow_provider_metaconv.load.verify import LoadError, StorageOpener, VerifiedManifest, verify_manifests
from airflow_provider_metaconv.schema import TABLES
from airflow_provider_metaconv.warehouse import LoadResult, SourceFile, SourceFileError, Warehouse

__all__ = ["CheckResult", "LoadError", "check_manifests", "load_manifests", "load_through", "verified_files"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How a warehouse compares with manifests.

    ``extracted`` holds the (page_id, platform) pairs of the manifests, ``missing`` the number of missing rows by table
    name, ``incomplete`` the number of incomplete conversations, and ``partial`` the windows that were extracted only in
    part, each with its reasons.
    """

    manifests: int
    extracted: frozenset[tuple[str, str]]
    missing: Mapping[str, int]
    incomplete: int
    partial: tuple[str, ...] = ()

    @property
    def everything_loaded(self) -> bool:
        """Whether the warehouse has the key of every row of the files, regardless of gaps."""
        return not any(self.missing.values())

    def raise_unless_complete(
        self, expected: Iterable[tuple[str, str]], on_partial: Literal["fail", "warn"] = "fail"
    ) -> None:
        """Raise ``LoadError`` unless every expected Page and platform was extracted and every row was loaded.

        A window that was extracted only in part raises it, too, unless ``on_partial`` is ``"warn"``.
        """
        absent = sorted(f"{platform}/{page_id}" for page_id, platform in set(expected) - self.extracted)
        if absent:
            raise LoadError(f"not extracted: {', '.join(absent)}: see the log of the extract task for the cause")
        if not self.everything_loaded:
            lacking = ", ".join(f"{count} {name}" for name, count in self.missing.items() if count)
            raise LoadError(f"the warehouse lacks rows of the extracted files ({lacking}): run the load task again")
        if self.partial:
            line = f"extracted only in part: {', '.join(self.partial)}"
            if on_partial == "fail":
                raise LoadError(f'{line}: extract these windows again, or set on_incomplete="warn" to accept it')
            logger.warning(line)


def load_manifests(
    manifest_uris: Sequence[str],
    warehouse: Warehouse,
    open_storage: StorageOpener = open_storage_by_scheme,
) -> LoadResult:
    """Verify all files of all manifests, then merge them into the open warehouse in one load.

    ``open_storage`` is for storage that needs credentials. Without manifests, nothing is loaded. Raises ``LoadError``,
    ``ManifestError``, ``StorageError`` or ``WarehouseError``; in that case nothing has changed.
    """
    return load_through(manifest_uris, warehouse.load, open_storage)


def load_through(
    manifest_uris: Sequence[str],
    load: Callable[[Sequence[SourceFile]], LoadResult],
    open_storage: StorageOpener = open_storage_by_scheme,
) -> LoadResult:
    """Like ``load_manifests``, with a ``load`` function in place of a warehouse; also raises what ``load`` raises."""
    files = verified_files(manifest_uris, open_storage)
    if not files:
        return LoadResult.nothing()
    try:
        return load(files)
    except SourceFileError:
        again = verified_files(manifest_uris, open_storage)
        if again == files:
            raise
    # The window was committed again between verification and loading.
    return load(again)


def verified_files(
    manifest_uris: Sequence[str], open_storage: StorageOpener = open_storage_by_scheme
) -> list[SourceFile]:
    """Return all files of all manifests, verified, for a warehouse's ``load``; raises as ``load_manifests`` does."""
    return _files(verify_manifests(manifest_uris, open_storage))


def check_manifests(
    manifest_uris: Sequence[str],
    warehouse: Warehouse,
    open_storage: StorageOpener = open_storage_by_scheme,
) -> CheckResult:
    """Count the rows of the files that the warehouse lacks, and the incomplete conversations and partial windows.

    Raises as ``load_manifests`` does, and changes nothing.
    """
    verified = verify_manifests(manifest_uris, open_storage)
    files = _files(verified)
    missing = warehouse.missing(files) if files else {table.name: 0 for table in TABLES}
    extracted = frozenset((one.manifest.page_id, one.manifest.platform) for one in verified)
    partial = tuple(_partial(one.manifest) for one in verified if not one.manifest.complete)
    return CheckResult(len(verified), extracted, missing, sum(_incomplete(one) for one in verified), partial)


def _files(verified: Sequence[VerifiedManifest]) -> list[SourceFile]:
    return [file for one in verified for file in one.files]


def _partial(manifest: Manifest) -> str:
    window = f"{manifest.platform}/{manifest.page_id} from {manifest.since or 'the beginning'} until {manifest.until}"
    return f"{window} ({'; '.join(manifest.gaps) or 'for an unknown reason'})"


def _incomplete(verified: VerifiedManifest) -> int:
    count = verified.manifest.stats.get("incomplete", 0)
    return count if isinstance(count, int) else 0

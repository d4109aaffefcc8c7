"""The files of a load: checked and grouped by table and format, with local files opened for upload."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from airflow_provider_metaconv.access import open_regular
from airflow_provider_metaconv.files.errors import RUN_AGAIN
from airflow_provider_metaconv.schema import Table, table_named
from airflow_provider_metaconv.warehouse.base import SourceFile
from airflow_provider_metaconv.warehouse.errors import SourceFileError
from airflow_provider_metaconv.warehouse.source_files import check_kind, check_present, path_of


@dataclass(frozen=True, slots=True)
class LoadFiles:
    """Files of one table and one format: ``remote`` files that BigQuery reads itself, and ``local`` ones to upload."""

    table: Table
    file_format: str
    rows: int
    remote: tuple[str, ...]
    local: tuple[str, ...]
    checksums: tuple[str, ...] = ()

    @property
    def identity(self) -> list[object]:
        """What distinguishes these files from others, for use in job IDs."""
        local = [(uri, (stat := _path(uri).stat()).st_size, stat.st_mtime_ns) for uri in self.local]
        return [self.table.name, self.file_format, self.rows, self.remote, local, self.checksums]


def load_files(files: Sequence[SourceFile]) -> list[LoadFiles]:
    """Group the files by table and format; raises ``SourceFileError`` for a file that is unknown or missing."""
    for file in files:
        _check(file)
    groups: dict[tuple[str, str], list[SourceFile]] = {}
    for file in files:
        groups.setdefault((file.table, file.file_format), []).append(file)
    return [_load_files(table_named(name), kind, groups[name, kind]) for name, kind in sorted(groups)]


@contextlib.contextmanager
def opened(uri: str, file_format: str) -> Iterator[BinaryIO]:
    """Open a local file for upload. NDJSON is decompressed, because BigQuery reads gzip files with one worker only."""
    path = _path(uri)
    try:
        with open_regular(path) as file, gzip.open(file) if file_format == "ndjson" else file as stream:
            yield cast(BinaryIO, stream)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise SourceFileError(f"{uri} is not a complete gzip file: {RUN_AGAIN}") from None


def _check(file: SourceFile) -> None:
    check_kind(file)
    if not _is_remote(file.uri):
        check_present(file.uri, _path(file.uri))
    elif "*" in file.uri:
        raise SourceFileError(f"BigQuery treats the * in {file.uri} as a wildcard: extract to a folder without it")


def _path(uri: str) -> Path:
    return path_of(uri, "BigQuery loads gs:// and local files", "extract to a Google Cloud Storage bucket")


def _load_files(table: Table, file_format: str, files: Sequence[SourceFile]) -> LoadFiles:
    # A file that is given twice is read twice, by BigQuery and in the row counts.
    remote = tuple(file.uri for file in files if _is_remote(file.uri))
    local = tuple(file.uri for file in files if not _is_remote(file.uri))
    checksums = tuple(file.sha256 for file in files)
    return LoadFiles(table, file_format, sum(file.rows for file in files), remote, local, checksums)


def _is_remote(uri: str) -> bool:
    return uri.startswith("gs://")

"""Reading rows from published parts."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from airflow_provider_metaconv.files.manifest import ManifestFile
from airflow_provider_metaconv.files.ndjson import read_ndjson
from airflow_provider_metaconv.files.parquet import read_parquet
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.schema import Row, Table, table_named

UNREADABLE_PART = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    NotImplementedError,
    EOFError,
    OSError,
    zlib.error,
)
"""The errors that reading and inspecting a damaged or foreign part can raise."""


def read_part(storage: Storage, file: ManifestFile) -> Iterator[Row]:
    """Yield the rows of one part; raises ``StorageError`` if it does not exist."""
    with storage.open(file.path) as stream:
        if file.file_format == "parquet":
            yield from read_parquet(stream, table_named(file.table))
        else:
            yield from read_ndjson(stream)


def rows_of(storage: Storage, files: Iterable[ManifestFile], table: Table) -> Iterator[Row]:
    """Yield the rows of those files that belong to this table."""
    for file in files:
        if file.table == table.name:
            yield from read_part(storage, file)

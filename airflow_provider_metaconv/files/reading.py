"""Published parts back to rows."""

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
"""What the rows of a part that is broken, or another's, can raise as they are read and looked at."""


def read_part(storage: Storage, file: ManifestFile) -> Iterator[Row]:
    """The rows of one part, one after the other; raises ``StorageError`` when it is not there."""
    with storage.open(file.path) as stream:
        if file.file_format == "parquet":
            yield from read_parquet(stream, table_named(file.table))
        else:
            yield from read_ndjson(stream)


def rows_of(storage: Storage, files: Iterable[ManifestFile], table: Table) -> Iterator[Row]:
    """The rows of those files that are of this table."""
    for file in files:
        if file.table == table.name:
            yield from read_part(storage, file)

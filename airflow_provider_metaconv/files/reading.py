"""Reading rows from published parts."""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterable, Iterator

from airflow_provider_metaconv.files.encoding import encode_json
from airflow_provider_metaconv.files.manifest import ManifestFile
from airflow_provider_metaconv.files.ndjson import read_ndjson, read_ndjson_naming
from airflow_provider_metaconv.files.parquet import read_parquet, read_parquet_naming
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


def rows_naming(storage: Storage, file: ManifestFile, identifiers: Collection[str]) -> Iterator[Row]:
    """Yield the rows of one part that may contain one of the identifiers; raises as ``read_part`` does.

    Other rows are skipped without being parsed, as far as the format allows.
    """
    with storage.open(file.path) as stream:
        if file.file_format == "parquet":
            table = table_named(file.table)
            yield from read_parquet_naming(stream, table, table.identifying_columns, identifiers)
        else:
            names = re.compile(b"|".join(re.escape(encode_json(each)[1:-1]) for each in identifiers) or b"(?!)")
            yield from read_ndjson_naming(stream, names)


def rows_of(storage: Storage, files: Iterable[ManifestFile], table: Table) -> Iterator[Row]:
    """Yield the rows of those files that belong to this table."""
    for file in files:
        if file.table == table.name:
            yield from read_part(storage, file)

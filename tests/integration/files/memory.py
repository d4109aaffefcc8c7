"""The memory that rows of a megabyte need, in MB above the start.

``python -m tests.integration.files.memory WHAT FORMAT FOLDER`` prints it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_metaconv.files import MANIFEST_NAME, LocalStorage, Manifest, PartsWriter
from airflow_provider_metaconv.files.parquet import arrow_schema
from airflow_provider_metaconv.files.reading import read_part
from airflow_provider_metaconv.load.verify import verify_manifests
from airflow_provider_metaconv.schema import MESSAGES, Row
from tests.integration.peak_memory import peak_megabytes

ROWS = 80
LENGTH = 1_000_000


def rows(first: int = 0, number: int = ROWS) -> Iterator[Row]:
    """Messages of a megabyte each, alternately in the text and in an attachment."""
    for n in range(first, first + number):
        content = os.urandom(LENGTH // 2).hex()
        yield {
            "platform": "MESSENGER",
            "page_id": "100",
            "conversation_id": "t_1",
            "message_id": f"m_{n}",
            "created_time": "2026-11-20T12:00:00+00:00",
            "text": content if n % 2 else "short",
            "attachments": None if n % 2 else [{"id": "1", "name": content}],
            "content_status": "available",
        }


def write_lists(folder: Path, file_format: str) -> None:
    """Writes ten at a time, as they come from Meta."""
    with PartsWriter(LocalStorage(folder), MESSAGES, file_format) as writer:
        for first in range(0, ROWS, 10):
            writer.write(list(rows(first, 10)), lambda lines: None)
    manifest = Manifest("100", "MESSENGER", None, "2026-11-21T00:00:00+00:00", writer.published)
    LocalStorage(folder).publish_bytes(manifest.to_bytes(), MANIFEST_NAME)


def rewrite(folder: Path, file_format: str) -> None:
    """Writes parts into other parts, as a commit does when rows have to change."""
    storage = LocalStorage(folder)
    manifest = Manifest.from_bytes(storage.read(MANIFEST_NAME))
    with PartsWriter(LocalStorage(folder / "again"), MESSAGES, file_format) as writer:
        writer.write(row for file in manifest.files for row in read_part(storage, file))


def verify(folder: Path, file_format: str) -> None:
    """Verifies the files, as every load does first."""
    verify_manifests([str(folder / MANIFEST_NAME)], LocalStorage)


def send(folder: Path, file_format: str) -> None:
    """Reads files in pieces, as a load into BigQuery does for its uploads."""
    from airflow_provider_metaconv.warehouse.bigquery.load_files import opened

    for file in verify_manifests([str(folder / MANIFEST_NAME)], LocalStorage)[0].files:
        with opened(file.uri, file_format) as stream:
            while stream.read(1024 * 1024):
                pass


if __name__ == "__main__":
    arrow_schema(MESSAGES)
    with contextlib.suppress(ImportError):
        # pyarrow imports it where it is installed; that memory is not the rows'.
        import pandas as pandas
    before = peak_megabytes()
    globals()[sys.argv[1]](Path(sys.argv[3]), sys.argv[2])
    sys.stdout.write(f"{peak_megabytes() - before:.0f}\n")

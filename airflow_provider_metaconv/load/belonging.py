"""Checks that the rows of a file belong to the Page, platform and window of its manifest."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from airflow_provider_metaconv.files import Manifest, ManifestFile
from airflow_provider_metaconv.files.parquet import read_columns
from airflow_provider_metaconv.schema import EXTRACTION_WINDOWS, MESSAGES, table_named

_PLATFORM_AND_PAGE = re.compile(rb'\{"platform":"([^"\\]*)","page_id":"([^"\\]*)"')
_TIME = re.compile(rb',"conversation_id":"[^"\\]*","message_id":"[^"\\]*","created_time":"([^"\\]*)"')
"""The start of a line as this package writes it. It saves parsing most lines as JSON."""

_TIMES = {MESSAGES.name: ("created_time",), EXTRACTION_WINDOWS.name: ("window_since", "window_until")}


class NotOfManifestError(ValueError):
    """A row does not belong to the file's manifest. The message quotes no value."""


def check_rows(manifest: Manifest, file: ManifestFile, stream: BinaryIO) -> None:
    """Read the file's stream to its end; raises ``NotOfManifestError`` for a row that does not belong to the manifest.

    A file that cannot be read passes: the warehouse, which reads all of it, reports the error.
    """
    rows = _parquet_rows(file, stream) if file.file_format == "parquet" else _ndjson_rows(file, stream)
    since = manifest.reads_since or manifest.since or ""
    for platform, page_id, *times in rows:
        if (platform, page_id) != (manifest.platform, manifest.page_id):
            raise NotOfManifestError("has rows of a different Page or platform than its manifest says")
        if file.table == MESSAGES.name:
            if not since <= (times[0] or "") < manifest.until:
                raise NotOfManifestError("has messages from outside its manifest's window")
        elif times and times != [manifest.since, manifest.until]:
            raise NotOfManifestError("has the row of a different window than its manifest says")


def _ndjson_rows(file: ManifestFile, stream: BinaryIO) -> Iterator[list[Any]]:
    times = _TIMES.get(file.table, ())
    platform_and_page: dict[bytes, list[Any]] = {}
    try:
        with gzip.open(stream) as lines:
            for line in lines:
                head = _PLATFORM_AND_PAGE.match(line)
                time = _TIME.match(line, head.end()) if head and times == ("created_time",) else None
                if head is None or (times and time is None):
                    row = json.loads(line)
                    yield [row.get(name) for name in ("platform", "page_id", *times)]
                    continue
                known = platform_and_page.get(head[0])
                if known is None:
                    known = platform_and_page[head[0]] = [head[1].decode(), head[2].decode()]
                yield known if time is None else [*known, time[1].decode()]
    except (EOFError, OSError, zlib.error, ValueError, AttributeError):
        return


def _parquet_rows(file: ManifestFile, stream: BinaryIO) -> Iterator[list[Any]]:
    names = ("platform", "page_id", *_TIMES.get(file.table, ()))
    yield from read_columns(stream, table_named(file.table), names)

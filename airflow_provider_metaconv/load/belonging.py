"""Whether the rows of a file are of the Page, the platform and the window that its manifest says."""

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
"""How our own lines begin, so that few of them have to be parsed."""

_TIMES = {MESSAGES.name: ("created_time",), EXTRACTION_WINDOWS.name: ("window_since", "window_until")}


class NotOfManifestError(ValueError):
    """A row that the manifest says nothing of; the message says what is wrong with it, and quotes nothing else."""


def check_rows(manifest: Manifest, file: ManifestFile, stream: BinaryIO) -> None:
    """Reads the stream of one file to its end; raises ``NotOfManifestError`` for a row that is none of the manifest's.

    Of a file that cannot be read nothing is said: the warehouse, which reads all of it, says that.
    """
    rows = _of_parquet(file, stream) if file.file_format == "parquet" else _of_ndjson(file, stream)
    since = manifest.reads_since or manifest.since or ""
    for platform, page_id, *times in rows:
        if (platform, page_id) != (manifest.platform, manifest.page_id):
            raise NotOfManifestError("holds rows of another Page or platform than its manifest says")
        if file.table == MESSAGES.name:
            if not since <= (times[0] or "") < manifest.until:
                raise NotOfManifestError("holds messages of another time than its manifest says")
        elif times and times != [manifest.since, manifest.until]:
            raise NotOfManifestError("holds the row of another window than its manifest says")


def _of_ndjson(file: ManifestFile, stream: BinaryIO) -> Iterator[list[Any]]:
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


def _of_parquet(file: ManifestFile, stream: BinaryIO) -> Iterator[list[Any]]:
    names = ("platform", "page_id", *_TIMES.get(file.table, ()))
    yield from read_columns(stream, table_named(file.table), names)

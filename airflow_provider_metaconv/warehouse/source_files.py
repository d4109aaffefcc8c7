"""What every warehouse asks of a file before it loads it: a known table and format, and that it is there."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from airflow_provider_metaconv.access import is_regular
from airflow_provider_metaconv.schema import TABLES
from airflow_provider_metaconv.warehouse.base import SourceFile
from airflow_provider_metaconv.warehouse.errors import SourceFileError

FORMATS = ("ndjson", "parquet")
RUN_AGAIN = "run the extract task again"


def check_kind(file: SourceFile) -> None:
    """Raises ``SourceFileError`` for a table or format that no warehouse here knows."""
    names = sorted(table.name for table in TABLES)
    if file.table not in names or file.file_format not in FORMATS:
        raise SourceFileError(
            f"{file.uri} is of table {file.table!r} and format {file.file_format!r}: "
            f"tables are {', '.join(names)}, formats are {', '.join(FORMATS)}"
        )


def local_path(uri: str, taken: str, advice: str) -> Path:
    """Where a path or a ``file://`` URI is on this machine.

    Raises ``SourceFileError`` for any other: the line says what is ``taken`` and what to do.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return Path(uri)
    if scheme != "file":
        raise SourceFileError(f"{taken}, not {uri}: {advice}")
    return Path(unquote(rest.removeprefix("localhost")))


def check_present(uri: str, path: Path) -> None:
    """Raises ``SourceFileError`` for a file that is not there."""
    if not is_regular(path):
        raise SourceFileError(f"there is no file {uri}: {RUN_AGAIN}")

"""What every warehouse asks of a file before it loads it: a known table and format, and that it is there."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_metaconv.access import is_regular
from airflow_provider_metaconv.files.errors import RUN_AGAIN
from airflow_provider_metaconv.files.manifest import FILE_FORMATS
from airflow_provider_metaconv.files.storage import local_path
from airflow_provider_metaconv.schema import TABLES
from airflow_provider_metaconv.warehouse.base import SourceFile
from airflow_provider_metaconv.warehouse.errors import SourceFileError


def check_kind(file: SourceFile) -> None:
    """Raises ``SourceFileError`` for a table or format that no warehouse here knows."""
    names = sorted(table.name for table in TABLES)
    if file.table not in names or file.file_format not in FILE_FORMATS:
        raise SourceFileError(
            f"{file.uri} is of table {file.table!r} and format {file.file_format!r}: "
            f"tables are {', '.join(names)}, formats are {', '.join(FILE_FORMATS)}"
        )


def path_of(uri: str, supported: str, advice: str) -> Path:
    """Where a file is on this machine.

    Raises ``SourceFileError`` for an address that is not on this machine: the line says what is ``supported`` and what
    to do.
    """
    path = local_path(uri)
    if path is None:
        raise SourceFileError(f"{supported}, not {uri}: {advice}")
    return path


def check_present(uri: str, path: Path) -> None:
    """Raises ``SourceFileError`` for a file that is not there."""
    if not is_regular(path):
        raise SourceFileError(f"there is no file {uri}: {RUN_AGAIN}")

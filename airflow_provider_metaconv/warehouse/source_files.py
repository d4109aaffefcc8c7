"""Checks that every warehouse makes before it loads a file."""

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
    """Raise ``SourceFileError`` for an unknown table or format."""
    names = sorted(table.name for table in TABLES)
    if file.table not in names or file.file_format not in FILE_FORMATS:
        raise SourceFileError(
            f"{file.uri} has table {file.table!r} and format {file.file_format!r}: "
            f"the table must be one of {', '.join(names)}, the format one of {', '.join(FILE_FORMATS)}"
        )


def path_of(uri: str, supported: str, advice: str) -> Path:
    """Return the local path of a file.

    Raises ``SourceFileError`` for a remote URI, with what is ``supported`` and with ``advice``.
    """
    path = local_path(uri)
    if path is None:
        raise SourceFileError(f"{supported}, not {uri}: {advice}")
    return path


def check_present(uri: str, path: Path) -> None:
    """Raise ``SourceFileError`` for a file that does not exist."""
    if not is_regular(path):
        raise SourceFileError(f"file {uri} does not exist: {RUN_AGAIN}")

"""Translation of DuckDB's errors into one line that says what to change. DuckDB's own text may quote a row."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow_provider_metaconv.warehouse.errors import (
    SchemaConflictError,
    WarehouseBusyError,
    WarehouseError,
    WarehouseOpenError,
    WarehouseRefusedError,
)

_DISK_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is exceeded",
    errno.EFBIG: "the file has reached the maximum size",
}
_ACCESS_DENIED = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
}


def import_duckdb() -> Any:
    """Return the ``duckdb`` module; raises ``ImportError`` with the installation command if it is not installed."""
    try:
        import duckdb
    except ImportError:
        raise ImportError("DuckDB is not installed: pip install 'airflow-provider-metaconv[duckdb]'") from None
    return duckdb


def disk_error(path: Path, error: Exception) -> WarehouseError | None:
    """Return the error to raise for a problem with the database's disk, or None for any other problem."""
    if reason := _reason(error, _DISK_FULL):
        return WarehouseError(
            f"{reason} in {path.parent}, which holds the DuckDB file {path.name}: free space there, then run the task "
            "again; earlier loads are safe"
        )
    if reason := _reason(error, _ACCESS_DENIED):
        return WarehouseRefusedError(
            f"cannot write the DuckDB file {path} ({reason}): give the worker's user write access to it and its folder"
        )
    if _reason(error, {errno.EIO: "I/O"}):
        return WarehouseError(
            f"I/O error on the disk of {path.parent}, which holds the DuckDB file {path.name}: check the disk"
        )
    return None


def open_error(path: Path, error: Exception) -> WarehouseError:
    """Return the error to raise for a file that cannot be opened."""
    reason = str(error).splitlines()[0]
    if found := disk_error(path, error):
        return found
    if "version number" in reason:
        return WarehouseRefusedError(
            f"DuckDB {import_duckdb().__version__} cannot read the version of the DuckDB file {path}: "
            "install the version that wrote it, or export and import the database"
        )
    if "checksum" in reason:
        return WarehouseRefusedError(
            f"the DuckDB file {path} is damaged (a checksum does not match): restore it, or load into another file"
        )
    if "different configuration" in reason:
        return WarehouseBusyError(f"the DuckDB file {path} is already open in this process: close that connection")
    return WarehouseOpenError(f"cannot open the DuckDB file {path} ({reason}): check the path and its permissions")


@contextlib.contextmanager
def one_line_errors(path: Path) -> Iterator[None]:
    """Raise DuckDB's errors as ``WarehouseError``."""
    duckdb = import_duckdb()
    try:
        yield
    except duckdb.Error as error:
        # The cause is dropped because its text may quote a message.
        raise (disk_error(path, error) or _load_error(duckdb, path, error)) from None


def _load_error(duckdb: Any, path: Path, error: Exception) -> WarehouseError:
    match error:
        case duckdb.ConstraintException():
            return SchemaConflictError(
                f"a key, index or constraint that was added to the tables in {path} rejects rows: drop it"
            )
        case duckdb.TransactionException():
            return WarehouseBusyError(
                f"another connection of this process changed {path} at the same time: let the task retry"
            )
        case duckdb.OutOfMemoryException():
            return WarehouseError(
                f"not enough memory to load into {path}, or not enough disk space to spill to: free some"
            )
        case _:
            return WarehouseError(
                f"DuckDB cannot load into {path} ({type(error).__name__}): check the disk space and the tables in it"
            )


def _reason(error: Exception, reasons: dict[int, str]) -> str | None:
    # DuckDB's errors carry no errno, only the operating system's text.
    text = str(error)
    return next((reason for number, reason in reasons.items() if os.strerror(number) in text), None)

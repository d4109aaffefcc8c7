"""DuckDB's errors as ours: one line that says what to change, without DuckDB's own words, which may quote a row."""

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

_NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file has reached the size that this machine allows",
}
_NO_ACCESS = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
}


def import_duckdb() -> Any:
    """The ``duckdb`` module; raises ``ImportError`` with the command that installs it when it is missing."""
    try:
        import duckdb
    except ImportError:
        raise ImportError("DuckDB is not installed: pip install 'airflow-provider-metaconv[duckdb]'") from None
    return duckdb


def disk_error(path: Path, error: Exception) -> WarehouseError | None:
    """What to raise for an error of the disk that the database is on; None for an error of another kind."""
    if reason := _reason(error, _NO_ROOM):
        return WarehouseError(
            f"{reason} in {path.parent}, where the DuckDB file {path.name} is: free space there, then run the task "
            "again; what was loaded before is safe"
        )
    if reason := _reason(error, _NO_ACCESS):
        return WarehouseRefusedError(
            f"cannot write the DuckDB file {path} ({reason}): let the worker's user write the file and its folder"
        )
    if _reason(error, {errno.EIO: "I/O"}):
        return WarehouseError(f"the disk of {path.parent}, where the DuckDB file {path.name} is, fails: check the disk")
    return None


def open_error(path: Path, error: Exception) -> WarehouseError:
    """What to raise for a file that cannot be opened."""
    reason = str(error).splitlines()[0]
    if found := disk_error(path, error):
        return found
    if "version number" in reason:
        return WarehouseRefusedError(
            f"the DuckDB file {path} is of a version that DuckDB {import_duckdb().__version__} does not read: "
            "install the version that wrote it, or export and import the database"
        )
    if "checksum" in reason:
        return WarehouseRefusedError(
            f"the DuckDB file {path} is damaged (a checksum is wrong): restore it, or load into another"
        )
    if "different configuration" in reason:
        return WarehouseBusyError(f"this process has the DuckDB file {path} open elsewhere: close that connection")
    return WarehouseOpenError(f"cannot open the DuckDB file {path} ({reason}): check the path and its rights")


@contextlib.contextmanager
def one_line_errors(path: Path) -> Iterator[None]:
    """Turns what goes wrong while the tables of the file are used into ``WarehouseError``."""
    duckdb = import_duckdb()
    try:
        yield
    except duckdb.Error as error:
        # Without the cause: its text may quote what someone wrote.
        raise (disk_error(path, error) or _load_error(duckdb, path, error)) from None


def _load_error(duckdb: Any, path: Path, error: Exception) -> WarehouseError:
    match error:
        case duckdb.ConstraintException():
            return SchemaConflictError(
                f"a key, index or constraint that was added to the tables in {path} refuses rows: drop it"
            )
        case duckdb.TransactionException():
            return WarehouseBusyError(
                f"another connection of this process changed {path} at the same time: let the task try again"
            )
        case duckdb.OutOfMemoryException():
            return WarehouseError(
                f"not enough memory to load into {path}, or disk space for what does not fit in memory: free some"
            )
        case _:
            return WarehouseError(
                f"DuckDB cannot load into {path} ({type(error).__name__}): check the disk space and the tables there"
            )


def _reason(error: Exception, reasons: dict[int, str]) -> str | None:
    # DuckDB's errors carry no number, only the system's words for it.
    text = str(error)
    return next((reason for number, reason in reasons.items() if os.strerror(number) in text), None)

"""Opening a DuckDB file. Only one process at a time can hold it, so opening waits for the lock."""

from __future__ import annotations

import fcntl
import os
import re
import stat
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_metaconv.access import FileAccessError, make_folder, narrowed_umask, report_looser
from airflow_provider_metaconv.warehouse.duckdb.database_path import check_file
from airflow_provider_metaconv.warehouse.duckdb.errors import disk_error, import_duckdb, open_error
from airflow_provider_metaconv.warehouse.duckdb.sql import literal
from airflow_provider_metaconv.warehouse.errors import WarehouseBusyError, WarehouseRefusedError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SECONDS_BETWEEN_ATTEMPTS = 0.1

_HOLDER = re.compile(r"\bPID (\d+)")

CONFIGURATION: dict[str, str | bool | int | float | list[str]] = {
    # All extensions in use (json, parquet, icu) are built in. A worker must not download code.
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    # A load must not use credentials that were stored on this machine for other uses of DuckDB.
    "allow_persistent_secrets": "false",
    # A name in SQL is a table, never a Python variable.
    "python_enable_replacements": "false",
}
"""The options of ``duckdb.connect``. They apply before DuckDB reads the file."""

_file_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
"""One lock per file: DuckDB lets two threads of one process write at once, and both could insert the same key."""


class OpenDatabase:
    """An open DuckDB file, held exclusively by this thread until ``close``.

    Raises ``WarehouseBusyError`` if the file is still locked after ``open_timeout``, ``WarehouseOpenError`` if it
    cannot be opened, and ``ImportError`` with the installation command if DuckDB is not installed.
    """

    def __init__(self, path: Path, open_timeout: timedelta) -> None:
        self._path, self._open_timeout = path, open_timeout
        self._allowed_paths: frozenset[str] | None = None
        self._is_replaced = False
        deadline = time.monotonic() + open_timeout.total_seconds()
        _make_folder(path)
        self._lock = _file_locks[str(path.resolve())]
        if not self._lock.acquire(timeout=max(0.0, open_timeout.total_seconds())):
            raise _busy(path, "another thread of this process", open_timeout)
        with ExitStack() as holding:
            holding.callback(self._lock.release)
            # DuckDB creates its files (the database and the .wal file) with the umask's permissions.
            holding.enter_context(narrowed_umask())
            self._connection = _connect(path, open_timeout, deadline)
            report_looser(path)
            self._holding = holding.pop_all()

    def close(self) -> None:
        """Close the connection and release the lock."""
        with self._holding:
            self._connection.close()

    def replace(self, finished: Path) -> None:
        """Put another database in the place of this one, atomically. Both are locked meanwhile.

        It must be closed and complete, and this one must have no .wal file. ``restricted_to`` opens it.
        """
        path = self._path.resolve()
        descriptor = os.open(finished, os.O_RDWR | os.O_NOFOLLOW)
        try:
            # DuckDB's own lock. Once the file has its new name, it must not be opened until this one is closed:
            # closing deletes a .wal file by its name.
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = path.stat()
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode))
            with suppress(PermissionError):
                os.fchown(descriptor, found.st_uid, found.st_gid)
            os.fsync(descriptor)
            finished.rename(path)
            self._is_replaced = True
            try:
                sync_folder(path.parent)
            finally:
                self._connection.close()
        except BaseException:
            finished.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)

    def interrupt(self) -> None:
        """Interrupt the statement that another thread is running."""
        self._connection.interrupt()

    def restricted_to(self, files: Iterable[str]) -> DuckDBPyConnection:
        """Return the connection, restricted to these files: nothing else outside the database can be read or written.

        Neither SQL stored in the database (a default, a view, a macro) nor a bug here can reach the network, another
        file or an extension. The restriction cannot be lifted.
        """
        allowed = frozenset(files)
        if self._is_replaced or (self._allowed_paths is not None and self._allowed_paths != allowed):
            # DuckDB never widens this restriction, so other files require a new connection.
            self._connection.close()
            deadline = time.monotonic() + self._open_timeout.total_seconds()
            self._connection, self._allowed_paths = _connect(self._path, self._open_timeout, deadline), None
            self._is_replaced = False
        if self._allowed_paths is None:
            self._connection.execute("SET TimeZone = 'UTC'")
            self._connection.execute(f"SET allowed_paths = [{', '.join(map(literal, sorted(allowed)))}]")
            self._connection.execute("SET enable_external_access = false")
            self._connection.execute("SET lock_configuration = true")
            self._allowed_paths = allowed
        return self._connection


def _make_folder(path: Path) -> None:
    try:
        make_folder(path.parent)
    except FileAccessError as error:
        raise WarehouseRefusedError(str(error)) from None
    except OSError as error:
        raise disk_error(path, error) or WarehouseRefusedError(
            f"cannot create the folder of the DuckDB file {path} ({error.strerror}): choose another path"
        ) from error


def _connect(path: Path, open_timeout: timedelta, deadline: float) -> DuckDBPyConnection:
    duckdb = import_duckdb()
    while True:
        try:
            check_file(path)
            if not path.exists():
                _create_database(duckdb, path)
            before = path.stat().st_ino
            connection: DuckDBPyConnection = duckdb.connect(str(path), config=CONFIGURATION)
            if path.stat().st_ino != before:
                # An erasure has replaced the file between opening and locking: this is the old one.
                connection.close()
                continue
        except (duckdb.Error, OSError) as error:
            if "lock on file" not in str(error):
                raise open_error(path, error) from error
            holder = f"process {match[1]}" if (match := _HOLDER.search(str(error))) else "another process"
        else:
            return connection
        if time.monotonic() >= deadline:
            raise _busy(path, holder, open_timeout)
        time.sleep(_SECONDS_BETWEEN_ATTEMPTS)


def _create_database(duckdb: Any, path: Path) -> None:
    """Create an empty database at ``path`` atomically: on a full disk, DuckDB leaves half a file."""
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        duckdb.connect(str(unfinished), config=CONFIGURATION).close()
        _move_into_place(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _move_into_place(unfinished: Path, path: Path) -> None:
    """Move the new database to ``path``, unless another process has created one there in the meantime."""
    try:
        os.link(unfinished, path)
    except FileExistsError:
        return
    except OSError:
        # Some file systems do not support hard links.
        if not path.exists():
            unfinished.rename(path)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _busy(path: Path, holder: str, open_timeout: timedelta) -> WarehouseBusyError:
    return WarehouseBusyError(
        f"the DuckDB file {path} is locked by {holder} (waited {open_timeout.total_seconds():g} s): "
        "give the tasks that use it a pool with one slot, and close other programs that have it open"
    )

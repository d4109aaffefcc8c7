"""Opening a DuckDB file: one process at a time may hold it, so opening waits its turn."""

from __future__ import annotations

import os
import re
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
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

_SECONDS_BETWEEN_TRIES = 0.1

_HOLDER = re.compile(r"\bPID (\d+)")

CONFIGURATION: dict[str, str | bool | int | float | list[str]] = {
    # All that is used (json, parquet, icu) is built in; a worker must not fetch code from the network on its own.
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    # Credentials that somebody stored for other uses of DuckDB on this machine are none of a load's.
    "allow_persistent_secrets": "false",
    # A name in SQL is a table, never a variable of this program.
    "python_enable_replacements": "false",
}
"""What a database is opened with: it holds before the first byte of the file is read."""

_held_here: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
"""One lock per file: DuckDB lets two threads of one process write at once, and both could insert the same key."""


class OpenDatabase:
    """An open DuckDB file that this process and this thread hold alone until ``close``.

    Raises ``WarehouseBusyError`` when someone else still holds the file after ``open_timeout``, ``WarehouseOpenError``
    when it cannot be opened at all, and ``ImportError`` with the command that installs DuckDB when it is missing.
    """

    def __init__(self, path: Path, open_timeout: timedelta) -> None:
        self._path, self._open_timeout = path, open_timeout
        self._reach: frozenset[str] | None = None
        deadline = time.monotonic() + open_timeout.total_seconds()
        _make_folder(path)
        self._lock = _held_here[str(path.resolve())]
        if not self._lock.acquire(timeout=max(0.0, open_timeout.total_seconds())):
            raise _busy(path, "another thread of this process", open_timeout)
        with ExitStack() as holding:
            holding.callback(self._lock.release)
            # DuckDB makes its files (the database, the .wal beside it) as the umask says.
            holding.enter_context(narrowed_umask())
            self._connection = _connect(path, open_timeout, deadline)
            report_looser(path)
            self._holding = holding.pop_all()

    def close(self) -> None:
        """Let go of the file."""
        with self._holding:
            self._connection.close()

    def interrupt(self) -> None:
        """Ends the statement that another thread is waiting for."""
        self._connection.interrupt()

    def reaching(self, files: Iterable[str]) -> DuckDBPyConnection:
        """The connection, from which nothing outside of the database can be read or written but these files.

        Neither the tables' own SQL (a default, a view, a macro) nor a mistake of ours reaches the network, another file
        or an extension; and nothing can undo that.
        """
        reach = frozenset(files)
        if self._reach is not None and self._reach != reach:
            # DuckDB lets nobody widen this, us included: only a new connection reaches other files.
            self._connection.close()
            deadline = time.monotonic() + self._open_timeout.total_seconds()
            self._connection, self._reach = _connect(self._path, self._open_timeout, deadline), None
        if self._reach is None:
            self._connection.execute("SET TimeZone = 'UTC'")
            self._connection.execute(f"SET allowed_paths = [{', '.join(map(literal, sorted(reach)))}]")
            self._connection.execute("SET enable_external_access = false")
            self._connection.execute("SET lock_configuration = true")
            self._reach = reach
        return self._connection


def _make_folder(path: Path) -> None:
    try:
        make_folder(path.parent)
    except FileAccessError as error:
        raise WarehouseRefusedError(str(error)) from None
    except OSError as error:
        raise disk_error(path, error) or WarehouseRefusedError(
            f"cannot make the folder of the DuckDB file {path} ({error.strerror}): choose another path"
        ) from error


def _connect(path: Path, open_timeout: timedelta, deadline: float) -> DuckDBPyConnection:
    duckdb = import_duckdb()
    while True:
        try:
            check_file(path)
            if not path.exists():
                _make_database(duckdb, path)
            connection: DuckDBPyConnection = duckdb.connect(str(path), config=CONFIGURATION)
        except (duckdb.Error, OSError) as error:
            if "lock on file" not in str(error):
                raise open_error(path, error) from error
            holder = f"process {match[1]}" if (match := _HOLDER.search(str(error))) else "another process"
        else:
            return connection
        if time.monotonic() >= deadline:
            raise _busy(path, holder, open_timeout)
        time.sleep(_SECONDS_BETWEEN_TRIES)


def _make_database(duckdb: Any, path: Path) -> None:
    """An empty database at ``path``, whole or not at all: DuckDB leaves half a file where the disk is full."""
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        duckdb.connect(str(unfinished), config=CONFIGURATION).close()
        _put_in_place(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _put_in_place(unfinished: Path, path: Path) -> None:
    """Another process may have made it in the meantime: theirs is not replaced."""
    try:
        os.link(unfinished, path)
    except FileExistsError:
        return
    except OSError:
        # Some file systems have no links.
        if not path.exists():
            unfinished.rename(path)


def _busy(path: Path, holder: str, open_timeout: timedelta) -> WarehouseBusyError:
    return WarehouseBusyError(
        f"the DuckDB file {path} is held by {holder}, waited {open_timeout.total_seconds():g} s: "
        "give the tasks that use it a pool with one slot, close other programs that have it open"
    )

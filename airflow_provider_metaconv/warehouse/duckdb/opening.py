"""Opening a DuckDB file: one process at a time may hold it, so opening waits its turn."""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_metaconv.warehouse.errors import WarehouseBusyError, WarehouseError, WarehouseOpenError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SECONDS_BETWEEN_TRIES = 0.1

_HOLDER = re.compile(r"\bPID (\d+)")

_held_here: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
"""One lock per file: DuckDB lets two threads of one process write at once, and both could insert the same key."""


class OpenDatabase:
    """An open DuckDB file that this process and this thread hold alone until ``close``.

    Raises ``WarehouseBusyError`` when someone else still holds the file after ``open_timeout``, ``WarehouseOpenError``
    when it cannot be opened at all, and ``ImportError`` with the command that installs DuckDB when it is missing.
    """

    def __init__(self, path: Path, open_timeout: timedelta) -> None:
        duckdb = import_duckdb()
        deadline = time.monotonic() + open_timeout.total_seconds()
        _make_folder(path)
        self._lock = _held_here[str(path.resolve())]
        if not self._lock.acquire(timeout=max(0.0, open_timeout.total_seconds())):
            raise _busy(path, "another thread of this process", open_timeout)
        try:
            self.connection = _connect(duckdb, path, open_timeout, deadline)
        except BaseException:
            self._lock.release()
            raise

    def close(self) -> None:
        """Let go of the file."""
        try:
            self.connection.close()
        finally:
            self._lock.release()


def import_duckdb() -> Any:
    """The ``duckdb`` module; raises ``ImportError`` with the command that installs it when it is missing."""
    try:
        import duckdb
    except ImportError:
        raise ImportError("DuckDB is not installed: pip install 'airflow-provider-metaconv[duckdb]'") from None
    return duckdb


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WarehouseOpenError(
            f"cannot make the folder of the DuckDB file {path} ({error.strerror}): choose another path"
        ) from error


def _connect(duckdb: Any, path: Path, open_timeout: timedelta, deadline: float) -> DuckDBPyConnection:
    while True:
        try:
            connection: DuckDBPyConnection = duckdb.connect(str(path))
        except duckdb.Error as error:
            if "lock on file" not in str(error):
                raise _cannot_open(path, error) from error
            holder = f"process {match[1]}" if (match := _HOLDER.search(str(error))) else "another process"
        else:
            _configure(connection)
            return connection
        if time.monotonic() >= deadline:
            raise _busy(path, holder, open_timeout)
        time.sleep(_SECONDS_BETWEEN_TRIES)


def _configure(connection: DuckDBPyConnection) -> None:
    connection.execute("SET TimeZone = 'UTC'")
    # All that is used (json, parquet, icu) is built in; a worker must not fetch code from the network on its own.
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")


def _busy(path: Path, holder: str, open_timeout: timedelta) -> WarehouseBusyError:
    return WarehouseBusyError(
        f"the DuckDB file {path} is held by {holder}, waited {open_timeout.total_seconds():g} s: "
        "give the tasks that use it a pool with one slot, close other programs that have it open"
    )


def _cannot_open(path: Path, error: Exception) -> WarehouseError:
    reason = str(error).splitlines()[0]
    if "not a valid DuckDB" in reason:
        return WarehouseOpenError(f"{path} is not a DuckDB database: choose a path where no file is yet")
    return WarehouseOpenError(f"cannot open the DuckDB file {path} ({reason}): check the path and its rights")

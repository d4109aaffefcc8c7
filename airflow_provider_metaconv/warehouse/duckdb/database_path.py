"""Which paths are databases: files of this machine and nothing else that DuckDB could open by a name."""

from __future__ import annotations

import re
from pathlib import Path

from airflow_provider_metaconv.warehouse.errors import WarehouseRefusedError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_MAGIC = slice(8, 12)
_ADVICE = "write the path of a file such as /data/meta.duckdb"


def database_path(database: Path | str) -> Path:
    """The absolute path of a database; raises ``WarehouseRefusedError`` for anything but the path of a file.

    DuckDB takes ``md:``, ``postgres:`` or ``https://`` for an extension that it may fetch, and ``:memory:`` for a
    database that is gone with the process.
    """
    text = str(database) if isinstance(database, Path) else database
    if not isinstance(text, str) or not text.strip():
        raise WarehouseRefusedError(f"database is empty: {_ADVICE}")
    if text.startswith(":"):
        raise WarehouseRefusedError(f"database keeps nothing in memory: {_ADVICE}")
    # What follows the scheme may hold a password.
    if match := _SCHEME.match(text):
        raise WarehouseRefusedError(f"database must be a file of this machine, not {match[1]}:…: {_ADVICE}")
    if "\0" in text:
        raise WarehouseRefusedError(f"database holds a NUL character: {_ADVICE}")
    path = Path(text).absolute()
    if "?" in str(path):
        # DuckDB takes what follows for options, and puts its log elsewhere.
        raise WarehouseRefusedError(f"database holds a question mark: {_ADVICE}")
    return path


def check_file(path: Path) -> None:
    """Raises ``WarehouseRefusedError`` for what is there and is no DuckDB database, before DuckDB looks at it.

    DuckDB would load the extension for a file of SQLite, and would wait for a pipe.
    """
    if not path.exists():
        return
    if not path.is_file():
        raise WarehouseRefusedError(f"{path} is not a file: choose another path for the DuckDB database")
    with path.open("rb") as file:
        if file.read(_MAGIC.stop)[_MAGIC] != b"DUCK":
            raise WarehouseRefusedError(f"{path} is not a DuckDB database: choose a path where no file is yet")

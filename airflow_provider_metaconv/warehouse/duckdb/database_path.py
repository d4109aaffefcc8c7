"""Validation of database paths: only local files, nothing else that DuckDB could open by name."""

from __future__ import annotations

import re
from pathlib import Path

from airflow_provider_metaconv.warehouse.errors import WarehouseRefusedError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_MAGIC = slice(8, 12)
_ADVICE = "set it to the path of a file, such as /data/meta.duckdb"


def database_path(database: Path | str) -> Path:
    """Return the absolute path of a database, or raise ``WarehouseRefusedError`` if it is not the path of a file.

    DuckDB would download an extension for ``md:``, ``postgres:`` or ``https://``, and would lose a ``:memory:``
    database with the process.
    """
    text = str(database) if isinstance(database, Path) else database
    if not isinstance(text, str) or not text.strip():
        raise WarehouseRefusedError(f"database is empty: {_ADVICE}")
    if text.startswith(":"):
        raise WarehouseRefusedError(f"database must not be in memory: {_ADVICE}")
    # The rest of the URL may contain a password.
    if match := _SCHEME.match(text):
        raise WarehouseRefusedError(f"database must be a local file, not {match[1]}:…: {_ADVICE}")
    if "\0" in text:
        raise WarehouseRefusedError(f"database must not contain a NUL character: {_ADVICE}")
    path = Path(text).absolute()
    if "?" in str(path):
        # DuckDB would parse what follows as options, and would put its write-ahead log elsewhere.
        raise WarehouseRefusedError(f"database must not contain a question mark: {_ADVICE}")
    return path


def check_file(path: Path) -> None:
    """Raise ``WarehouseRefusedError`` if the path exists and is not a DuckDB database, before DuckDB opens it.

    DuckDB would load the extension for a SQLite file, and would block on a pipe.
    """
    if not path.exists():
        return
    if not path.is_file():
        raise WarehouseRefusedError(f"{path} is not a file: choose another path for the DuckDB database")
    with path.open("rb") as file:
        if file.read(_MAGIC.stop)[_MAGIC] != b"DUCK":
            raise WarehouseRefusedError(f"{path} is not a DuckDB database: choose a path that does not exist yet")

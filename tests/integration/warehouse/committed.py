"""The committed content of a DuckDB file, read while a warehouse has it open."""

import shutil
import tempfile
from contextlib import contextmanager
from functools import cache

import duckdb


@contextmanager
def copy_of(path):
    """A connection to a copy of what is committed, even while the file is locked."""
    with tempfile.TemporaryDirectory() as folder:
        copy = f"{folder}/copy.duckdb"
        for file in path.parent.glob(f"{path.name}*"):
            if file.is_file():
                shutil.copy(file, copy + file.name.removeprefix(path.name))
        with _database().cursor() as connection:
            connection.execute(f"ATTACH '{copy}' AS committed; USE committed; SET TimeZone = 'UTC'")
            try:
                yield connection
            finally:
                connection.execute("USE memory; DETACH committed")


@cache
def _database():
    # To attach a file takes a fifth of what opening it as a database of its own takes.
    return duckdb.connect()

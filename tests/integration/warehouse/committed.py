"""The committed content of a DuckDB file, read while a warehouse has it open."""

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import duckdb


@contextmanager
def copy_of(path):
    """A connection to a copy of what is committed, even while the file is locked."""
    with tempfile.TemporaryDirectory() as folder:
        for file in path.parent.glob(f"{path.name}*"):
            if file.is_file():
                shutil.copy(file, folder)
        with duckdb.connect(str(Path(folder) / path.name)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection

"""A database is a file on this machine: nothing else is opened, fetched or loaded."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import pytest

from airflow_provider_metaconv.warehouse import WarehouseBusyError, WarehouseRefusedError
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from airflow_provider_metaconv.warehouse.duckdb.errors import open_error
from tests.integration.warehouse.committed import copy_of
from tests.integration.warehouse.test_duckdb import SHORTLY
from tests.integration.warehouse.warehouse_contract import Files, message

NOT_PATHS = [
    "md:",
    "md:meta",
    "MD:meta",
    "motherduck:meta",
    "postgres:dbname=meta password=hunter2",
    "postgresql://user:hunter2@localhost/meta",
    "mysql:host=localhost password=hunter2",
    "sqlite:/tmp/meta.sqlite",
    "ducklake:meta.ducklake",
    "duckdb:/tmp/meta.duckdb",
    "http://127.0.0.1:9/meta.duckdb",
    "https://user:hunter2@127.0.0.1:9/meta.duckdb",
    "s3://bucket/meta.duckdb",
    "gs://bucket/meta.duckdb",
    "file:///tmp/meta.duckdb",
    ":memory:",
    ":memory:meta",
    "",
    " ",
    "/data/a\0b.duckdb",
    "/data/meta.duckdb?access_mode=read_only",
]


@pytest.mark.parametrize("database", NOT_PATHS)
def test_anything_but_a_path_is_rejected_without_quoting_it(tmp_path, monkeypatch, database):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WarehouseRefusedError) as caught:
        DuckDBWarehouse(database)
    line = str(caught.value)
    assert line.startswith("database ")
    assert line.endswith("set it to the path of a file, such as /data/meta.duckdb")
    assert "hunter2" not in line
    assert len(line.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("database", ["md:meta", ":memory:", "http://127.0.0.1:9/x", None, 7])
def test_path_objects_and_other_types_are_checked_too(database):
    with pytest.raises(WarehouseRefusedError):
        DuckDBWarehouse(Path(database) if isinstance(database, str) else database)


@pytest.mark.parametrize("name", ["./md:meta", "a:b/meta.duckdb", "[a]*/meta.duckdb", "ünï x.duckdb", "'q'.duckdb"])
def test_a_path_can_contain_any_valid_character(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    source = Files(tmp_path)(message())
    with DuckDBWarehouse(name if name.startswith(".") else path) as warehouse:
        warehouse.load([source])
    assert path.is_file()
    with copy_of(path) as connection:
        assert connection.execute("SELECT message_id FROM messages").fetchall() == [("m_1",)]


def _sqlite(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE messages (x)")
    connection.commit()
    connection.close()


def _pipe(path):
    os.mkfifo(path)


def _damaged(path):
    duckdb.connect(str(path)).close()
    content = bytearray(path.read_bytes())
    content[12:20] = (60_000).to_bytes(8, "little")
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (_sqlite, "is not a DuckDB database: choose a path that does not exist yet"),
        (_pipe, "is not a file: choose another path"),
        (Path.mkdir, "is not a file: choose another path"),
        (_damaged, r"is damaged \(a checksum does not match\): restore it"),
    ],
)
def test_an_unusable_existing_file_is_reported_before_use(tmp_path, make, expected):
    path = tmp_path / "meta.duckdb"
    make(path)
    with pytest.raises(WarehouseRefusedError, match=expected) as caught, DuckDBWarehouse(path, open_timeout=SHORTLY):
        pass
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_of_another_duckdb_version_is_reported(tmp_path):
    error = duckdb.IOException(
        "IO Error: a database file with version number 60, but we can only read versions between 64 and 67"
    )
    reported = open_error(tmp_path / "meta.duckdb", error)
    assert isinstance(reported, WarehouseRefusedError)
    assert f"DuckDB {duckdb.__version__} cannot read the version of the DuckDB file {tmp_path}" in str(reported)


def test_a_file_already_open_in_this_process_is_reported(tmp_path):
    path = tmp_path / "meta.duckdb"
    with (
        duckdb.connect(str(path)),
        pytest.raises(WarehouseBusyError, match=r"the DuckDB file .* is already open in this process"),
        DuckDBWarehouse(path, open_timeout=SHORTLY),
    ):
        pass


AS_NOBODY = """
import os, sys
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
# Only after the imports: others may not be allowed to read Python's own files.
os.setuid(65534)
try:
    with DuckDBWarehouse(sys.argv[1]) as warehouse:
        warehouse.load([])
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def shared_folder():
    """A folder that others may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can switch to a user without permissions")
@pytest.mark.parametrize("exists", [True, False])
def test_missing_permissions_are_reported_with_advice(exists, shared_folder):
    path = shared_folder / "meta.duckdb"
    if exists:
        duckdb.connect(str(path)).close()
        path.chmod(0o644)
    done = subprocess.run(
        [sys.executable, "-c", "import duckdb;" + AS_NOBODY, str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == (
        f"WarehouseRefusedError cannot write the DuckDB file {path} (permission denied): "
        "give the worker's user write access to it and its folder\n"
    )


def test_a_new_database_leaves_no_other_files(tmp_path):
    with DuckDBWarehouse(tmp_path / "meta.duckdb") as warehouse:
        warehouse.load([])
    assert [path.name for path in tmp_path.iterdir()] == ["meta.duckdb"]

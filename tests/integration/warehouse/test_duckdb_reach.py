"""An open database can read only the files it loads: no network, no other files, no extensions."""

import os
import shutil
import subprocess
import sys

import duckdb
import pytest

from airflow_provider_metaconv.warehouse.duckdb.connection import OpenDatabase
from tests.integration.warehouse.committed import copy_of
from tests.integration.warehouse.test_duckdb import SHORTLY
from tests.integration.warehouse.warehouse_contract import Files, message

FORBIDDEN = [
    "INSTALL httpfs",
    "LOAD httpfs",
    "INSTALL h3 FROM community",
    "SELECT * FROM read_text('http://127.0.0.1:9/x')",
    "SELECT * FROM read_text('/etc/hostname')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM 'https://127.0.0.1:9/x.parquet'",
    "SELECT * FROM read_csv('s3://bucket/x.csv')",
    "ATTACH '{folder}/other.duckdb'",
    "ATTACH 'md:'",
    "ATTACH 'sqlite:{folder}/x.sqlite'",
    "COPY (SELECT 1) TO '{folder}/out.csv'",
    "EXPORT DATABASE '{folder}/out'",
    "CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'x')",
    "SET enable_external_access = true",
    "SET allowed_directories = ['/']",
    "SET autoinstall_known_extensions = true",
    "SET allow_community_extensions = true",
    "SELECT * FROM forbidden_variable",
]


@pytest.fixture
def database(tmp_path):
    database = OpenDatabase(tmp_path / "meta.duckdb", SHORTLY)
    yield database
    database.close()


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_no_sql_reaches_anything_else(tmp_path, database, sql):
    forbidden_variable = duckdb.sql("SELECT 1 AS x")
    connection = database.restricted_to([])
    with pytest.raises(duckdb.Error):
        connection.execute(sql.format(folder=tmp_path)).fetchall()
    assert forbidden_variable is not None
    assert {path.name for path in tmp_path.iterdir()} - {"meta.duckdb.wal"} == {"meta.duckdb"}


def test_each_load_can_read_only_its_own_files(tmp_path, database):
    files = Files(tmp_path)
    first, second = files(message(1)), files(message(2))
    query = "SELECT message_id FROM read_json($path, columns = {'message_id': 'VARCHAR'})"
    for mine, other in [(first, second), (second, first), (second, first)]:
        connection = database.restricted_to([mine.uri])
        assert len(connection.execute(query, {"path": mine.uri}).fetchall()) == 1
        with pytest.raises(duckdb.PermissionException):
            connection.execute(query, {"path": other.uri})


LOAD = """
import sys
from airflow_provider_metaconv.warehouse import SourceFile
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
for file_format, uri in zip(["ndjson", "parquet"], sys.argv[2:]):
    with DuckDBWarehouse(sys.argv[1]) as warehouse:
        source = [SourceFile(uri, "messages", file_format, 1)]
        warehouse.load(source)
        warehouse.missing(source)
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_load_opens_no_connection_and_no_extension(tmp_path):
    files = Files(tmp_path)
    sources = [files(message(1)).uri, files(message(2), file_format="parquet").uri]
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-qq", "-e", "trace=network,open,openat", "-o", str(trace), sys.executable, "-c", LOAD]
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(
        [*command, str(tmp_path / "x.duckdb"), *sources], check=True, timeout=100, env={**os.environ, "HOME": str(home)}
    )
    calls = trace.read_text("utf-8")
    assert "messages" in calls
    assert [line for line in calls.splitlines() if "connect(" in line or "AF_INET" in line] == []
    assert ".duckdb_extension" not in calls
    assert list(home.iterdir()) == []
    with copy_of(tmp_path / "x.duckdb") as connection:
        assert connection.execute("SELECT message_id FROM messages ORDER BY 1").fetchall() == [("m_1",), ("m_2",)]


def test_an_installed_extension_is_not_loaded(tmp_path):
    """Without a network only extensions in the home folder could be loaded; even that folder is not read."""
    [(version,)] = duckdb.execute("SELECT library_version FROM pragma_version()").fetchall()
    [(platform,)] = duckdb.execute("PRAGMA platform").fetchall()
    installed = tmp_path / "home" / ".duckdb" / "extensions" / version / platform
    installed.mkdir(parents=True)
    (installed / "sqlite_scanner.duckdb_extension").write_bytes(b"not an extension")
    (tmp_path / "x.duckdb").write_bytes(b"SQLite format 3\0" + bytes(4080))
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(tmp_path / "x.duckdb"), "/none"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "HOME": str(tmp_path / "home")},
    )
    assert "x.duckdb is not a DuckDB database" in done.stderr
    assert "sqlite_scanner" not in done.stderr

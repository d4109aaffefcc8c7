"""On a full disk a load names the disk, keeps earlier data, and works again once there is space."""

import resource
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_metaconv.warehouse import WarehouseError, WarehouseRefusedError
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse, connection
from tests.integration.warehouse.committed import copy_of
from tests.integration.warehouse.warehouse_contract import Files, message

SIZE = 3 * 1024 * 1024
PAGE = 4096


def _mount(folder, *options):
    return subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], capture_output=True).returncode == 0


@pytest.fixture
def disk(tmp_path):
    """A disk of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None or not _mount(folder, "-o", f"size={SIZE}"):
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def ids(path):
    with copy_of(path) as connection:
        return [name for (name,) in connection.execute("SELECT message_id FROM messages ORDER BY 1").fetchall()]


def _large(files, count=20, size=200_000):
    return files(*(message(number, text=secrets.token_hex(size // 2)) for number in range(1, count + 1)))


def _full(path):
    return (
        f"the disk is full in {path.parent}, which holds the DuckDB file {path.name}: free space there, "
        "then run the task again; earlier loads are safe"
    )


@pytest.mark.parametrize(("count", "size"), [(20_000, 200), (3, 1_500_000), (2, 1_400_000)])
def test_a_load_that_fills_the_disk_changes_nothing(disk, files, count, size):
    path = disk / "meta.duckdb"
    with DuckDBWarehouse(path) as warehouse:
        warehouse.load([files(message(0))])
    with pytest.raises(WarehouseError) as caught, DuckDBWarehouse(path) as warehouse:
        warehouse.load([_large(files, count, size)])
    assert _full(path) == str(caught.value)
    assert not isinstance(caught.value, WarehouseRefusedError)
    assert ids(path) == ["m_0"]


@pytest.mark.parametrize("pages", [0, 1, 2, 3])
def test_creating_a_database_on_a_full_disk_can_be_retried(disk, files, pages):
    path, filler = disk / "meta.duckdb", disk / "filler"
    filler.write_bytes(bytes(SIZE - pages * PAGE))
    with pytest.raises(WarehouseError) as caught, DuckDBWarehouse(path) as warehouse:
        warehouse.load([files(message(0))])
    assert _full(path) == str(caught.value)
    filler.unlink()
    with DuckDBWarehouse(path) as warehouse:
        warehouse.load([files(message(1))])
    assert ids(path) == ["m_1"]
    assert {"meta.duckdb", "meta.duckdb.wal"} >= {file.name for file in disk.iterdir()}


def test_creating_a_folder_on_a_full_disk_can_be_retried(disk):
    (disk / "filler").write_bytes(bytes(SIZE))
    with (
        pytest.raises(WarehouseError, match="the disk is full") as caught,
        DuckDBWarehouse(disk / "/".join("x" * 500) / "meta.duckdb"),
    ):
        pass
    assert not isinstance(caught.value, WarehouseRefusedError)


def test_staging_that_does_not_fit_is_reported(disk, files, monkeypatch):
    path = disk / "meta.duckdb"
    with DuckDBWarehouse(path) as warehouse:
        warehouse.load([files(message(0))])
    little = connection.CONFIGURATION | {"memory_limit": "60MB", "threads": "1"}
    monkeypatch.setattr(connection, "CONFIGURATION", little)
    expected = r"the disk is full in|not enough memory to load into .*, or not enough disk space"
    with pytest.raises(WarehouseError, match=expected), DuckDBWarehouse(path) as warehouse:
        warehouse.load([_large(files, 1_000, 60_000)])
    assert ids(path) == ["m_0"]


def test_a_read_only_disk_is_reported(disk):
    path = disk / "meta.duckdb"
    with DuckDBWarehouse(path) as warehouse:
        warehouse.load([])
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(WarehouseRefusedError, match=r"\(the file system is read-only\)"), DuckDBWarehouse(path):
        pass


LIMITED = """
import sys
from airflow_provider_metaconv.warehouse import SourceFile
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
try:
    with DuckDBWarehouse(sys.argv[1]) as warehouse:
        warehouse.load([SourceFile(sys.argv[2], "messages", "ndjson", int(sys.argv[3]))])
except Exception as error:
    print(type(error).__name__, error)
"""


def _limit():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))


def test_a_file_size_limit_is_reported(tmp_path, files):
    path = tmp_path / "meta.duckdb"
    source = _large(files)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path), source.uri, str(source.rows)],
        preexec_fn=_limit,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout.startswith("WarehouseError the file has reached the maximum size in ")

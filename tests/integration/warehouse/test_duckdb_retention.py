"""DuckDB: the bytes of old messages are gone from the file, which is only copied if there is a reason."""

import duckdb
import pytest

from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from airflow_provider_metaconv.warehouse.duckdb.retention import remove_old
from tests.integration.warehouse.retention_contract import CUTOFF, RETENTION, before
from tests.integration.warehouse.warehouse_contract import Files, counts, message

OLD = "wholly unique words"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data" / "meta.duckdb"
    with DuckDBWarehouse(path) as warehouse:
        warehouse.load([Files(tmp_path)(message(1), message(2, created_time=before(1), text=OLD))])
    return path


def remove(path, **options):
    with DuckDBWarehouse(path) as warehouse:
        return warehouse.remove_old(CUTOFF, RETENTION, **options)


def has_bytes(path):
    return any(OLD.encode() in file.read_bytes() for file in path.parent.iterdir())


def test_no_byte_of_an_old_message_is_left(path):
    assert has_bytes(path)
    assert remove(path) == counts(messages=1)
    assert not has_bytes(path)
    file = path.stat().st_ino
    assert remove(path) == counts()
    assert path.stat().st_ino == file


def test_what_a_killed_removal_left_in_the_file_leaves_with_the_next(path):
    with duckdb.connect(str(path)) as connection:
        assert remove_old(connection, "main", CUTOFF) == counts(messages=1)
    assert has_bytes(path)
    assert remove(path) == counts()
    assert has_bytes(path)
    assert remove(path, was_interrupted=True) == counts()
    assert not has_bytes(path)

"""Files and tables of the release before still load: columns are added, and what was there stays."""

import duckdb
import pytest

from airflow_provider_metaconv.schema import CONVERSATIONS, TABLES
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from tests.integration.warehouse import release_before
from tests.integration.warehouse.release_before import LATER, later_version, without_costs
from tests.integration.warehouse.test_duckdb import whole_rows_in
from tests.integration.warehouse.warehouse_contract import Files, at, conversation


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.duckdb"


def earlier_database(path):
    """A DuckDB file of the release before, with the rows of its files."""
    with duckdb.connect(str(path)) as connection:
        connection.execute(release_before.duckdb_tables())
        for source in release_before.files("parquet"):
            connection.execute(f"INSERT INTO {source.table} BY NAME SELECT * FROM read_parquet(?)", [source.uri])


def assert_loaded(path, tables=TABLES):
    for table in tables:
        found, expected = whole_rows_in(path, table.name), release_before.rows(table.name)
        assert without_costs(found) == without_costs(expected)


@pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
def test_earlier_files_load_with_nulls(path, file_format):
    with DuckDBWarehouse(path) as warehouse:
        sources = release_before.files(file_format)
        warehouse.load(sources)
        assert set(warehouse.missing(sources).values()) == {0}
    assert_loaded(path)


def test_earlier_tables_keep_their_rows_and_gain_the_columns(path, tmp_path):
    earlier_database(path)
    with DuckDBWarehouse(path) as warehouse:
        outcome = warehouse.load(release_before.files("parquet")).tables
        assert [(each.inserted, each.updated) for each in outcome.values()] == [(0, 0)] * len(TABLES)
    assert_loaded(path)


def test_a_later_version_fills_the_new_columns_of_an_earlier_row(path, tmp_path):
    earlier_database(path)
    new, source = later_version(Files(tmp_path))
    with DuckDBWarehouse(path) as warehouse:
        warehouse.load([source])
        warehouse.load(release_before.files("ndjson"))
    first, *others = whole_rows_in(path, "conversations")
    assert first == new
    assert others == release_before.rows("conversations")[1:]


def test_one_load_mixes_files_of_both_releases(path, tmp_path):
    new, source = later_version(Files(tmp_path))
    with DuckDBWarehouse(path) as warehouse:
        warehouse.load([*release_before.files("parquet"), source])
    assert whole_rows_in(path, "conversations")[0] == new


def test_parquet_of_both_releases_is_read_together(path, tmp_path):
    row = conversation(unread_count=3, can_reply=False, folder="spam", folder_time=at(10), extracted_time=LATER)
    new = Files(tmp_path)(row, table=CONVERSATIONS, file_format="parquet")
    with DuckDBWarehouse(path) as warehouse:
        warehouse.load([*release_before.files("parquet"), new])
    rows = {row["conversation_id"]: row for row in whole_rows_in(path, "conversations")}
    assert rows["t_1"] == row
    assert len(rows) == 6

"""BigQuery: the views show, row by row, what the model and DuckDB show of the same files."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from airflow_provider_metaconv.schema import MESSAGES, TABLES, ColumnType
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from airflow_provider_metaconv.warehouse.views import VIEWS
from tests.integration.warehouse.bigquery_dataset import TIMEOUT, TemporaryDataset
from tests.integration.warehouse.test_duckdb_views import shown as shown_by_duckdb
from tests.integration.warehouse.views_contract import ViewsContract
from tests.integration.warehouse.views_model import VIEW_OPTIONS, Views, ordered, page_worlds
from tests.integration.warehouse.warehouse_contract import MAKE, Files

# The local server translates each view for seconds.
SLOWLY = timedelta(minutes=3)
OPTIONS = VIEW_OPTIONS[2]  # a time zone whose clock goes back, and business hours
PAGES = [(str(number), platform) for number in range(12) for platform in ("MESSENGER", "INSTAGRAM")]


@settings(max_examples=1, derandomize=True, phases=[Phase.generate])
@given(st.tuples(*(page_worlds(*page) for page in PAGES)))
def test_both_warehouses_show_what_the_model_shows(bigquery_server, worlds):
    """One load of many small worlds. It derives parts of the ledger, so the model reads the tables after it."""
    rows = {table: [row for world in worlds for row in world[table]] for table in TABLES}
    assume(len(rows[MESSAGES]) > 60)
    with tempfile.TemporaryDirectory() as folder, TemporaryDataset(bigquery_server) as dataset:
        write, database = Files(Path(folder)), Path(folder) / "x.duckdb"
        files = [write(*(_whole(table, row) for row in rows[table]), table=table) for table in TABLES if rows[table]]
        dataset.warehouse(views=OPTIONS, job_timeout=SLOWLY).load(files)
        with DuckDBWarehouse(database, views=OPTIONS) as warehouse:
            warehouse.load(files)
        world = {table: [_parsed(table, row) for row in dataset.rows(table.name)] for table in TABLES}
        model = Views(world, OPTIONS)
        with duckdb.connect(str(database)) as connection:
            for view in VIEWS:
                found = ordered(dataset_rows(dataset, view.name))
                assert found == model.rows(view.name)
                assert found == shown_by_duckdb(connection, view)
        _check_replacement(dataset, world)


def _check_replacement(dataset, world):
    """The same options send no job, others one. Here, because a dataset with views takes long to make."""
    sent = _jobs_that_define_views(dataset)
    dataset.warehouse(views=OPTIONS).load([])
    assert _jobs_that_define_views(dataset) == sent
    dataset.warehouse(views=VIEW_OPTIONS[0], job_timeout=SLOWLY).load([])
    assert len(_jobs_that_define_views(dataset) - sent) == 1
    assert ordered(dataset_rows(dataset, "sessions")) == Views(world, VIEW_OPTIONS[0]).rows("sessions")


def _jobs_that_define_views(dataset):
    jobs = {job.job_id for job in dataset.client.list_jobs(timeout=TIMEOUT)}
    return {job_id for job_id in jobs if job_id.startswith("metaconv_views_")}


def dataset_rows(dataset, name):
    found = dataset.query(f"SELECT * FROM {{dataset}}.{name}")
    return [{key: _utc(value) for key, value in row.items()} for row in found]


def _whole(table, row):
    """A row as in a file, with a value for every required column."""
    texts = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
    return MAKE[table.name]() | texts


def _parsed(table, row):
    times = {column.name for column in table.columns if column.type is ColumnType.TIMESTAMP}
    return {name: datetime.fromisoformat(value) if name in times and value else value for name, value in row.items()}


def _utc(value):
    return value.astimezone(UTC) if isinstance(value, datetime) else value


class TestBigQueryViews:
    @pytest.fixture
    def dataset(self, bigquery_server):
        with TemporaryDataset(bigquery_server) as dataset:
            yield dataset

    @pytest.fixture
    def files(self, tmp_path):
        return Files(tmp_path)

    @pytest.fixture
    def open_warehouse(self, dataset):
        return dataset.warehouse

    @pytest.fixture
    def make_object(self, dataset):
        def make(kind, name):
            dataset.client.create_dataset(dataset.name)
            dataset.query(f"CREATE {kind} {{dataset}}.{name} AS SELECT 1 AS one")

        return make

    @pytest.fixture
    def rows_of_messages(self, dataset):
        return lambda: dataset.rows("messages")

    load = ViewsContract.load
    test_somebody_elses_object_is_refused_and_nothing_is_loaded = (
        ViewsContract.test_somebody_elses_object_is_refused_and_nothing_is_loaded
    )

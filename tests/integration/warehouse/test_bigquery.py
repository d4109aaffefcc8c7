"""BigQuery fulfils the contract, with files in a bucket and with files on this machine."""

import pytest

from airflow_provider_metaconv.schema import CONVERSATIONS
from airflow_provider_metaconv.warehouse import SourceFile, SourceFileError
from tests.integration.warehouse.bigquery_dataset import BucketFiles, TemporaryDataset
from tests.integration.warehouse.erasure_contract import ErasureContract
from tests.integration.warehouse.ledger_contract import LedgerContract
from tests.integration.warehouse.retention_contract import RetentionContract
from tests.integration.warehouse.rows_contract import CASES, RowsContract
from tests.integration.warehouse.shared_loads import SharedLoads
from tests.integration.warehouse.warehouse_contract import (
    Files,
    WarehouseContract,
    conversation,
    message,
    partitioned,
    result,
)


@pytest.fixture
def dataset(bigquery_server):
    with TemporaryDataset(bigquery_server) as dataset:
        yield dataset


class BigQueryContract:
    @pytest.fixture
    def warehouse(self, dataset):
        with dataset.warehouse() as warehouse:
            yield warehouse

    @pytest.fixture
    def warehouse_without_tables(self, warehouse, dataset):
        dataset.client.create_dataset(dataset.name)
        return warehouse

    @pytest.fixture(scope="class")
    @classmethod
    def held(cls, bigquery_server, tmp_path_factory):
        with TemporaryDataset(bigquery_server) as dataset, dataset.warehouse() as warehouse:
            warehouse.load([Files(tmp_path_factory.mktemp("held"))(message(text="held"))])
            yield dataset

    @pytest.fixture
    def holding(self, held):
        """The same for all tests of the class: a load takes seconds."""
        with held.warehouse() as warehouse:
            yield warehouse, lambda name: [row | {"extracted_time": None} for row in held.rows(name)]

    @pytest.fixture
    def mixing_warehouse(self, dataset):
        return lambda: dataset.warehouse(allow_policy_change=True)

    @pytest.fixture
    def read_rows(self, dataset):
        return dataset.rows


class TestBigQuery(
    BigQueryContract, WarehouseContract, RowsContract, LedgerContract, ErasureContract, RetentionContract
):
    @pytest.fixture
    def files(self, tmp_path, storage_server):
        return BucketFiles(tmp_path, storage_server)

    @pytest.fixture(scope="class")
    @classmethod
    def shared(cls, bigquery_server, storage_server, tmp_path_factory):
        with TemporaryDataset(bigquery_server) as dataset, dataset.warehouse() as warehouse:
            files = BucketFiles(tmp_path_factory.mktemp("shared"), storage_server)
            yield warehouse, files, dataset.rows, dataset.ask

    @pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
    @pytest.mark.parametrize("damage", ["cut", "rubbish", "empty", "missing"])
    def test_a_broken_file_changes_nothing(self, holding, files, file_format, damage):
        warehouse, rows_of = holding
        good = files(message(2))
        whole = files(*(conversation(n) for n in range(50)), table=CONVERSATIONS, file_format=file_format)
        bad = files.damaged(whole, damage)
        with pytest.raises(SourceFileError) as caught:
            warehouse.load([good, bad])
        assert ([message(text="held")], []) == (rows_of("messages"), rows_of("conversations"))
        assert "run the extract task again" in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1


class TestBigQueryWithLocalFiles(BigQueryContract):
    @pytest.fixture
    def files(self, tmp_path):
        return Files(tmp_path)

    @pytest.fixture(scope="class")
    @classmethod
    def loaded(cls, bigquery_server, tmp_path_factory):
        files = Files(partitioned(tmp_path_factory.mktemp("shared")))
        cases = {case: CASES[case] for case in ("full", "both formats")}
        with TemporaryDataset(bigquery_server) as dataset, dataset.warehouse() as warehouse:
            yield SharedLoads(cases, warehouse, files, dataset.rows, dataset.ask)

    rows = RowsContract.rows
    test_rows_are_loaded_unchanged = RowsContract.test_rows_are_loaded_unchanged
    test_both_formats_give_the_same_rows = RowsContract.test_both_formats_give_the_same_rows

    test_a_broken_file_changes_nothing = WarehouseContract.test_a_broken_file_changes_nothing

    def test_a_file_uri_is_accepted(self, warehouse, files):
        source = files(message())
        source = SourceFile(f"file://{source.uri}", source.table, source.file_format, source.rows)
        assert warehouse.load([source]).tables["messages"] == result(1, inserted=1)

    def test_a_file_in_another_cloud_is_rejected(self, warehouse):
        with pytest.raises(SourceFileError, match="BigQuery loads gs:// and local files, not s3://bucket/x"):
            warehouse.load([SourceFile("s3://bucket/x", "messages", "ndjson", 1)])

    def test_a_wildcard_is_rejected(self, warehouse):
        with pytest.raises(SourceFileError, match=r"treats the \* in gs://bucket/\*.gz as a wildcard"):
            warehouse.load([SourceFile("gs://bucket/*.gz", "messages", "ndjson", 1)])

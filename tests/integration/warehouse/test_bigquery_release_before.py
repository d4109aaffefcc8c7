"""Files and tables of the release before still load into BigQuery: columns are added, and what was there stays."""

from google.cloud import bigquery

from airflow_provider_metaconv.schema import TABLES
from tests.integration.warehouse import release_before
from tests.integration.warehouse.bigquery_dataset import TemporaryDataset
from tests.integration.warehouse.release_before import later_version, without_costs
from tests.integration.warehouse.warehouse_contract import Files


def test_earlier_files_and_tables_load_and_gain_the_columns(bigquery_server, tmp_path):
    """All of it in one dataset, because each load takes seconds there."""
    with TemporaryDataset(bigquery_server) as dataset:
        dataset.client.create_dataset(dataset.name)
        for name, columns in release_before.bigquery_tables().items():
            schema = [bigquery.SchemaField(column, kind, mode) for column, kind, mode in columns]
            dataset.client.create_table(bigquery.Table(f"{dataset.client.project}.{dataset.name}.{name}", schema))
        warehouse = dataset.warehouse()
        for file_format in ("parquet", "ndjson"):
            sources = release_before.files(file_format)
            warehouse.load(sources)
            assert set(warehouse.missing(sources).values()) == {0}
            for table in TABLES:
                expected = release_before.rows(table.name)
                assert without_costs(dataset.rows(table.name)) == without_costs(expected)
        new, source = later_version(Files(tmp_path))
        warehouse.load([source])
        first, *others = dataset.rows("conversations")
        assert first == new
        assert others == release_before.rows("conversations")[1:]

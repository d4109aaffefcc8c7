"""A dataset of its own for each test of BigQuery, and files in a bucket."""

import uuid
from datetime import UTC, datetime, timedelta

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage

from airflow_provider_metaconv.schema import ColumnType, table_named
from airflow_provider_metaconv.warehouse import SourceFile
from airflow_provider_metaconv.warehouse.bigquery import BigQueryWarehouse
from tests.integration.warehouse.documented_queries import documented_queries
from tests.integration.warehouse.warehouse_contract import Files

TIMEOUT = 30


def bigquery_client(url, project):
    options = ClientOptions(api_endpoint=url)
    return bigquery.Client(project=project, credentials=AnonymousCredentials(), client_options=options)


class OneDataset:
    """A dataset that is not there yet, looked at past the fault proxy so that its log holds the warehouse's calls.

    Is gone again when it is left, and so are the faults: what many tests leave behind makes the server slow.
    """

    def __init__(self, server):
        self.server = server
        self.name = f"test_{uuid.uuid4().hex}"
        self.client = bigquery_client(server.direct_url, server.project)

    def __enter__(self):
        self.server.forget_requests()
        return self

    def __exit__(self, *_):
        self.server.clear_faults()
        self.client.delete_dataset(self.name, delete_contents=True, not_found_ok=True, timeout=TIMEOUT)

    def warehouse(self, **options):
        options = {"job_timeout": timedelta(seconds=TIMEOUT), "call_timeout": timedelta(seconds=TIMEOUT)} | options
        return BigQueryWarehouse(bigquery_client(self.server.url, self.server.project), self.name, **options)

    def query(self, sql):
        return list(self.client.query(sql.format(dataset=self.name)).result(timeout=TIMEOUT))

    def rows(self, table_name):
        # Without a query: that takes the server several times as long.
        table = table_named(table_name)
        held = list(self.client.list_rows(self.client.get_table(f"{self.name}.{table_name}"), timeout=TIMEOUT))
        rows = [{column.name: _value(column, row[column.name]) for column in table.columns} for row in held]
        return sorted(rows, key=lambda row: [row[name] for name in table.key])

    def answer(self, title):
        """The answer to the very text of the documentation, or to a query in this dataset; times as in the files."""
        configuration = bigquery.QueryJobConfig(default_dataset=f"{self.client.project}.{self.name}")
        found = self.client.query(documented_queries().get(title, title), configuration).result(timeout=TIMEOUT)
        return [[_text(value) for value in row.values()] for row in found]

    def tables(self):
        return sorted(table.table_id for table in self.client.list_tables(self.name))


def _value(column, value):
    if value is None or column.type is not ColumnType.TIMESTAMP:
        return value
    return _text(value)


def _text(value):
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


class BucketFiles(Files):
    """As ``Files``, and what it writes is in a bucket."""

    def __init__(self, folder, server):
        super().__init__(folder)
        options = ClientOptions(api_endpoint=server.direct_url)
        client = storage.Client(project="p", credentials=AnonymousCredentials(), client_options=options)
        self.bucket = client.create_bucket(f"bucket-{uuid.uuid4().hex}", timeout=TIMEOUT)

    def __call__(self, *rows, **options):
        source = super().__call__(*rows, **options)
        data = (self.folder / source.uri.rpartition("/")[2]).read_bytes()
        return self._put(source, data)

    def damaged(self, source, damage):
        if damage == "missing":
            return SourceFile(f"{source.uri}.missing", source.table, source.file_format, source.rows)
        data = (self.folder / source.uri.rpartition("/")[2]).read_bytes()
        return self._put(source, {"cut": data[: len(data) // 2], "rubbish": b"rubbish" * 100, "empty": b""}[damage])

    def _put(self, source, data):
        # The name looks like a real one; its "platform=messenger" must not be taken for a column.
        name = f"platform=messenger/page_id=999/{source.uri.rpartition('/')[2]}"
        self.bucket.blob(name).upload_from_string(data, timeout=TIMEOUT)
        return SourceFile(f"gs://{self.bucket.name}/{name}", source.table, source.file_format, source.rows)

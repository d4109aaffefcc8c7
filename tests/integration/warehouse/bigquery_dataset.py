"""A separate dataset for each BigQuery test, and files in a bucket."""

import time
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


def shorten_pauses(monkeypatch):
    """Pauses of at most a fifth of a second: without any, asking again and again would slow the server down."""
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.2)))


class TemporaryDataset:
    """The name of a new dataset; read past the fault proxy, whose log then holds only the warehouse's calls.

    On exit the dataset and all faults are removed: leftovers of many tests slow the server down.
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
        # Without a query, which takes this server several times as long.
        table = table_named(table_name)
        found = list(self.client.list_rows(self.client.get_table(f"{self.name}.{table_name}"), timeout=TIMEOUT))
        rows = [{column.name: _value(column, row[column.name]) for column in table.columns} for row in found]
        return sorted(rows, key=lambda row: [row[name] for name in table.key])

    def ask(self, title):
        """Rows of a documented query, given by its title, or of a query in this dataset; times as in the files."""
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
    """Like ``Files``, but in a bucket."""

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
        # The name looks like a real one; its "platform=messenger" must not be read as a column.
        name = f"platform=messenger/page_id=999/{source.uri.rpartition('/')[2]}"
        self.bucket.blob(name).upload_from_string(data, timeout=TIMEOUT)
        return SourceFile(f"gs://{self.bucket.name}/{name}", source.table, source.file_format, source.rows)

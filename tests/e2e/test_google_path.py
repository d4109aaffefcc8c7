"""The sample DAG with both warehouses: the same rows in DuckDB and, through a bucket, in BigQuery."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import requests
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage

from airflow_provider_metaconv.emulator import EmulatorServer, EmulatorSettings, World, WorldSettings
from airflow_provider_metaconv.schema import TABLES, ColumnType, table_named
from local_servers.servers import BigQueryServer, StorageServer, client_environment
from tests.e2e.conftest import Airflow

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BUCKET = "example-bucket"
CLOUD = {"warehouse": "bigquery", "destination": f"gs://{BUCKET}/meta", "dataset": "meta"}


@dataclass(frozen=True)
class Stage:
    """An emulator, Google's servers, and an Airflow that connects them."""

    graph: EmulatorServer
    objects: storage.Bucket
    bigquery: bigquery.Client
    airflow: Airflow
    folder: Path

    def duckdb_rows(self, table_name: str) -> list[dict[str, Any]]:
        table = table_named(table_name)
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            rows = connection.execute(f"SELECT {', '.join(table.column_names)} FROM {table_name}").fetchall()
        return _comparable(table_name, [dict(zip(table.column_names, row, strict=True)) for row in rows])

    def bigquery_rows(self, table_name: str, dataset: str = "meta") -> list[dict[str, Any]]:
        columns = ", ".join(
            f"TO_JSON_STRING({column.name}) AS {column.name}" if column.type is ColumnType.JSON else column.name
            for column in table_named(table_name).columns
        )
        rows = self.bigquery.query(f"SELECT {columns} FROM {dataset}.{table_name}").result(timeout=60)
        return _comparable(table_name, [dict(row.items()) for row in rows])


def _comparable(table_name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows in one format and order, without the run's own times, which differ between runs."""
    table = table_named(table_name)
    for row in rows:
        for name in ("extracted_time", "folder_time", "started_time", "finished_time"):
            row.pop(name, None)
        for column in table.columns:
            if column.type is ColumnType.JSON:
                # One warehouse returns SQL's NULL as None, the other as JSON's null.
                row[column.name] = json.loads(row[column.name] or "null")
            elif column.type is ColumnType.TIMESTAMP and column.name in row:
                row[column.name] = row[column.name] and row[column.name].astimezone(UTC).isoformat()
    return sorted(rows, key=lambda row: [row[name] for name in table.key])


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory,
    airflow_at: Any,
    storage_server: StorageServer,
    bigquery_server: BigQueryServer,
) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("google")
    world = World.generate(WorldSettings(pages=2, messages=2500, now=NOW))
    anonymous = AnonymousCredentials()
    project = bigquery_server.project
    objects = storage.Client(
        project=project, credentials=anonymous, client_options=ClientOptions(api_endpoint=storage_server.url)
    )
    tables = bigquery.Client(
        project=project, credentials=anonymous, client_options=ClientOptions(api_endpoint=bigquery_server.url)
    )
    with EmulatorServer(world, EmulatorSettings()) as server:
        connection = {
            "conn_type": "meta_graph",
            "host": server.url,
            "password": server.user_token,
            "extra": {"calls_per_second": 1000},
        }
        google = {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True, "project": project}}
        # Views take the local server seconds; they have tests of their own.
        settings = {"pages": "all", "destination": str(folder / "files"), "create_views": False}
        environment = client_environment(storage_server, bigquery_server) | {
            "AIRFLOW_CONN_META_GRAPH_DEFAULT": json.dumps(connection),
            "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(google),
            "AIRFLOW_VAR_META_CONVERSATIONS": json.dumps(settings),
            # The load waits for its jobs in the triggerer.
            "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True",
        }
        yield Stage(server, objects.create_bucket(BUCKET), tables, airflow_at(folder, environment), folder)


@pytest.fixture(scope="module")
def local(stage: Stage) -> dict[str, Any]:
    return stage.airflow.run(since="begin", until=NOW.isoformat(), database=str(stage.folder / "warehouse.duckdb"))


@pytest.fixture(scope="module")
def cloud(stage: Stage) -> dict[str, Any]:
    return stage.airflow.run(since="begin", until=NOW.isoformat(), **CLOUD)


def test_each_dag_loads_only_its_own_warehouse(local: dict[str, Any], cloud: dict[str, Any]) -> None:
    assert (local["state"], cloud["state"]) == ("success", "success")
    loads = [{name for name in run["tasks"] if name.startswith("load_into_")} for run in (local, cloud)]
    assert loads == [{"load_into_duckdb"}, {"load_into_bigquery"}]
    extracted = [value["manifest"] for name, value in cloud["returned"].items() if name.startswith("extract[")]
    assert all(uri.startswith(f"gs://{BUCKET}/meta/platform=") for uri in extracted)
    assert len(extracted) == 4


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_both_warehouses_hold_the_same_rows(
    stage: Stage, local: dict[str, Any], cloud: dict[str, Any], table: Any
) -> None:
    rows = stage.duckdb_rows(table.name)
    extracted = [value for name, value in local["returned"].items() if name.startswith("extract[")]
    exact = {
        "extraction_windows": len(extracted),
        "conversation_gaps": sum(value["incomplete"] for value in extracted),
    }
    assert len(rows) == exact[table.name] > 0 if table.name in exact else len(rows) > 200
    assert rows == stage.bigquery_rows(table.name)


def test_every_message_is_in_bigquery_once(stage: Stage, cloud: dict[str, Any]) -> None:
    truth = [
        message_id
        for page in ("100", "101")
        for platform, folder in (("MESSENGER", "all"), ("INSTAGRAM", "inbox"))
        for message_id in stage.graph.ground_truth(page, platform, None, NOW, folder=folder).message_ids
    ]
    assert sorted(truth) == sorted(row["message_id"] for row in stage.bigquery_rows("messages"))


def test_loading_the_same_messages_from_local_files_changes_nothing(
    stage: Stage, local: dict[str, Any], cloud: dict[str, Any]
) -> None:
    """Without a bucket: the files of the run into DuckDB, which is run again for BigQuery."""
    before = stage.bigquery_rows("messages")
    again = stage.airflow.run(since="begin", until=NOW.isoformat(), warehouse="bigquery", dataset=CLOUD["dataset"])
    assert (again["state"], again["tasks"]["load_into_bigquery"]["state"]) == ("success", "success")
    loaded = again["returned"]["load_into_bigquery"]["messages"]
    assert (len(before), 0, 0) == (loaded["unchanged"], loaded["inserted"], loaded["updated"])
    assert before == stage.bigquery_rows("messages")


def test_the_bucket_contains_only_the_documented_files(stage: Stage, cloud: dict[str, Any]) -> None:
    names = {blob.name.rsplit("/", 1)[1].split("-")[0] for blob in stage.objects.list_blobs()}
    assert names == {"_manifest.json", "_coverage.json", *(table.name for table in TABLES)}


def test_no_staging_table_is_left(stage: Stage, cloud: dict[str, Any]) -> None:
    expected = {*(table.name for table in TABLES), "metaconv_load_lock"}
    assert {table.table_id for table in stage.bigquery.list_tables("meta")} == expected


def test_parquet_gives_the_same_rows(stage: Stage, local: dict[str, Any]) -> None:
    place = CLOUD | {"destination": f"gs://{BUCKET}/parquet", "dataset": "from_parquet", "file_format": "parquet"}
    result = stage.airflow.run(since="begin", until=NOW.isoformat(), **place)
    assert (result["state"], result["tasks"]["load_into_bigquery"]["state"]) == ("success", "success")
    assert any(blob.name.endswith(".parquet") for blob in stage.objects.list_blobs(prefix="parquet/"))
    for table in TABLES:
        assert stage.duckdb_rows(table.name) == stage.bigquery_rows(table.name, "from_parquet")


def test_a_missing_bucket_fails_the_run_before_any_call(stage: Stage) -> None:
    before = requests.get(f"{stage.graph.url}/_emulator/statistics", timeout=10).json()["calls"]
    until = NOW + timedelta(minutes=1)
    place: dict[str, Any] = CLOUD | {"destination": "gs://no-such-bucket/meta", "pages": ["100"]}
    result = stage.airflow.run(since=NOW.isoformat(), until=until.isoformat(), **place)
    after = requests.get(f"{stage.graph.url}/_emulator/statistics", timeout=10).json()["calls"]
    assert result["state"] == "failed"
    extractions = [task for name, task in result["tasks"].items() if name.startswith("extract[")]
    assert {(task["state"], task["try"]) for task in extractions} == {("failed", 1)}
    assert before == after
    assert "no-such-bucket" in stage.airflow.printed()


def names_in_the_cloud(stage: Stage) -> list[str]:
    """The names, labels, descriptions and metadata of objects, tables and jobs."""
    objects = [repr((blob.name, blob.metadata, blob.content_type)) for blob in stage.objects.list_blobs()]
    jobs = [repr((job.job_id, job.labels, job.job_type)) for job in stage.bigquery.list_jobs()]
    tables = [stage.bigquery.get_table(each) for each in stage.bigquery.list_tables("meta")]
    described = [repr((table.table_id, table.labels, table.description)) for table in tables]
    return [*objects, *jobs, *described]


def test_cloud_names_reveal_only_page_window_and_content(stage: Stage, cloud: dict[str, Any]) -> None:
    level = r"(platform=(messenger|instagram)|page_id=\d+|window=(begin|\d{8}T\d{6}Z)_\d{8}T\d{6}Z)"
    name = r"(_manifest\.json|_coverage\.json|[a-z_]+-\d{5}(-[0-9a-f]+)?\.(ndjson\.gz|parquet))"
    for blob in stage.objects.list_blobs(prefix="meta/"):
        assert re.fullmatch(rf"meta/({level}/)+{name}", blob.name), blob.name
        assert set(blob.metadata or {}) <= {"sha256"}
    for job in stage.bigquery.list_jobs():
        # Our job ids are digests of what they load, without the run's id or a folder.
        assert not job.job_id.startswith("metaconv") or re.fullmatch(r"metaconv_[a-z_]+_[0-9a-f_]+", job.job_id)


def test_no_secret_is_left_in_files_bucket_or_jobs(stage: Stage, cloud: dict[str, Any]) -> None:
    tokens = [stage.graph.user_token, *(stage.graph.page_token(page) for page in ("100", "101"))]
    texts = [row["text"] for row in stage.bigquery_rows("messages") if len(row["text"] or "") > 25][:200]
    files = [path for path in stage.folder.rglob("*") if path.is_file() and path.suffix not in (".gz", ".duckdb")]
    contents = [path.read_bytes() for path in files]
    contents += [blob.download_as_bytes() for blob in stage.objects.list_blobs() if blob.name.endswith(".json")]
    contents += [job.query.encode() for job in stage.bigquery.list_jobs() if job.job_type == "query"]
    contents += [named.encode() for named in names_in_the_cloud(stage)]
    assert len(texts) > 100
    for content in contents:
        assert not [secret for secret in (*tokens, *texts) if secret.encode() in content]

"""What the other tests rely on in the BigQuery server, checked with Google's own client."""

from __future__ import annotations

import gzip
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from google.api_core import exceptions
from google.cloud import bigquery, storage

from local_servers.servers import BigQueryServer, StorageServer

from .conftest import NUMBERS

TIMEOUT = 60.0
SCHEMA = [
    bigquery.SchemaField("id", "STRING", "REQUIRED"),
    bigquery.SchemaField("created", "TIMESTAMP"),
    bigquery.SchemaField("tags", "RECORD", "REPEATED", fields=[bigquery.SchemaField("name", "STRING")]),
    bigquery.SchemaField("extra", "JSON"),
]
ROWS: list[dict[str, Any]] = [
    {"id": "1", "created": "2026-01-02T03:04:05Z", "tags": [{"name": "x"}], "extra": {"k": [1]}},
    {"id": "2", "created": "2026-01-02T03:04:05.678Z", "tags": [], "extra": None},
]


def upload(bucket: storage.Bucket, name: str, rows: list[dict[str, Any]]) -> str:
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    bucket.blob(name).upload_from_string(gzip.compress(lines) if name.endswith(".gz") else lines)
    return f"gs://{bucket.name}/{name}"


def load_configuration(**options: Any) -> bigquery.LoadJobConfig:
    return bigquery.LoadJobConfig(
        **{"schema": SCHEMA, "source_format": "NEWLINE_DELIMITED_JSON", "write_disposition": "WRITE_APPEND", **options}
    )


def load(client: bigquery.Client, uris: list[str] | str, table: str, **options: Any) -> bigquery.LoadJob:
    job = client.load_table_from_uri(uris, table, job_config=load_configuration(**options))
    job.result(timeout=TIMEOUT)
    return job


def ids(client: bigquery.Client, table: str) -> list[str]:
    rows = client.query(f"SELECT id FROM `{table}` ORDER BY id").result(timeout=TIMEOUT)
    return [row.id for row in rows]


def test_compressed_ndjson_is_loaded_with_its_types(
    client: bigquery.Client, dataset: str, bucket: storage.Bucket
) -> None:
    job = load(client, upload(bucket, "day/part-1.jsonl.gz", ROWS), f"{dataset}.t")
    assert job.output_rows == 2
    first, second = client.query(f"SELECT * FROM `{dataset}.t` ORDER BY id").result(timeout=TIMEOUT)
    assert (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), [{"name": "x"}], {"k": [1]}) == (
        first.created,
        first.tags,
        first.extra,
    )
    assert (second.created.microsecond, second.tags, second.extra) == (678_000, [], None)
    [(value,)] = client.query(f"SELECT JSON_VALUE(extra, '$.k[0]') FROM `{dataset}.t` WHERE id = '1'").result()
    assert value == "1"


def test_several_objects_or_a_pattern_can_be_loaded(
    client: bigquery.Client, dataset: str, bucket: storage.Bucket
) -> None:
    for number in range(3):
        upload(bucket, f"run=1/part-{number}.jsonl.gz", [{"id": str(number)}])
    upload(bucket, "run=1/deeper/part-3.jsonl.gz", [{"id": "3"}])
    upload(bucket, "run=2/part-4.jsonl.gz", [{"id": "4"}])
    load(client, [f"gs://{bucket.name}/run=1/part-{number}.jsonl.gz" for number in (0, 2)], f"{dataset}.several")
    assert ids(client, f"{dataset}.several") == ["0", "2"]
    load(client, f"gs://{bucket.name}/run=1/*.gz", f"{dataset}.pattern")
    assert ids(client, f"{dataset}.pattern") == ["0", "1", "2", "3"]


def test_folder_names_are_not_read_as_columns(client: bigquery.Client, dataset: str, bucket: storage.Bucket) -> None:
    load(client, upload(bucket, "id=9/part-1.jsonl.gz", ROWS), f"{dataset}.t")
    assert ids(client, f"{dataset}.t") == ["1", "2"]


def test_parquet_can_be_loaded(client: bigquery.Client, dataset: str, bucket: storage.Bucket) -> None:
    buffer = io.BytesIO()
    created = datetime(2026, 1, 2, tzinfo=UTC)
    pyarrow.parquet.write_table(
        pa.table({"id": ["1", "2"], "created": pa.array([created, None], pa.timestamp("us", "UTC"))}), buffer
    )
    bucket.blob("a.parquet").upload_from_string(buffer.getvalue())
    job = load(client, f"gs://{bucket.name}/a.parquet", f"{dataset}.t", source_format="PARQUET", schema=SCHEMA[:2])
    assert job.output_rows == 2
    rows = [tuple(row) for row in client.query(f"SELECT * FROM `{dataset}.t` ORDER BY id").result(timeout=TIMEOUT)]
    assert rows == [("1", created), ("2", None)]


def test_columns_that_parquet_files_lack_are_null(
    client: bigquery.Client, dataset: str, bucket: storage.Bucket
) -> None:
    created = datetime(2026, 1, 2, tzinfo=UTC)
    times = pa.array([created], pa.timestamp("us", "UTC"))
    for name, columns in (("a", {"id": ["1"]}), ("b", {"created": times, "id": ["2"]})):
        buffer = io.BytesIO()
        pyarrow.parquet.write_table(pa.table(columns), buffer)
        bucket.blob(f"{name}.parquet").upload_from_string(buffer.getvalue())
    uris = [f"gs://{bucket.name}/a.parquet", f"gs://{bucket.name}/b.parquet"]
    load(client, uris, f"{dataset}.both", source_format="PARQUET", schema=SCHEMA[:2])
    load(client, uris[:1], f"{dataset}.one", source_format="PARQUET", schema=SCHEMA[:2])
    for table, expected in (("both", [("1", None), ("2", created)]), ("one", [("1", None)])):
        rows = client.query(f"SELECT id, created FROM `{dataset}.{table}` ORDER BY id").result(timeout=TIMEOUT)
        assert [tuple(row) for row in rows] == expected


@pytest.mark.parametrize("name", ["nothing.jsonl.gz", "nothing/*.gz"])
def test_loading_a_missing_object_fails(
    client: bigquery.Client, dataset: str, bucket: storage.Bucket, name: str
) -> None:
    job = client.load_table_from_uri(f"gs://{bucket.name}/{name}", f"{dataset}.t", job_config=load_configuration())
    with pytest.raises(exceptions.NotFound):
        job.result(timeout=TIMEOUT)
    assert job.error_result["reason"] == "notFound"


@pytest.mark.parametrize(
    "row", [{"id": "1", "created": "no time"}, {"created": None}, {"id": None}, {"id": "1", "unknown": 1}]
)
def test_an_invalid_row_fails_the_whole_load(
    client: bigquery.Client, dataset: str, bucket: storage.Bucket, row: dict[str, Any]
) -> None:
    client.create_table(bigquery.Table(f"{dataset}.t", SCHEMA))
    uri = upload(bucket, "bad.jsonl.gz", [{"id": "0"}, row])
    for table in (f"{dataset}.t", f"{dataset}.new"):
        with pytest.raises(exceptions.BadRequest, match="Error while reading data"):
            load(client, uri, table)
    assert ids(client, f"{dataset}.t") == []


def test_loading_a_replaced_object_reads_the_new_version(
    client: bigquery.Client, dataset: str, bucket: storage.Bucket
) -> None:
    for rows in (ROWS, ROWS[:1], [{"id": "9"}]):
        uri = upload(bucket, "a.jsonl.gz", rows)
        load(client, uri, f"{dataset}.t", write_disposition="WRITE_TRUNCATE")
        assert [row["id"] for row in rows] == ids(client, f"{dataset}.t")


def test_merge(client: bigquery.Client, dataset: str, bucket: storage.Bucket) -> None:
    load(client, upload(bucket, "1.jsonl", ROWS), f"{dataset}.t")
    load(client, upload(bucket, "2.jsonl", [{"id": "2", "extra": {"new": 1}}, {"id": "3"}]), f"{dataset}.s")
    job = client.query(
        f"MERGE `{dataset}.t` t USING `{dataset}.s` s ON t.id = s.id "
        "WHEN MATCHED THEN UPDATE SET extra = s.extra WHEN NOT MATCHED THEN INSERT ROW"
    )
    job.result(timeout=TIMEOUT)
    assert job.dml_stats is not None
    assert (
        job.dml_stats.inserted_row_count,
        job.dml_stats.updated_row_count,
        job.num_dml_affected_rows,
    ) == (1, 1, 2)
    assert ids(client, f"{dataset}.t") == ["1", "2", "3"]
    load(client, upload(bucket, "3.jsonl", [{"id": "3"}]), f"{dataset}.s")
    with pytest.raises(exceptions.BadRequest):
        client.query(
            f"MERGE `{dataset}.t` t USING `{dataset}.s` s ON t.id = s.id WHEN MATCHED THEN UPDATE SET extra = s.extra"
        ).result(timeout=TIMEOUT)


def test_a_job_id_can_be_used_only_once(client: bigquery.Client, dataset: str, bucket: storage.Bucket) -> None:
    uri = upload(bucket, "1.jsonl.gz", ROWS)
    job_id = f"load-{next(NUMBERS)}"
    options: dict[str, Any] = {"job_config": load_configuration(), "job_id": job_id}
    client.load_table_from_uri(uri, f"{dataset}.t", **options).result(timeout=TIMEOUT)
    with pytest.raises(exceptions.Conflict):
        client.load_table_from_uri(uri, f"{dataset}.t", **options)
    assert client.get_job(job_id).state == "DONE"
    assert ids(client, f"{dataset}.t") == ["1", "2"]


@pytest.mark.parametrize("fault", [{"status_after": 503}, {"reset_after": True}])
def test_a_lost_load_response_causes_a_conflict_but_no_duplicates(
    google_bigquery: BigQueryServer,
    client: bigquery.Client,
    dataset: str,
    bucket: storage.Bucket,
    fault: dict[str, Any],
) -> None:
    uri = upload(bucket, "1.jsonl.gz", ROWS)
    job_id = f"load-{next(NUMBERS)}"
    google_bigquery.fail(r"POST .*/jobs", **fault)
    with pytest.raises(exceptions.Conflict):
        client.load_table_from_uri(uri, f"{dataset}.t", job_config=load_configuration(), job_id=job_id)
    client.get_job(job_id).result(timeout=TIMEOUT)
    assert ids(client, f"{dataset}.t") == ["1", "2"]


def test_the_client_handles_a_lost_query_response(
    google_bigquery: BigQueryServer, client: bigquery.Client, dataset: str
) -> None:
    client.query(f"CREATE TABLE `{dataset}.t` (id STRING)").result(timeout=TIMEOUT)
    google_bigquery.fail(r"POST .*/jobs", status_after=503)
    client.query(f"INSERT `{dataset}.t` VALUES ('1')").result(timeout=TIMEOUT)
    assert ids(client, f"{dataset}.t") == ["1"]


def test_a_script_can_contain_transactions(client: bigquery.Client, dataset: str) -> None:
    client.query(f"CREATE TABLE `{dataset}.t` (id STRING)").result(timeout=TIMEOUT)
    client.query(
        f"DECLARE n INT64; BEGIN TRANSACTION; INSERT `{dataset}.t` VALUES ('1'); INSERT `{dataset}.t` VALUES ('2'); "
        f"COMMIT TRANSACTION; SET n = (SELECT COUNT(*) FROM `{dataset}.t`); SELECT n;"
    ).result(timeout=TIMEOUT)
    assert ids(client, f"{dataset}.t") == ["1", "2"]
    client.query(f"BEGIN TRANSACTION; DELETE FROM `{dataset}.t` WHERE true; ROLLBACK TRANSACTION;").result(
        timeout=TIMEOUT
    )
    assert ids(client, f"{dataset}.t") == ["1", "2"]


def test_a_failed_transaction_is_rolled_back(client: bigquery.Client, dataset: str) -> None:
    client.query(f"CREATE TABLE `{dataset}.t` (id STRING)").result(timeout=TIMEOUT)
    with pytest.raises(exceptions.GoogleAPICallError):
        client.query(
            f"BEGIN BEGIN TRANSACTION; INSERT `{dataset}.t` VALUES ('1'); SELECT ERROR('no'); COMMIT TRANSACTION; "
            "EXCEPTION WHEN ERROR THEN ROLLBACK TRANSACTION; RAISE; END;"
        ).result(timeout=TIMEOUT)
    assert ids(client, f"{dataset}.t") == []


@pytest.mark.parametrize(("end", "expected"), [("COMMIT", ["1", "2", "3"]), ("ROLLBACK", ["1", "2"])])
def test_a_merge_can_be_part_of_a_transaction(
    client: bigquery.Client, dataset: str, bucket: storage.Bucket, end: str, expected: list[str]
) -> None:
    table = f"{dataset}.t"
    load(client, upload(bucket, "rows.jsonl", ROWS), table)
    script = f"""
        BEGIN TRANSACTION;
        UPDATE `{table}` SET id = id WHERE FALSE;
        MERGE `{table}` AS target USING (SELECT '2' AS id UNION ALL SELECT '3') AS source ON target.id = source.id
        WHEN MATCHED THEN UPDATE SET created = CURRENT_TIMESTAMP()
        WHEN NOT MATCHED THEN INSERT (id) VALUES (source.id);
        {end} TRANSACTION;
    """
    client.query(script).result(timeout=TIMEOUT)
    assert ids(client, table) == expected


def test_a_merge_updates_only_what_matches(client: bigquery.Client, dataset: str) -> None:
    """Also of rows that a transaction inserted and updated, and by the first of two clauses that applies."""
    table = f"{dataset}.t"
    client.query(f"CREATE TABLE `{table}` (id STRING, kept STRING, extra STRING)").result(timeout=TIMEOUT)
    for name in "123":
        script = f"INSERT `{table}` VALUES ('{name}', NULL, NULL); UPDATE `{table}` SET kept = id WHERE id = '{name}';"
        client.query(f"BEGIN TRANSACTION; {script} COMMIT TRANSACTION").result(timeout=TIMEOUT)
    client.query(f"""
        MERGE `{table}` AS target USING (SELECT '1' AS id UNION ALL SELECT '2') AS source ON target.id = source.id
        WHEN MATCHED AND target.id = '1' THEN UPDATE SET extra = 'first'
        WHEN MATCHED THEN UPDATE SET kept = 'second'
    """).result(timeout=TIMEOUT)
    rows = client.query(f"SELECT id, kept, extra FROM `{table}` ORDER BY id").result(timeout=TIMEOUT)
    assert [tuple(row.values()) for row in rows] == [("1", "1", "first"), ("2", "second", None), ("3", "3", None)]


def test_json_columns_can_be_written_and_read(client: bigquery.Client, dataset: str) -> None:
    client.query(f"CREATE TABLE `{dataset}.t` (id STRING, extra JSON)").result(timeout=TIMEOUT)
    client.query(f"""INSERT `{dataset}.t` VALUES ('1', JSON '{{"k": {{"d": 1.5}}}}')""").result(timeout=TIMEOUT)
    [row] = client.query(f"SELECT extra, TO_JSON_STRING(extra) AS text FROM `{dataset}.t`").result(timeout=TIMEOUT)
    assert (row.extra, row.text) == ({"k": {"d": 1.5}}, '{"k":{"d":1.5}}')


def test_table_properties_are_kept(client: bigquery.Client, dataset: str) -> None:
    table = bigquery.Table(f"{dataset}.t", SCHEMA)
    table.expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    table.time_partitioning = bigquery.TimePartitioning(field="created")
    table.clustering_fields = ["id"]
    table.description, table.labels = "what it is", {"made-by": "test"}
    client.create_table(table)
    kept = client.get_table(f"{dataset}.t")
    assert table.expires == kept.expires
    assert (kept.time_partitioning.field, kept.clustering_fields) == ("created", ["id"])
    assert (kept.description, kept.labels) == ("what it is", {"made-by": "test"})
    assert [field.field_type for field in SCHEMA] == [field.field_type for field in kept.schema]
    with pytest.raises(exceptions.Conflict):
        client.create_table(table)


def test_missing_tables_and_invalid_statements_are_errors(client: bigquery.Client, dataset: str) -> None:
    with pytest.raises(exceptions.NotFound):
        client.get_table(f"{dataset}.nothing")
    with pytest.raises(exceptions.NotFound):
        client.query(f"SELECT * FROM `{dataset}.nothing`").result(timeout=TIMEOUT)
    with pytest.raises(exceptions.BadRequest):
        client.query("SELEKT 1").result(timeout=TIMEOUT)


def test_tables_survive_a_kill(storage_server: StorageServer, tmp_path: Path) -> None:
    from google.api_core.client_options import ClientOptions
    from google.auth.credentials import AnonymousCredentials

    with BigQueryServer(storage_server.direct_url, folder=tmp_path) as server:
        client = bigquery.Client(
            project=server.project,
            credentials=AnonymousCredentials(),
            client_options=ClientOptions(api_endpoint=server.url),
        )
        client.create_dataset("d")
        client.query("CREATE TABLE d.t AS SELECT '1' AS id").result(timeout=TIMEOUT)
        address = server.url
        server.kill()
        server.restart()
        assert address == server.url
        assert ids(client, f"{server.project}.d.t") == ["1"]


def test_a_changed_table_is_seen_as_it_is(client: bigquery.Client, dataset: str) -> None:
    """Also inside a script, and if another table gets its name: lookups are remembered."""

    def run(script: str) -> list[dict[str, Any]]:
        return [dict(row) for row in client.query(script.replace("TABLE_", f"`{dataset}.t`")).result(timeout=TIMEOUT)]

    assert run("CREATE TABLE TABLE_ (a INT64 NOT NULL); INSERT TABLE_ VALUES (1); SELECT * FROM TABLE_") == [{"a": 1}]
    assert (client.get_table(f"{dataset}.t").num_rows, client.get_table(f"{dataset}.t").schema[0].mode) == (
        1,
        "REQUIRED",
    )
    altered = "ALTER TABLE TABLE_ ADD COLUMN b STRING; INSERT TABLE_ VALUES (2, 'x'); SELECT * FROM TABLE_ ORDER BY a"
    assert run(altered) == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]
    assert client.get_table(f"{dataset}.t").num_rows == 2
    run("DROP TABLE TABLE_")
    with pytest.raises(exceptions.NotFound):
        client.get_table(f"{dataset}.t")
    assert run("CREATE TABLE TABLE_ AS SELECT 'y' AS c; SELECT * FROM TABLE_") == [{"c": "y"}]
    assert [field.name for field in client.get_table(f"{dataset}.t").schema] == ["c"]
    run("DROP TABLE TABLE_; CREATE VIEW TABLE_ AS SELECT 7 AS d")
    assert (run("SELECT * FROM TABLE_"), client.get_table(f"{dataset}.t").table_type) == ([{"d": 7}], "VIEW")

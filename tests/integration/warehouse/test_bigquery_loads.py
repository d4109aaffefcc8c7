"""What the BigQuery warehouse guarantees beyond the contract: retries reuse jobs, old tables fit, errors are clear."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from google.cloud import bigquery
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from airflow_provider_metaconv.schema import CONVERSATIONS, MESSAGES, TABLES
from airflow_provider_metaconv.warehouse import (
    LoadResult,
    SchemaConflictError,
    SourceFileError,
    WarehouseBusyError,
    WarehouseError,
    WarehouseOpenError,
    WarehouseRefusedError,
)
from airflow_provider_metaconv.warehouse.bigquery import BigQueryStep, BigQueryWarehouse, errors, merge, staging
from airflow_provider_metaconv.warehouse.bigquery.sql import load_script
from tests.integration.warehouse.bigquery_dataset import BucketFiles, TemporaryDataset, bigquery_client, shorten_pauses
from tests.integration.warehouse.warehouse_contract import (
    AVAILABLE,
    UNAVAILABLE,
    Files,
    conversation,
    counts,
    message,
    result,
    results,
)

LOCK = "metaconv_load_lock"
SHORTLY = timedelta(seconds=2)


@pytest.fixture
def dataset(bigquery_server):
    with TemporaryDataset(bigquery_server) as dataset:
        yield dataset


@pytest.fixture
def files(tmp_path, storage_server):
    return BucketFiles(tmp_path, storage_server)


def texts(dataset):
    return {row["message_id"]: row["text"] for row in dataset.rows("messages")}


def count(server, part):
    return sum(part in request for request in server.requests)


# Tables


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_tables_match_the_schema(dataset, table):
    assert LoadResult.nothing() == dataset.warehouse(partition_expiration=timedelta(days=30)).load([])
    made = dataset.client.get_table(f"{dataset.name}.{table.name}")
    types = {"text": "STRING", "integer": "INTEGER", "boolean": "BOOLEAN", "timestamp": "TIMESTAMP", "json": "JSON"}
    expected = [
        (column.name, types[column.type], column.description, "REQUIRED" if column.required else "NULLABLE")
        for column in table.columns
    ]
    assert [(each.name, each.field_type, each.description, each.mode) for each in made.schema] == expected
    clustering = [name for name in ("page_id", "platform", "conversation_id") if name in table.column_names]
    assert (table.description, clustering) == (made.description, made.clustering_fields)
    partitioning = made.time_partitioning and (made.time_partitioning.field, made.time_partitioning.expiration_ms)
    assert (("created_time", 30 * 86_400_000) if table is MESSAGES else None) == partitioning


def test_an_old_table_gains_missing_columns_and_keeps_custom_ones(dataset, files):
    dataset.client.create_dataset(dataset.name)
    dataset.query(
        "CREATE TABLE {dataset}.messages (platform STRING, page_id STRING, message_id STRING, note STRING,"
        " created_time TIMESTAMP, content_status STRING, text STRING, conversation_id STRING)"
    )
    dataset.query(
        "INSERT INTO {dataset}.messages VALUES ('MESSENGER', '100', 'm_1', 'mine', NULL, 'available', 'old', 't_1')"
    )
    rows = [message(1, tags=["inbox"]), message(2)]
    outcome = dataset.warehouse().load([files(*rows)])
    assert outcome.tables["messages"] == result(2, inserted=1, updated=1)
    assert rows == [row | {"extracted_time": None} for row in dataset.rows("messages")]
    notes = [row["note"] for row in dataset.query("SELECT note FROM {dataset}.messages ORDER BY message_id")]
    assert notes == ["mine", None]


def test_an_earlier_releases_ledger_is_upgraded(dataset, files):
    """It lacks reason_code and the newer tables; its incomplete conversations become gaps with any load."""
    dataset.client.create_dataset(dataset.name)
    lacking = ("messages_unavailable", "reason_code")
    old = [column for column in CONVERSATIONS.columns if column.name not in lacking]
    kinds = {"text": "STRING", "integer": "INT64", "boolean": "BOOL", "timestamp": "TIMESTAMP", "json": "JSON"}
    columns = ", ".join(f"{column.name} {kinds[column.type]}" for column in old)
    dataset.query(f"CREATE TABLE {{dataset}}.conversations ({columns})")
    dataset.query(
        "INSERT INTO {dataset}.conversations (platform, page_id, conversation_id, status, reason, message_count,"
        " messages_extracted) VALUES ('MESSENGER', '100', 't_1', 'unreadable', 'why', 7, 5)"
    )
    dataset.warehouse().load([files(message(conversation_id="t_2"))])
    status = {"status": "unreadable", "reason_code": "refused", "reason": "why"}
    assert dataset.rows("conversations") == [conversation(message_count=7, updated_time=None, **status)]
    assert [row["reason"] for row in dataset.rows("conversation_gaps")] == ["why"]


@pytest.mark.parametrize(
    ("ddl", "problem"),
    [
        (
            "CREATE TABLE {dataset}.conversations (platform STRING, updated_time STRING)",
            "column updated_time of .* has type STRING, must be TIMESTAMP: rename or convert",
        ),
        ("CREATE VIEW {dataset}.conversations AS SELECT 1 AS x", "conversations is a view, not a table"),
        (
            "CREATE TABLE {dataset}.conversations (platform STRING, note STRING NOT NULL)",
            "column note of .* is REQUIRED, but not every row has a value: make it NULLABLE",
        ),
    ],
)
def test_an_incompatible_table_is_reported_before_writing(dataset, files, ddl, problem):
    dataset.client.create_dataset(dataset.name)
    dataset.query(ddl)
    with pytest.raises(SchemaConflictError, match=problem):
        dataset.warehouse().load([files(message())])
    assert dataset.tables() == ["conversations"]


def test_without_create_tables_missing_ones_are_reported(dataset, files):
    warehouse = dataset.warehouse(create_tables=False)
    with pytest.raises(WarehouseOpenError, match=r"dataset .* does not exist: create it, set create_tables"):
        warehouse.load([files(message())])
    dataset.client.create_dataset(dataset.name)
    with pytest.raises(WarehouseOpenError, match=r"table .*messages does not exist: create it, or set create_tables"):
        warehouse.load([files(message())])
    assert dataset.tables() == []


def test_a_location_other_than_the_datasets_is_reported(dataset, files):
    dataset.warehouse(location="US").load([])
    with pytest.raises(WarehouseOpenError, match="is in US, not in EU: remove location"):
        dataset.warehouse(location="EU").load([files(message())])


@pytest.mark.parametrize("name", ["", "a b", "x`; DROP TABLE messages; --", "project."])
def test_an_invalid_dataset_name_is_rejected(name):
    with pytest.raises(WarehouseRefusedError, match="dataset must be a name"):
        BigQueryWarehouse(bigquery_client("http://127.0.0.1:1", "p"), name)


# Staging


def test_staging_is_dropped_after_success_and_failure(dataset, files):
    dataset.warehouse().load([files(message()), files(conversation(), table=CONVERSATIONS)])
    assert sorted(dataset.tables()) == sorted([*(table.name for table in TABLES), LOCK])
    for bad in (files(message(), claimed=2), files(message(content_status=None))):
        with pytest.raises(SourceFileError):
            dataset.warehouse().load([bad])
    assert counts() == dataset.warehouse().missing([files(message())])
    assert sorted(dataset.tables()) == sorted([*(table.name for table in TABLES), LOCK])


def test_staging_tables_expire(dataset, files):
    step = dataset.warehouse().begin([files(message())])
    made = dataset.client.get_table(f"{dataset.name}.{step.stagings[0].name}")
    assert timedelta(hours=23) < made.expires - made.created < timedelta(hours=25)


def test_a_failure_to_drop_staging_hides_no_result(dataset, files, bigquery_server):
    bigquery_server.fail("^DELETE ", None, status=403, reason="accessDenied")
    assert dataset.warehouse().load([files(message())]).tables["messages"] == result(1, inserted=1)
    with pytest.raises(SourceFileError, match="hold 1 rows, but their manifests say 2"):
        dataset.warehouse().load([files(message(), claimed=2)])


def test_many_files_are_split_into_several_jobs(dataset, files, bigquery_server, monkeypatch):
    monkeypatch.setattr(staging, "FILES_PER_JOB", 2)
    sources = [files(message(number)) for number in range(5)]
    bigquery_server.forget_requests()
    step = dataset.warehouse().begin(sources)
    assert 3 == len(step.jobs) == count(bigquery_server, "POST /bigquery/v2/projects/example-project/jobs")


# Retries


def test_a_killed_load_continues_with_its_jobs(dataset, files, bigquery_server):
    sources = [files(message(1), message(2)), files(conversation(), table=CONVERSATIONS)]
    first = dataset.warehouse(load_id="task").begin(sources)
    bigquery_server.forget_requests()
    with dataset.warehouse(load_id="task") as warehouse:
        assert first == warehouse.begin(sources)
        outcome = warehouse.load(sources)
    assert results(messages=result(2, inserted=2), conversations=result(1, inserted=1)) == outcome.tables
    jobs = {job.job_id for job in dataset.client.list_jobs() if dataset.name in str(job.to_api_repr())}
    assert {reference.job_id for reference in first.jobs} == {job for job in jobs if "_staging_" in job}


def test_a_merge_submitted_before_a_kill_runs_once(dataset, files):
    sources = [files(message())]
    warehouse = dataset.warehouse(load_id="task")
    merging_step = warehouse.advance(warehouse.begin(sources))
    outcome = dataset.warehouse(load_id="task").load(sources)
    # A second run would insert nothing.
    assert (True, result(1, inserted=1)) == (merging_step.merge_job is not None, outcome.tables["messages"])


def test_a_finished_load_can_run_again(dataset, files):
    source = files(message())
    for expected in (result(1, inserted=1), result(1, unchanged=1), result(1, unchanged=1)):
        assert dataset.warehouse(load_id="task").load([source]).tables["messages"] == expected


def test_a_failed_load_can_be_retried_under_its_id(dataset, files):
    whole = files(message())
    good = (files.folder / whole.uri.rpartition("/")[2]).read_bytes()
    for _ in range(2):
        files.damaged(whole, "rubbish")
        with pytest.raises(SourceFileError):
            dataset.warehouse(load_id="task").load([whole])
    files._put(whole, good)
    assert dataset.warehouse(load_id="task").load([whole]).tables["messages"] == result(1, inserted=1)


@pytest.mark.parametrize("fault", [{"status_after": 503}, {"reset_after": True}], ids=["503", "reset"])
def test_lost_responses_neither_lose_nor_repeat_rows(dataset, files, bigquery_server, fault):
    # One each: creating the dataset, the tables and the staging, the load job and the merge.
    for path in ("datasets?", "tables?", "jobs?"):
        bigquery_server.fail(f"^POST .*/{path.replace('?', '[?]')}", 2, **fault)
    assert dataset.warehouse().load([files(message(1), message(2))]).tables["messages"] == result(2, inserted=2)
    assert list(texts(dataset)) == ["m_1", "m_2"]


@pytest.mark.parametrize("fault", [{"status_after": 503}, {"reset_after": True}], ids=["503", "reset"])
def test_a_lost_upload_response_neither_loses_nor_repeats_rows(dataset, tmp_path, bigquery_server, fault):
    bigquery_server.fail("^PUT /upload", **fault)
    assert dataset.warehouse().load([Files(tmp_path)(message())]).tables["messages"] == result(1, inserted=1)


def test_two_datasets_share_no_jobs(bigquery_server, files):
    """One task run for both, or two Airflows with tasks of the same name over the same files."""
    source = [files(message())]
    with TemporaryDataset(bigquery_server) as one, TemporaryDataset(bigquery_server) as two:
        warehouses = [place.warehouse(load_id="dag.load.run") for place in (one, two)]
        steps = [warehouse.begin(source) for warehouse in warehouses]
        while any(step.result is None for step in steps):
            steps = [warehouse.advance(step) for warehouse, step in zip(warehouses, steps, strict=True)]
        assert [step.result.tables["messages"] for step in steps] == [result(1, inserted=1)] * 2
        assert [len(place.rows("messages")) for place in (one, two)] == [1, 1]


def test_transient_faults_are_retried(dataset, files, bigquery_server):
    bigquery_server.fail("^GET ", 3, status=503)
    bigquery_server.fail("^POST ", 2, status=403, reason="rateLimitExceeded")
    bigquery_server.fail("^DELETE ", 1, reset=True)
    assert dataset.warehouse().load([files(message())]).tables["messages"] == result(1, inserted=1)


def test_a_step_serializes_to_json_without_rows(dataset, files):
    sources = [files(message(text="secret words")), files(conversation(), table=CONVERSATIONS)]
    step = dataset.warehouse().begin(sources)
    seen = []
    while step.result is None:
        seen.append(len(step.jobs))
        text = json.dumps(step.as_dict())
        assert "secret" not in text
        step = dataset.warehouse().advance(BigQueryStep.from_dict(json.loads(text)))
    assert (seen, step.jobs) == ([2, 1], ())
    assert results(messages=result(1, inserted=1), conversations=result(1, inserted=1)) == step.result.tables
    assert step == BigQueryStep.from_dict(json.loads(json.dumps(step.as_dict())))
    assert step == dataset.warehouse().advance(step)


def test_a_discarded_load_leaves_nothing(dataset, files):
    warehouse = dataset.warehouse()
    warehouse.discard(warehouse.begin([files(message())]))
    assert sorted(table.name for table in TABLES) == dataset.tables()


def test_a_job_is_cancelled_after_the_timeout(dataset, files, bigquery_server, monkeypatch):
    warehouse = dataset.warehouse(job_timeout=timedelta(seconds=0.5))
    step = warehouse.begin([files(message())])
    monkeypatch.setattr(bigquery.LoadJob, "state", "RUNNING")
    with pytest.raises(WarehouseError, match=r"job .* is still RUNNING after 0.5 s: check BigQuery's job history"):
        warehouse.advance(step)
    assert count(bigquery_server, "/cancel") == 1


# Atomicity and concurrency


def test_a_failure_in_the_second_table_rolls_back_the_first(dataset, files, monkeypatch):
    dataset.warehouse().load([files(message(text="held")), files(conversation(), table=CONVERSATIONS)])
    monkeypatch.setattr(
        merge,
        "load_script",
        lambda *names, **options: load_script(*names, **options).replace(
            "SET conversations_inserted", "SET conversations_inserted = 1 / 0; --"
        ),
    )
    with pytest.raises(WarehouseError, match="BigQuery rejected an operation on dataset"):
        dataset.warehouse().load(
            [files(message(text="new")), files(message(2)), files(conversation(2), table=CONVERSATIONS)]
        )
    assert (texts(dataset), len(dataset.rows("conversations"))) == ({"m_1": "held"}, 1)


def test_concurrent_loads_neither_lose_nor_repeat_rows(dataset, files):
    sources = [files(*map(message, range(start, start + 40))) for start in (0, 20, 40)]
    warehouses = [dataset.warehouse() for _ in sources]
    # One after the other up to the merge: the local BigQuery server cannot create two tables at once.
    steps = [warehouse.begin([source]) for warehouse, source in zip(warehouses, sources, strict=True)]
    inserted = []

    def finish(warehouse, step):
        while step.result is None:
            step = warehouse.advance(step)
        inserted.append(step.result.tables["messages"].inserted)

    threads = [threading.Thread(target=finish, args=pair) for pair in zip(warehouses, steps, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert sorted(f"m_{number}" for number in range(80)) == [row["message_id"] for row in dataset.rows("messages")]
    assert (len(inserted), sum(inserted)) == (3, 80)


def test_a_merge_that_keeps_conflicting_gives_up(dataset, files, monkeypatch):
    monkeypatch.setattr(merge, "ATTEMPTS_WHEN_BUSY", 2)
    shorten_pauses(monkeypatch)
    problem = "Transaction is aborted due to concurrent update against table x"
    monkeypatch.setattr(
        bigquery.QueryJob, "error_result", property(lambda _: {"reason": "invalidQuery", "message": problem})
    )
    with pytest.raises(WarehouseBusyError, match="at the same time, 2 times in a row: let the task retry"):
        dataset.warehouse().load([files(message())])


# Requests


def test_request_count_is_independent_of_row_count(dataset, files, bigquery_server):
    dataset.warehouse().load([files(message(0))])
    counts = []
    for rows in (10, 1_000):
        source = files(*map(message, range(rows)))
        bigquery_server.forget_requests()
        dataset.warehouse().load([source])
        # How often a job is polled depends on how long it takes.
        counts.append(
            sum(not request.startswith("GET") or "/jobs/" not in request for request in bigquery_server.requests)
        )
    assert counts[0] == counts[1] <= 12


# Errors


class RefusingServer:
    """A local server that answers every request with the same error in Google's format."""

    def __init__(self, status, reason, text):
        first = {"message": text, "domain": "global", "reason": reason}
        body = json.dumps({"error": {"code": status, "message": text, "errors": [first]}}).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


DENIED = (
    "Access Denied: Dataset p:meta: Permission bigquery.datasets.get denied on dataset p:meta "
    "(or it may not exist). 'secret words'"
)


@pytest.mark.parametrize(
    ("status", "reason", "text", "kind", "expected"),
    [
        (
            403,
            "accessDenied",
            DENIED,
            WarehouseOpenError,
            "lacks bigquery.datasets.get.*: grant it BigQuery Data Editor",
        ),
        (403, "accessDenied", "Access Denied: Project p", WarehouseOpenError, "and BigQuery Job User on project p"),
        (403, "accessNotConfigured", "secret words", WarehouseOpenError, "API is not enabled in project p: enable"),
        (
            403,
            "billingNotEnabled",
            "secret words",
            WarehouseOpenError,
            "project p has no billing, .*: enable billing there",
        ),
        (
            401,
            "authError",
            "secret words",
            WarehouseRefusedError,
            "(cannot log in to Google|Google rejected the login).*check (whether )?the connection's key",
        ),
        (403, "quotaExceeded", "secret words", WarehouseBusyError, "a quota of project p is exhausted"),
        (400, "invalid", "secret words", WarehouseError, "rejected an operation on dataset p.meta"),
        (
            404,
            "notFound",
            "Not found: Project p",
            WarehouseOpenError,
            "(cannot see project p|dataset p.meta does not exist)",
        ),
        (503, "backendError", "secret words", WarehouseBusyError, "BigQuery is temporarily unavailable"),
    ],
)
def test_a_refusal_becomes_one_line_with_advice(tmp_path, status, reason, text, kind, expected):
    with RefusingServer(status, reason, text) as server, pytest.raises(kind, match=expected) as caught:
        BigQueryWarehouse(bigquery_client(server.url, "p"), "meta", call_timeout=SHORTLY).load(
            [Files(tmp_path)(message())]
        )
    assert (len(str(caught.value).splitlines()), "secret" in str(caught.value)) == (1, False)
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)


@pytest.mark.parametrize(
    ("problem", "kind", "expected"),
    [
        (
            ("accessDenied", "Access Denied: File gs://b/x: a@b does not have storage.objects.get access"),
            WarehouseOpenError,
            "may not read gs://b/x .it lacks storage.objects.get.: grant it Storage Object Viewer on that bucket",
        ),
        (
            ("accessDenied", "Access Denied: Table p:d.t: Permission bigquery.tables.updateData denied"),
            WarehouseOpenError,
            "lacks bigquery.tables.updateData.: grant it BigQuery Data Editor",
        ),
        (("notFound", "Not found: URI gs://b/x"), SourceFileError, "gs://b/x does not exist: check the bucket, or run"),
        (("invalid", "Cannot read and write in different locations: source: EU, destination: US"), WarehouseOpenError,
         "dataset p.d and the bucket of gs://b/x are in different locations"),
        (("notFound", "Not found: Dataset p:d was not found in location EU"), WarehouseOpenError, "check the names"),
        (("invalidQuery", "Too many partitions produced by query, allowed 4000, query produces at least 4001"),
         WarehouseRefusedError, "extract a history of more than ten years in several windows"),
        (("notFound", "Not found: Table p:d.metaconv_staging_messages_x_0"), WarehouseBusyError,
         "a staging table in dataset p.d was deleted: let the task retry"),
        (("invalid", "JSON parsing error in row starting at position 123: 'secret words'"), SourceFileError,
         "cannot read gs://b/x, position 123, or its values do not match"),
        (("stopped", "secret words"), WarehouseError, "the job on dataset p.d was cancelled: run the task again"),
        (("internalError", "secret words"), WarehouseBusyError, "let the task retry"),
    ],
)  # fmt: skip
def test_a_failed_job_becomes_one_line_without_row_content(problem, kind, expected):
    reason, text = problem
    place = errors.Place("p", "p.d", ["gs://b/x"])
    error = errors.job_error({"reason": reason, "message": text}, [{"reason": reason, "message": text}], place)
    with pytest.raises(kind, match=expected):
        raise error
    assert (len(str(error).splitlines()), "secret" in str(error)) == (1, False)


def test_an_unreachable_server_is_reported_quickly(tmp_path):
    started = time.monotonic()
    warehouse = BigQueryWarehouse(bigquery_client("http://127.0.0.1:1", "p"), "meta", call_timeout=SHORTLY)
    with pytest.raises(WarehouseOpenError, match="cannot reach BigQuery"):
        warehouse.load([Files(tmp_path)(message())])
    assert time.monotonic() - started < 15


def test_importing_the_warehouses_does_not_import_google():
    code = "import sys, airflow_provider_metaconv.warehouse; print('google.cloud.bigquery' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_every_table_has_a_merge_template():
    folder = Path(merge.__file__).parent / "templates"
    assert {f"merge_{table.name}.sql" for table in TABLES} == {path.name for path in folder.glob("merge_*.sql")}


MOST_VERSIONS = 6
VERSIONS = st.lists(
    st.tuples(st.integers(1, 2), st.sampled_from([AVAILABLE, UNAVAILABLE]), st.sampled_from([None, "a", "b"])),
    min_size=1,
    max_size=MOST_VERSIONS,
)


@settings(max_examples=1, phases=[Phase.generate])
@given(st.tuples(*[VERSIONS] * 20), st.permutations(range(MOST_VERSIONS)), st.integers(1, MOST_VERSIONS - 1))
def test_the_same_version_wins_however_loads_are_split(bigquery_server, storage_server, histories, order, cut):
    """The model: the last extracted of the richest versions of a message (by status, then whether it has text)."""
    # The first that Hypothesis tries are the simplest.
    assume(sum(map(len, histories)) > 2 * len(histories))
    model: dict[str, tuple[tuple[bool, bool], str | None]] = {}
    versions: list[list[dict[str, Any]]] = [[] for _ in order]
    for history, of_messages in enumerate(histories):
        for version, (number, status, text) in enumerate(of_messages):
            name, incompleteness = f"{history}.{number}", (status != AVAILABLE, not text)
            versions[version].append(message(name, content_status=status, text=text))
            if incompleteness <= model.get(name, ((True, True), None))[0]:
                model[name] = (incompleteness, text)
    with tempfile.TemporaryDirectory() as folder, TemporaryDataset(bigquery_server) as dataset:
        files = BucketFiles(Path(folder), storage_server)
        sources = [files(*rows) for rows in versions]
        shuffled = [sources[version] for version in order]
        for group in (shuffled[:cut], shuffled[cut:]):
            dataset.warehouse().load(group)
        assert {f"m_{name}": text for name, (_, text) in model.items()} == texts(dataset)

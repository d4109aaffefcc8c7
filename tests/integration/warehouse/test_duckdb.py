"""DuckDB fulfils the contract, and reports clearly why it cannot open or use a file."""

import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
import threading
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_metaconv.schema import CONVERSATIONS, TABLES, ColumnType, table_named
from airflow_provider_metaconv.warehouse import (
    SchemaConflictError,
    SourceFile,
    SourceFileError,
    WarehouseBusyError,
    WarehouseError,
    WarehouseOpenError,
)
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from tests.integration.warehouse.committed import copy_of
from tests.integration.warehouse.documented_queries import documented_queries
from tests.integration.warehouse.erasure_contract import ErasureContract
from tests.integration.warehouse.ledger_contract import LedgerContract
from tests.integration.warehouse.retention_contract import RetentionContract
from tests.integration.warehouse.rows_contract import RowsContract
from tests.integration.warehouse.warehouse_contract import (
    AVAILABLE,
    NOON,
    UNAVAILABLE,
    Files,
    WarehouseContract,
    conversation,
    message,
    partitioned,
    result,
)

SHORTLY = timedelta(seconds=0.2)


def _value(column, value):
    if value is None or column.type in {ColumnType.TEXT, ColumnType.INTEGER, ColumnType.BOOLEAN}:
        return value
    if column.type is ColumnType.JSON:
        return json.loads(value)
    return datetime.fromisoformat(value).isoformat()


def rows_in(path, table_name, schema="main"):
    """All rows of a table in the form of the files, without the time of extraction."""
    return [row | {"extracted_time": None} for row in whole_rows_in(path, table_name, schema)]


def whole_rows_in(path, table_name, schema="main"):
    table = table_named(table_name)
    columns = ", ".join(
        f"{column.name}::VARCHAR" if column.type is ColumnType.TIMESTAMP else column.name for column in table.columns
    )
    with copy_of(path) as connection:
        key = ", ".join(table.key)
        rows = connection.execute(f"SELECT {columns} FROM {schema}.{table_name} ORDER BY {key}").fetchall()
    return [
        {column.name: _value(column, value) for column, value in zip(table.columns, row, strict=True)} for row in rows
    ]


def run_query(path, title):
    """Rows of a documented query, given by its title, or of a query; times as in the files."""
    with copy_of(path) as connection:
        rows = connection.execute(documented_queries().get(title, title)).fetchall()
    return [[value.isoformat() if isinstance(value, datetime) else value for value in row] for row in rows]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "meta.duckdb"


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


class TestDuckDB(WarehouseContract, RowsContract, LedgerContract, ErasureContract, RetentionContract):
    @pytest.fixture
    def warehouse(self, path):
        with DuckDBWarehouse(path) as warehouse:
            yield warehouse

    @pytest.fixture
    def mixing_warehouse(self, warehouse, path):
        @contextlib.contextmanager
        def reopened():
            # A process opens a DuckDB file once.
            warehouse.__exit__(None, None, None)
            with DuckDBWarehouse(path, allow_policy_change=True) as mixing:
                yield mixing

        return reopened

    @pytest.fixture
    def read_rows(self, path):
        def read(table_name):
            try:
                return whole_rows_in(path, table_name)
            except duckdb.CatalogException:
                return []

        return read

    @pytest.fixture(scope="class")
    @classmethod
    def shared(cls, tmp_path_factory):
        folder = tmp_path_factory.mktemp("shared")
        path, files = folder / "shared.duckdb", Files(partitioned(folder))
        with DuckDBWarehouse(path) as warehouse:
            yield warehouse, files, lambda name: whole_rows_in(path, name), lambda title: run_query(path, title)


@pytest.mark.parametrize("folder", ["*", "?", "[ab]", "a'b", "ünï", "50% {x} $files", "a b"])
def test_a_folder_may_have_any_name(tmp_path, path, folder):
    (tmp_path / folder).mkdir()
    (tmp_path / "other").mkdir()
    Files(tmp_path / "other")(message(2))
    source = Files(tmp_path / folder)(message())
    with DuckDBWarehouse(path) as warehouse:
        assert warehouse.load([source]).tables["messages"] == result(1, inserted=1)


def test_a_row_can_exceed_duckdbs_default_limit(path, files):
    with DuckDBWarehouse(path) as warehouse:
        warehouse.load([files(message(text="x" * 34_000_000), message(2))])
    with duckdb.connect(str(path)) as connection:
        assert connection.execute("SELECT sum(length(text)) FROM messages").fetchone() == (34_000_005,)


def test_a_file_uri_is_accepted(path, files):
    source = files(message())
    uri = Path(source.uri).as_uri()
    with DuckDBWarehouse(path) as warehouse:
        outcome = warehouse.load([SourceFile(uri, "messages", "ndjson", 1)])
    assert outcome.tables["messages"] == result(1, inserted=1)


def test_a_remote_file_is_rejected(path):
    source = SourceFile("gs://bucket/messages-00000.ndjson.gz", "messages", "ndjson", 1)
    with DuckDBWarehouse(path) as warehouse, pytest.raises(SourceFileError, match="DuckDB loads local files, not gs:"):
        warehouse.load([source])


def test_another_schema_is_created(path, files):
    with DuckDBWarehouse(path, schema="Meta_raw") as warehouse:
        warehouse.load([files(message())])
        warehouse.load([files(message(2))])
    assert [row["message_id"] for row in rows_in(path, "messages", "Meta_raw")] == ["m_1", "m_2"]


@pytest.mark.parametrize("schema", ["", "a b", 'x"; DROP TABLE messages; --', "1x"])
def test_an_invalid_schema_name_is_rejected(path, schema):
    with pytest.raises(ValueError, match="schema must be a plain name"):
        DuckDBWarehouse(path, schema=schema)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_tables_match_the_schema(path, table):
    with DuckDBWarehouse(path) as warehouse:
        warehouse.load([])
    types = {"text": "VARCHAR", "integer": "BIGINT", "boolean": "BOOLEAN", "json": "JSON"}
    types |= {"timestamp": "TIMESTAMP WITH TIME ZONE"}
    with duckdb.connect(str(path)) as connection:
        columns = connection.execute(
            "SELECT column_name, data_type, comment, NOT is_nullable FROM duckdb_columns() WHERE table_name = ?",
            [table.name],
        ).fetchall()
        comment = connection.execute(
            "SELECT comment FROM duckdb_tables() WHERE table_name = ?", [table.name]
        ).fetchone()
    expected = [(column.name, types[column.type], column.description, column.required) for column in table.columns]
    assert (expected, (table.description,)) == (columns, comment)


def test_an_old_table_gains_missing_columns_and_keeps_custom_ones(path, files):
    path.parent.mkdir()
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE messages (platform VARCHAR, page_id VARCHAR, message_id VARCHAR, note VARCHAR,"
            " created_time TIMESTAMPTZ, content_status VARCHAR, text VARCHAR, conversation_id VARCHAR)"
        )
        connection.execute(
            "INSERT INTO messages VALUES ('MESSENGER', '100', 'm_1', 'mine', NULL, 'available', 'old', 't_1')"
        )
    with DuckDBWarehouse(path) as warehouse:
        outcome = warehouse.load([files(message(1, tags=["inbox"]), message(2))])
    assert outcome.tables["messages"] == result(2, inserted=1, updated=1)
    assert rows_in(path, "messages") == [message(1, tags=["inbox"]), message(2)]
    with duckdb.connect(str(path)) as connection:
        notes = connection.execute("SELECT note FROM messages ORDER BY message_id").fetchall()
    assert notes == [("mine",), (None,)]


def test_an_earlier_releases_ledger_is_upgraded(path, files):
    """It lacks reason_code and the newer tables; its incomplete conversations become gaps with any load."""
    with DuckDBWarehouse(path) as warehouse:
        warehouse.load([files(conversation(message_count=7), table=CONVERSATIONS)])
    with duckdb.connect(str(path)) as connection:
        connection.execute("ALTER TABLE conversations DROP COLUMN reason_code")
        connection.execute("ALTER TABLE conversations DROP COLUMN messages_unavailable")
        connection.execute("UPDATE conversations SET status = 'unreadable', reason = 'why', messages_extracted = 5")
        connection.execute("DROP TABLE conversation_gaps")
        connection.execute("DROP TABLE extraction_windows")
    with DuckDBWarehouse(path) as warehouse:
        warehouse.load([files(message(number=1, conversation_id="t_2"))])
    status = {"status": "unreadable", "reason_code": "refused", "reason": "why"}
    assert rows_in(path, "conversations") == [conversation(message_count=7, **status)]
    assert [row["reason"] for row in rows_in(path, "conversation_gaps")] == ["why"]


@pytest.mark.parametrize(
    ("ddl", "problem"),
    [
        (
            "CREATE TABLE conversations (platform VARCHAR, updated_time VARCHAR)",
            "column updated_time of main.conversations has type VARCHAR, must be TIMESTAMP WITH TIME ZONE: rename",
        ),
        ("CREATE VIEW conversations AS SELECT 1 AS x", "main.conversations is a view, not a table"),
        (
            "CREATE TABLE messages (platform VARCHAR CHECK (platform <> 'MESSENGER'))",
            "a key, index or constraint that was added",
        ),
    ],
)
def test_an_incompatible_table_is_reported_before_writing(path, files, ddl, problem):
    path.parent.mkdir()
    with duckdb.connect(str(path)) as connection:
        connection.execute(ddl)
    before = _catalog(path)
    with DuckDBWarehouse(path) as warehouse, pytest.raises(SchemaConflictError, match=problem):
        warehouse.load([files(message())])
    assert before == _catalog(path)


def _catalog(path):
    with duckdb.connect(str(path)) as connection:
        return connection.execute("SELECT table_name, column_name, data_type FROM duckdb_columns()").fetchall()


def test_unchanged_rows_are_not_rewritten(path, files):
    source = files(*(message(number) for number in range(2_000)))
    for _ in range(3):
        with DuckDBWarehouse(path) as warehouse:
            warehouse.load([source])
        size = path.stat().st_size
    with DuckDBWarehouse(path) as warehouse:
        warehouse.load([source])
    assert size == path.stat().st_size


def test_staging_is_dropped(path, files):
    with DuckDBWarehouse(path) as warehouse:
        warehouse.load([files(message()), files(conversation(), table=CONVERSATIONS)])
    with duckdb.connect(str(path)) as connection:
        names = connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
    assert [(name,) for name in sorted(table.name for table in TABLES)] == names


HOLDER = "import duckdb, sys\nconnection = duckdb.connect(sys.argv[1])\nprint('open', flush=True)\nsys.stdin.read()"


@pytest.fixture
def holder(path):
    """Another process that locks the database until its input is closed."""
    path.parent.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


def test_a_file_locked_by_another_process_is_reported(path, holder):
    with pytest.raises(WarehouseBusyError) as caught, DuckDBWarehouse(path, open_timeout=SHORTLY):
        pass
    expected = (
        f"the DuckDB file {path} is locked by process {holder.pid} (waited 0.2 s): "
        "give the tasks that use it a pool with one slot, and close other programs that have it open"
    )
    assert str(caught.value) == expected


def test_opening_waits_for_the_lock(path, holder, files):
    threading.Timer(0.3, holder.stdin.close).start()
    with DuckDBWarehouse(path) as warehouse:
        assert warehouse.load([files(message())]).tables["messages"] == result(1, inserted=1)


def test_a_second_thread_waits_like_a_second_process(path):
    with (
        DuckDBWarehouse(path),
        pytest.raises(WarehouseBusyError, match="locked by another thread"),
        DuckDBWarehouse(path, open_timeout=SHORTLY),
    ):
        pass
    with DuckDBWarehouse(path, open_timeout=SHORTLY):
        pass


LOADER = """
import sys
from airflow_provider_metaconv.warehouse import SourceFile
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
for _ in range(3):
    with DuckDBWarehouse(sys.argv[1]) as warehouse:
        warehouse.load([SourceFile(sys.argv[2], "messages", "ndjson", int(sys.argv[3]))])
"""


def test_two_processes_can_load_concurrently(path, files):
    sources = [files(*map(message, range(500))), files(*map(message, range(250, 750)))]
    processes = [
        subprocess.Popen([sys.executable, "-c", LOADER, str(path), source.uri, str(source.rows)]) for source in sources
    ]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert sorted(f"m_{number}" for number in range(750)) == [row["message_id"] for row in rows_in(path, "messages")]


def test_two_threads_can_load_concurrently(path, files):
    sources = [files(*map(message, range(500))), files(*map(message, range(250, 750)))]

    def load(source):
        with DuckDBWarehouse(path) as warehouse:
            warehouse.load([source])

    threads = [threading.Thread(target=load, args=[source]) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(f"m_{number}" for number in range(750)) == [row["message_id"] for row in rows_in(path, "messages")]


@pytest.mark.parametrize("content", [b"hello" * 3_000, b""])
def test_a_file_that_is_not_a_database_is_reported(tmp_path, content):
    (tmp_path / "notes.txt").write_bytes(content)
    with (
        pytest.raises(WarehouseOpenError, match=r"notes.txt is not a DuckDB database: choose a path"),
        DuckDBWarehouse(tmp_path / "notes.txt"),
    ):
        pass
    assert content == (tmp_path / "notes.txt").read_bytes()


@pytest.mark.parametrize("place", ["/proc/x.duckdb", "/proc/none/x.duckdb", "{file}/x.duckdb", "{folder}"])
def test_a_path_that_cannot_be_opened_is_reported(tmp_path, place):
    (tmp_path / "file").write_bytes(b"")
    path = place.format(file=tmp_path / "file", folder=tmp_path)
    with pytest.raises(WarehouseOpenError) as caught, DuckDBWarehouse(path):
        pass
    assert path in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_failed_open_leaves_no_lock_behind(tmp_path):
    for _ in range(2):
        with pytest.raises(WarehouseOpenError), DuckDBWarehouse(tmp_path, open_timeout=SHORTLY):
            pass


def test_loading_requires_an_open_warehouse(path):
    with pytest.raises(WarehouseError, match="use it in a with statement"):
        DuckDBWarehouse(path).load([])


def test_importing_the_package_does_not_import_duckdb():
    code = "import sys, airflow_provider_metaconv.warehouse.duckdb; print('duckdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_missing_duckdb_is_reported_in_one_line(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ImportError, match=r"pip install 'airflow-provider-metaconv\[duckdb\]'"), DuckDBWarehouse(path):
        pass


def test_a_killed_load_changes_nothing(path, files):
    with DuckDBWarehouse(path) as warehouse:
        warehouse.load([files(message(text="held"))])
    source = files(*(message(number) for number in range(20_000)))
    code = LOADER.replace("        warehouse.load", "        print('go', flush=True)\n        warehouse.load")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path), source.uri, "19999"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert rows_in(path, "messages") == [message(text="held")]


VERSIONS = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from([AVAILABLE, UNAVAILABLE]), st.sampled_from([None, "a", "b"])),
    min_size=1,
    max_size=8,
)


@settings(max_examples=10)
@given(VERSIONS, st.data())
def test_the_same_version_wins_however_loads_are_split(versions, data):
    """The model: the last of the richest versions of a message (by status, then whether it has text)."""
    model: dict[int, tuple[tuple[bool, bool], str | None]] = {}
    for number, status, text in versions:
        incompleteness = (status != AVAILABLE, not text)
        if incompleteness <= model.get(number, ((True, True), None))[0]:
            model[number] = (incompleteness, text)
    with tempfile.TemporaryDirectory() as folder:
        path, files = Path(folder) / "x.duckdb", Files(Path(folder))
        sources = [files(message(n, content_status=status, text=text)) for n, status, text in versions]
        cuts = sorted(data.draw(st.lists(st.integers(0, len(sources)), max_size=2)))
        with DuckDBWarehouse(path) as warehouse:
            for start, end in itertools.pairwise([0, *cuts, len(sources)]):
                warehouse.load(sources[start:end])
        texts = {row["message_id"]: row["text"] for row in rows_in(path, "messages")}
    assert {f"m_{number}": text for number, (_, text) in model.items()} == texts


def test_times_do_not_depend_on_the_local_time_zone(path, files, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    for file_format in ("ndjson", "parquet"):
        with DuckDBWarehouse(path) as warehouse:
            warehouse.load([files(message(file_format), file_format=file_format)])
    assert [row["created_time"] for row in rows_in(path, "messages")] == [NOON, NOON]


def test_every_table_has_a_merge_template():
    package = sys.modules["airflow_provider_metaconv.warehouse.duckdb"].__file__
    assert package is not None
    folder = Path(package).parent / "templates"
    assert {f"merge_{table.name}.sql" for table in TABLES} == {path.name for path in folder.glob("merge_*.sql")}

"""DuckDB: what is erased is gone from the bytes of the file, and the file is replaced safely."""

import os
import stat
import subprocess
import sys
import types
from pathlib import Path

import duckdb
import pytest

from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.schema import CONVERSATIONS
from airflow_provider_metaconv.warehouse import WarehouseError, WarehouseRefusedError
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse, compaction, connection
from tests.integration.warehouse.test_duckdb import LOADER, rows_in
from tests.integration.warehouse.warehouse_contract import Files, conversation, counts, message

ID, TEXT, WORDS = "5550199887766", "wholly unique words", "words before an edit"
TRACES = tuple(each.encode() for each in (ID, TEXT, WORDS))
OTHERS = """
CREATE SCHEMA theirs;
CREATE TYPE theirs.mood AS ENUM ('good', 'bad');
CREATE SEQUENCE theirs.numbers START 5;
CREATE TABLE theirs.notes (id INTEGER PRIMARY KEY DEFAULT nextval('theirs.numbers'), note VARCHAR UNIQUE,
    m theirs.mood);
INSERT INTO theirs.notes (note, m) VALUES ('one', 'good'), ('two', NULL);
CREATE TABLE theirs.more (note VARCHAR{reference});
CREATE INDEX found ON theirs.notes (m);
INSERT INTO theirs.more VALUES ('two');
CREATE VIEW recent AS SELECT text FROM messages;
CREATE VIEW lines AS SELECT * FROM read_csv('{csv}');
CREATE MACRO twice(x) AS 2 * x;
COMMENT ON TABLE theirs.more IS 'a comment';
COMMENT ON COLUMN theirs.more.note IS 'another';
COMMENT ON VIEW recent IS 'a third';
"""
COPIES_FOREIGN_KEYS = int(duckdb.__version__.partition(".")[0]) >= 2
REFERENCE = " REFERENCES theirs.notes (note)"
CATALOG = [
    sql.replace("SELECT ", "SELECT database_name, ")
    + ("" if kind in compaction._WITHOUT_INTERNAL else " WHERE NOT internal")
    for kind, sql in compaction._CATALOG.items()
    if kind != "triggers"
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "meta.duckdb"


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


@pytest.fixture
def loaded(path, files):
    """A database with a person's messages, one of them edited, and with other messages."""
    with DuckDBWarehouse(path) as warehouse:
        for text in (WORDS, TEXT):
            warehouse.load([files(message(1, sender_id=ID, text=text), message(2, conversation_id="t_2"))])
        warehouse.load([files(conversation(participants=[{"id": ID}, {"id": "100"}]), table=CONVERSATIONS)])
    return path


def erase(path, people=(ID,)):
    with DuckDBWarehouse(path) as warehouse:
        return warehouse.erase(people, ["t_1"], Scope.CONVERSATION)


def traces_in(folder):
    """The traces that any file of the folder holds."""
    data = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    return {trace.decode() for trace in TRACES if trace in data}


def test_no_byte_of_the_person_is_left(loaded):
    assert traces_in(loaded.parent) == {ID, TEXT, WORDS}
    with DuckDBWarehouse(loaded) as warehouse:
        erased = warehouse.erase([ID], ["t_1"], Scope.CONVERSATION)
        assert erased == counts(messages=1, conversations=1)
        assert traces_in(loaded.parent) == set()
        assert [file.name for file in loaded.parent.iterdir()] == [loaded.name]
        assert warehouse.remaining([ID], ["t_1"], Scope.CONVERSATION) == counts()
    assert traces_in(loaded.parent) == set()
    assert rows_in(loaded, "messages") == [message(2, conversation_id="t_2")]


def test_what_a_killed_load_left_beside_the_file_is_gone(loaded):
    code = (
        "import duckdb, os, sys\nc = duckdb.connect(sys.argv[1])\n"
        "c.execute(\"UPDATE messages SET text = 'wholly unique words', sender_id = '5550199887766'\")\nos._exit(9)"
    )
    erase(loaded)
    subprocess.run([sys.executable, "-c", code, str(loaded)], check=False)
    assert Path(f"{loaded}.wal").exists()
    spilled = Path(f"{loaded}.tmp")
    spilled.mkdir()
    (spilled / "duckdb_temp_storage_DEFAULT-0.tmp").write_text(TEXT)
    (loaded.parent / f".{loaded.name}.compacting").write_text(TEXT)
    (loaded.parent / f".{loaded.name}.compacting.wal").write_text(TEXT)
    assert traces_in(loaded.parent) == {ID, TEXT}
    erase(loaded)
    assert traces_in(loaded.parent) == set()
    assert rows_in(loaded, "messages") == []


def test_everything_else_in_the_database_stays(loaded, tmp_path):
    def catalog():
        with duckdb.connect(str(loaded)) as opened:
            found = [sorted(map(repr, opened.execute(sql).fetchall())) for sql in CATALOG]
            queries = (
                "SELECT * FROM theirs.notes",
                "FROM theirs.more",
                "DESCRIBE recent",
                "SELECT twice(2)",
                "SELECT nextval('theirs.numbers')",
            )
            return found, [opened.execute(query).fetchall() for query in queries], sorted(rows(opened))

    def rows(opened):
        return opened.execute("SELECT * FROM messages WHERE sender_id IS NULL").fetchall()

    csv = tmp_path / "lines.csv"
    csv.write_text("a,b\n1,2\n")
    with duckdb.connect(str(loaded)) as opened:
        opened.execute(OTHERS.format(csv=csv, reference=REFERENCE if COPIES_FOREIGN_KEYS else ""))
    csv.unlink()
    loaded.chmod(0o640)
    before = catalog()
    erase(loaded)
    found, answers, messages = catalog()
    assert (found, messages) == (before[0], before[2])
    assert answers == [*before[1][:-1], [(before[1][-1][0][0] + 1,)]]
    assert stat.S_IMODE(loaded.stat().st_mode) == 0o640


@pytest.mark.parametrize("options", ["STORAGE_VERSION 'v1.2.0'", "BLOCK_SIZE 16384"])
def test_the_copy_has_the_format_of_the_file(path, files, options):
    def form():
        with duckdb.connect(str(path)) as opened:
            return opened.execute(
                "SELECT tags, block_size FROM duckdb_databases() JOIN pragma_database_size() USING (database_name)"
                " WHERE database_name = 'meta'"
            ).fetchall()

    path.parent.mkdir()
    with duckdb.connect() as opened:
        opened.execute(f"ATTACH '{path}' AS made ({options}); CREATE TABLE made.other (x INTEGER)")
    before = form()
    with DuckDBWarehouse(path) as warehouse:
        warehouse.load([files(message(1, sender_id=ID))])
    assert erase(path) == counts(messages=1)
    assert form() == before


def test_a_link_to_the_database_stays_a_link(loaded, tmp_path):
    link = tmp_path / "link.duckdb"
    link.symlink_to(loaded)
    assert erase(link) == counts(messages=1, conversations=1)
    assert (link.is_symlink(), traces_in(loaded.parent)) == (True, set())


def test_a_second_name_of_the_file_is_refused(loaded, tmp_path):
    os.link(loaded, tmp_path / "second.duckdb")
    with pytest.raises(WarehouseRefusedError, match=r"has other names \(hard links\), .*: delete them"):
        erase(loaded)
    assert len(rows_in(loaded, "messages")) == 2


def test_an_object_that_cannot_be_copied_is_reported_before_anything_is_erased(loaded, monkeypatch):
    monkeypatch.setitem(compaction._CATALOG, "views", "SELECT database_name FROM duckdb_databases()")
    with pytest.raises(WarehouseRefusedError) as caught:
        erase(loaded)
    assert str(caught.value) == (
        f"nothing was erased, because erasing copies the DuckDB file {loaded}, and DuckDB cannot copy its views: "
        "drop those that it cannot copy"
    )
    assert len(rows_in(loaded, "messages")) == 2


@pytest.mark.skipif(COPIES_FOREIGN_KEYS, reason="this version can")
def test_foreign_keys_are_reported_before_anything_is_erased(loaded):
    with duckdb.connect(str(loaded)) as opened:
        opened.execute("CREATE TABLE a (x INTEGER PRIMARY KEY); CREATE TABLE b (y INTEGER REFERENCES a (x))")
    with pytest.raises(WarehouseRefusedError, match="cannot copy its foreign keys: drop them, or install DuckDB 2"):
        erase(loaded)
    assert len(rows_in(loaded, "messages")) == 2


def test_a_full_disk_is_reported_before_anything_is_erased(loaded, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: types.SimpleNamespace(free=5))
    with pytest.raises(WarehouseError, match=r"copies it, which takes up to \d+ bytes, but .* has only 5: free space"):
        erase(loaded)
    assert len(rows_in(loaded, "messages")) == 2


def _fails_with(error):
    def failing(*_):
        raise error

    return failing


NOT_SUPPORTED = OSError(95, "Operation not supported")


@pytest.mark.parametrize(
    ("owner", "name", "failure", "reason"),
    [
        (compaction, "different_counts", lambda *_: ["numbers of rows"], "the copy has other numbers of rows"),
        (compaction, "_storage_options", lambda *_: "NO_OPTION", "BinderException"),
        (os, "fchmod", _fails_with(NOT_SUPPORTED), "OSError"),
        (Path, "rename", _fails_with(PermissionError(13, "Permission denied")), "cannot write the DuckDB file {path} "),
    ],
)
def test_a_copy_that_fails_says_that_the_bytes_are_left(loaded, monkeypatch, owner, name, failure, reason):
    with DuckDBWarehouse(loaded) as warehouse:
        monkeypatch.setattr(owner, name, failure)
        with pytest.raises(WarehouseError) as caught:
            warehouse.erase([ID], ["t_1"], Scope.CONVERSATION)
        assert str(caught.value).startswith(
            f"the rows are erased from the tables, but their bytes are still in the DuckDB file {loaded} "
            f"({reason.format(path=loaded)}"
        )
        assert str(caught.value).endswith("): run the task again, which copies the file again")
        assert [file.name for file in loaded.parent.iterdir()] == [loaded.name]
        monkeypatch.undo()
        assert warehouse.erase([ID], ["t_1"], Scope.CONVERSATION) == counts()
    assert traces_in(loaded.parent) == set()


def test_what_fails_after_the_replacement_leaves_the_new_file(loaded, files, monkeypatch):
    with DuckDBWarehouse(loaded) as warehouse:
        monkeypatch.setattr(connection, "sync_folder", _fails_with(NOT_SUPPORTED))
        with pytest.raises(WarehouseError, match="run the task again"):
            warehouse.erase([ID], ["t_1"], Scope.CONVERSATION)
        warehouse.load([files(message(3))])
    assert traces_in(loaded.parent) == set()
    assert [row["message_id"] for row in rows_in(loaded, "messages")] == ["m_2", "m_3"]


KILLED = """
import os, sys
from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse, compaction, connection, erasure

def kill_after(owner, name):
    original = getattr(owner, name)
    def killed(*arguments):
        original(*arguments)
        os._exit(9)
    setattr(owner, name, killed)

owner, name = sys.argv[2].split(".")
kill_after({"erasure": erasure.Erasure, "compaction": compaction, "connection": connection, "os": os}[owner], name)
with DuckDBWarehouse(sys.argv[1]) as opened:
    opened.erase([sys.argv[3]], ["t_1"], Scope.CONVERSATION)
"""


@pytest.mark.parametrize(
    ("moment", "left"),
    [
        ("erasure.run", {ID, TEXT, WORDS}),
        ("compaction.write_copy", {ID, TEXT, WORDS}),
        ("os.fchmod", {ID, TEXT, WORDS}),
        ("connection.sync_folder", set()),
    ],
)
def test_an_erasure_that_is_killed_can_be_repeated(loaded, moment, left):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(loaded), moment, ID], check=False, timeout=60)
    assert killed.returncode == 9
    assert traces_in(loaded.parent) == left
    assert len(rows_in(loaded, "messages")) == (2 if moment == "erasure.run" else 1)
    erase(loaded)
    assert traces_in(loaded.parent) == set()
    assert [file.name for file in loaded.parent.iterdir()] == [loaded.name]
    assert rows_in(loaded, "messages") == [message(2, conversation_id="t_2")]


ERASER = """
import sys
from airflow_provider_metaconv.privacy.suppression import Scope
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
for _ in range(5):
    with DuckDBWarehouse(sys.argv[1]) as warehouse:
        warehouse.erase(["7"], [], Scope.OWN)
"""


def test_loads_and_erasures_beside_each_other_lose_nothing(path, files):
    sources = [files(*(message(n, sender_id="8") for n in range(start, start + 300))) for start in (0, 300, 600)]
    commands = [[LOADER, str(path), source.uri, str(source.rows)] for source in sources]
    commands += [[ERASER, str(path)]] * 2
    processes = [subprocess.Popen([sys.executable, "-c", *command]) for command in commands]
    assert [process.wait(100) for process in processes] == [0] * 5
    assert len(rows_in(path, "messages")) == 900

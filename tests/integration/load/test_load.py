"""Loading: every file the manifests list, verified, all or nothing."""

import gzip
import json
import shutil
from pathlib import Path

import pytest

from airflow_provider_metaconv.files import (
    MANIFEST_NAME,
    LocalStorage,
    Manifest,
    ManifestError,
    PartsWriter,
    StorageError,
)
from airflow_provider_metaconv.files.manifest import ManifestFile
from airflow_provider_metaconv.load import CheckResult, LoadError, check_manifests, load_manifests
from airflow_provider_metaconv.schema import CONVERSATIONS, MESSAGES, TABLES
from airflow_provider_metaconv.warehouse import LoadResult, RowCountError, TableResult
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from tests.integration.warehouse.committed import copy_of

EXTRACTED = frozenset({("100", "MESSENGER")})
NOTHING = {table.name: TableResult() for table in TABLES}
NONE_MISSING = {table.name: 0 for table in TABLES}
KEY = {"platform": "MESSENGER", "page_id": "100", "conversation_id": "t_1"}


def _message(number, **values):
    row = KEY | {"message_id": f"m_{number}", "created_time": "2026-11-20T12:00:00+00:00", "text": f"text {number}"}
    return row | {"content_status": "available"} | values


def _extract(folder, *rows, file_format="ndjson", stats=None, rows_per_part=2, gaps=()):
    """Writes what an extract task would, and returns the manifest's path."""
    storage = LocalStorage(folder)
    conversation = KEY | {"messages_extracted": len(rows), "messages_unavailable": 0, "status": "complete"}
    parts: list[ManifestFile] = []
    for table, content in ((MESSAGES, rows), (CONVERSATIONS, [conversation])):
        with PartsWriter(storage, table, file_format, rows_per_part=rows_per_part) as writer:
            writer.write(content)
        parts += writer.published
    until = "2026-11-21T00:00:00+00:00"
    manifest = Manifest("100", "MESSENGER", None, until, tuple(parts), stats or {}, complete=not gaps, gaps=tuple(gaps))
    storage.publish_bytes(manifest.to_bytes(), MANIFEST_NAME)
    return storage.uri(MANIFEST_NAME)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "meta.duckdb"


@pytest.fixture
def warehouse(path):
    with DuckDBWarehouse(path) as warehouse:
        yield warehouse


def _texts(path):
    with copy_of(path) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        if ("messages",) not in tables:
            return []
        return [text for (text,) in connection.execute("SELECT text FROM messages ORDER BY message_id").fetchall()]


@pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
def test_all_parts_of_all_manifests_are_loaded(tmp_path, path, warehouse, file_format):
    texts = ["plain", "a\0b", "\ud83d", "\U0001f600", "x" * 100_000]
    first = _extract(tmp_path / "a", *(_message(n, text=text) for n, text in enumerate(texts)), file_format=file_format)
    second = _extract(tmp_path / "b", _message(9))
    loaded = load_manifests([first, second], warehouse).tables
    assert loaded == NOTHING | {
        "messages": TableResult(6, inserted=6),
        "conversations": TableResult(2, inserted=1),
    }
    assert _texts(path) == ["plain", "a\ufffdb", "\ufffd", "\U0001f600", "x" * 100_000, "text 9"]


def test_loading_twice_changes_nothing(tmp_path, warehouse):
    uri = _extract(tmp_path / "a", _message(1), _message(2))
    load_manifests([uri], warehouse)
    expected = {"messages": TableResult(2, unchanged=2), "conversations": TableResult(1, unchanged=1)}
    assert load_manifests([uri], warehouse).tables == NOTHING | expected


def test_a_manifest_listed_twice_is_loaded_once(tmp_path, warehouse):
    uri = _extract(tmp_path / "a", _message(1))
    same = [uri, uri, Path(uri).as_uri(), str(tmp_path / "." / "a" / MANIFEST_NAME)]
    assert TableResult(1, inserted=1) == load_manifests(same, warehouse).tables["messages"]


def test_the_later_manifest_wins(tmp_path, path, warehouse):
    uris = [_extract(tmp_path / name, _message(1, text=name)) for name in ("z", "a")]
    load_manifests(uris, warehouse)
    assert _texts(path) == ["a"]


def test_loading_no_manifests_does_nothing(warehouse):
    assert LoadResult.nothing() == load_manifests([], warehouse)


def test_a_folder_can_be_moved_with_its_manifest(tmp_path, warehouse):
    _extract(tmp_path / "a", _message(1))
    shutil.move(tmp_path / "a", tmp_path / "b")
    uri = str(tmp_path / "b" / MANIFEST_NAME)
    assert TableResult(1, inserted=1) == load_manifests([uri], warehouse).tables["messages"]


def test_a_relative_path_works(tmp_path, warehouse, monkeypatch):
    _extract(tmp_path, _message(1))
    monkeypatch.chdir(tmp_path)
    assert TableResult(1, inserted=1) == load_manifests([MANIFEST_NAME], warehouse).tables["messages"]


def test_a_custom_storage_opener_can_be_passed(tmp_path, warehouse):
    _extract(tmp_path / "bucket", _message(1))
    opened = []

    def open_storage(folder_uri):
        opened.append(folder_uri)
        return LocalStorage(tmp_path / folder_uri.removeprefix("gs://"))

    load_manifests([f"gs://bucket/{MANIFEST_NAME}"], warehouse, open_storage)
    assert opened == ["gs://bucket"]


def _missing(part):
    part.unlink()


def _truncated(part):
    part.write_bytes(part.read_bytes()[:-5])


def _changed(part):
    data = bytearray(part.read_bytes())
    data[-1] ^= 1
    part.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (_missing, "is missing: run the extract task again"),
        (_truncated, "bytes, but its manifest says"),
        (_changed, r"has changed since it was written \(its SHA-256 differs\): run the extract task again"),
    ],
)
@pytest.mark.parametrize("use", [load_manifests, check_manifests])
def test_a_damaged_part_is_named_and_nothing_is_loaded(tmp_path, path, warehouse, damage, problem, use):
    good = _extract(tmp_path / "a", _message(1))
    bad = _extract(tmp_path / "b", *map(_message, range(5)))
    damage(tmp_path / "b" / "messages-00001.ndjson.gz")
    with pytest.raises(LoadError, match=f"file .*b/messages-00001.ndjson.gz .*{problem}"):
        use([good, bad], warehouse)
    assert _texts(path) == []


def _edited(uri, **changes):
    content = json.loads(Path(uri).read_text())
    content["files"][0] |= changes
    Path(uri).write_text(json.dumps(content))


def test_a_wrong_row_count_in_a_manifest_loads_nothing(tmp_path, path, warehouse):
    uri = _extract(tmp_path / "a", _message(1))
    _edited(uri, rows=2)
    with pytest.raises(RowCountError, match="table messages hold 1 rows, but their manifests say 2"):
        load_manifests([uri], warehouse)
    assert _texts(path) == []


def test_a_manifest_cannot_point_outside_its_folder(tmp_path, path, warehouse):
    (tmp_path / "secret.ndjson.gz").write_bytes(gzip.compress(b"{}\n"))
    uri = _extract(tmp_path / "a", _message(1))
    _edited(uri, path="../secret.ndjson.gz")
    with pytest.raises(ManifestError, match=r"lists '../secret.ndjson.gz', which is not in its own folder"):
        load_manifests([uri], warehouse)
    assert _texts(path) == []


@pytest.mark.parametrize(
    ("uri", "error", "problem"),
    [
        ("/nowhere/_manifest.json", LoadError, "manifest /nowhere/_manifest.json does not exist: the extract has not"),
        ("gs://bucket/_manifest.json", StorageError, "gs: addresses are not supported here: use a local folder"),
        ("/data/", LoadError, "'/data/' is not the path of a manifest"),
        ("", LoadError, "'' is not the path of a manifest"),
    ],
)
def test_an_unreadable_manifest_is_reported(warehouse, uri, error, problem):
    with pytest.raises(error, match=problem):
        load_manifests([uri], warehouse)


def test_the_check_counts_missing_rows_and_incomplete_conversations(tmp_path, warehouse):
    loaded = _extract(tmp_path / "a", _message(1), _message(2), stats={"incomplete": 2})
    other = _extract(tmp_path / "b", _message(2), _message(3), stats={"incomplete": 1, "calls": 5})
    load_manifests([loaded], warehouse)
    result = check_manifests([loaded, other, loaded], warehouse)
    assert result == CheckResult(2, EXTRACTED, NONE_MISSING | {"messages": 1}, incomplete=3)
    assert not result.everything_loaded
    load_manifests([other], warehouse)
    assert check_manifests([loaded, other], warehouse).everything_loaded


def test_checking_no_manifests_finds_nothing(warehouse):
    assert check_manifests([], warehouse) == CheckResult(0, frozenset(), NONE_MISSING, 0)


def test_a_check_that_finds_everything_passes():
    result = CheckResult(1, EXTRACTED, {"messages": 0, "conversations": 0}, incomplete=4)
    result.raise_unless_complete([("100", "MESSENGER")])


@pytest.mark.parametrize(
    ("expected", "missing", "problem"),
    [
        ([("100", "MESSENGER"), ("100", "INSTAGRAM")], {"messages": 0}, "not extracted: INSTAGRAM/100: see the log"),
        ([("100", "MESSENGER")], {"messages": 3}, r"lacks rows of the extracted files \(3 messages\): run the load"),
    ],
)
def test_a_failed_check_names_the_gap(expected, missing, problem):
    with pytest.raises(LoadError, match=problem):
        CheckResult(1, EXTRACTED, missing, incomplete=0).raise_unless_complete(expected)


GAP = "the folder spam was refused"


def test_the_check_names_partial_windows(tmp_path, warehouse):
    whole, part = _extract(tmp_path / "a", _message(1)), _extract(tmp_path / "b", _message(2), gaps=[GAP])
    load_manifests([whole, part], warehouse)
    result = check_manifests([whole, part], warehouse)
    assert result.partial == (f"MESSENGER/100 from the beginning until 2026-11-21T00:00:00+00:00 ({GAP})",)


def test_a_partial_window_fails_the_check_or_warns(caplog):
    result = CheckResult(1, EXTRACTED, NONE_MISSING, incomplete=0, partial=(f"MESSENGER/100 ({GAP})",))
    with pytest.raises(
        LoadError, match=rf"extracted only in part: MESSENGER/100 \({GAP}\): extract these windows again"
    ):
        result.raise_unless_complete(EXTRACTED)
    result.raise_unless_complete(EXTRACTED, on_partial="warn")
    assert [record.getMessage() for record in caplog.records] == [f"extracted only in part: MESSENGER/100 ({GAP})"]

"""Parts: any rows with any text are read back, in either format, however they are split."""

import contextlib
import gc
import gzip
import hashlib
import math
import random
import re
import subprocess
import sys
import tempfile
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_metaconv.files import FILE_FORMATS, LocalStorage, PartsWriter
from airflow_provider_metaconv.files.ndjson import read_ndjson
from airflow_provider_metaconv.files.parquet import read_parquet
from airflow_provider_metaconv.schema import CONVERSATIONS, MESSAGES, ColumnType, Row

FORMATS = sorted(FILE_FORMATS)


def _row(number, **values):
    row = dict.fromkeys(MESSAGES.column_names)
    return {**row, "platform": "MESSENGER", "page_id": "100", "message_id": f"m{number}", **values}


def _read(storage, table=MESSAGES):
    rows: list[Row] = []
    for name in storage.names():
        with storage.open(name) as stream:
            rows += read_ndjson(stream) if name.endswith(".ndjson.gz") else read_parquet(stream, table)
    return rows


def _expected(value):
    """The value that a file returns, according to the documentation."""
    if isinstance(value, str):
        return re.sub("[\0\ud800-\udfff]", "\ufffd", value)
    if isinstance(value, dict):
        return {_expected(key): _expected(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_expected(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# All of Unicode, including surrogates and NUL, which are more frequent here than by chance.
TEXTS = st.text(
    st.characters(codec=None) | st.sampled_from("\0\ud83d\ude00\ufffd\\u0\"'\n\u202e\U0001f600"), max_size=20
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
TIMES = st.datetimes().map(lambda moment: moment.isoformat() + "+00:00")
VALUES = {
    ColumnType.TEXT: TEXTS,
    ColumnType.INTEGER: st.integers(-(2**63), 2**63 - 1),
    ColumnType.BOOLEAN: st.booleans(),
    ColumnType.TIMESTAMP: TIMES,
    ColumnType.JSON: JSON,
}


def _rows(table):
    return st.lists(
        st.fixed_dictionaries({column.name: st.none() | VALUES[column.type] for column in table.columns}), max_size=6
    )


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("table", [MESSAGES, CONVERSATIONS], ids=lambda table: table.name)
def test_any_rows_with_any_text_are_read_back_equal(table, file_format):
    @settings(max_examples=40, deadline=None)
    @given(_rows(table))
    def check(rows):
        with tempfile.TemporaryDirectory() as folder:
            storage = LocalStorage(folder)
            with PartsWriter(storage, table, file_format) as writer:
                writer.write(rows)
            assert [_expected(row) for row in rows] == _read(storage, table)

    check()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 7), max_size=8),
    st.integers(1, 9),
    st.sampled_from([1, 10**9]),
    st.booleans(),
    st.sampled_from(FORMATS),
)
def test_any_split_into_parts_contains_the_same_rows(writes, rows_per_part, bytes_per_part, roll, file_format):
    with tempfile.TemporaryDirectory() as folder:
        storage = LocalStorage(folder)
        expected: list[Row] = []
        with PartsWriter(
            storage, MESSAGES, file_format, rows_per_part=rows_per_part, bytes_per_part=bytes_per_part
        ) as writer:
            for size in writes:
                rows = [_row(len(expected) + i) for i in range(size)]
                writer.write(iter(rows))
                expected += rows
                if roll:
                    writer.roll()
        assert _read(storage) == expected
        assert storage.names() == [file.path for file in writer.published]
        assert sum(file.rows for file in writer.published) == len(expected)
        assert all(0 < file.rows <= rows_per_part for file in writer.published)


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_manifest_entry_describes_the_file(tmp_path, file_format):
    with PartsWriter(LocalStorage(tmp_path), MESSAGES, file_format) as writer:
        writer.write(_row(number) for number in range(1_234))
    (file,) = writer.published
    data = (tmp_path / file.path).read_bytes()
    expected = ("messages", 1_234, len(data), hashlib.sha256(data).hexdigest(), file_format)
    assert expected == (file.table, file.rows, file.bytes, file.sha256, file.file_format)


@pytest.mark.parametrize("file_format", FORMATS)
def test_equal_rows_give_equal_bytes(tmp_path, file_format):
    sums = []
    for name in ("one", "two"):
        with PartsWriter(LocalStorage(tmp_path / name), MESSAGES, file_format) as writer:
            writer.write(_row(number) for number in range(100))
        sums.append(writer.published[0].sha256)
    assert sums[0] == sums[1]


def test_gzip_contains_neither_time_nor_name(tmp_path):
    with PartsWriter(LocalStorage(tmp_path), MESSAGES) as writer:
        writer.write([_row(1)])
    assert (tmp_path / "messages-00000.ndjson.gz").read_bytes()[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"


def test_nested_values_are_native_json_in_ndjson(tmp_path):
    with PartsWriter(LocalStorage(tmp_path), MESSAGES) as writer:
        writer.write([_row(1, tags=["inbox"])])
    assert b'"tags":["inbox"]' in gzip.decompress((tmp_path / "messages-00000.ndjson.gz").read_bytes())


def test_only_invalid_characters_are_replaced(tmp_path):
    storage = LocalStorage(tmp_path)
    texts = ["a\0b", "\ud83d", "\\u0000", "\U0001f600", "\u202eright to left", "'; DROP TABLE messages; --", ""]
    with PartsWriter(storage, MESSAGES) as writer:
        writer.write(_row(number, text=text) for number, text in enumerate(texts))
    assert [row["text"] for row in _read(storage)] == ["a\ufffdb", "\ufffd", *texts[2:]]


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_full_part_is_published_immediately(tmp_path, file_format):
    storage = LocalStorage(tmp_path)
    writer = PartsWriter(storage, MESSAGES, file_format, rows_per_part=2)
    writer.write(_row(number) for number in range(5))
    assert [file.rows for file in writer.published] == [2, 2]
    assert [file.rows for file in writer.close()] == [2, 2, 1]
    assert len(writer.close()) == 3


@pytest.mark.parametrize("file_format", FORMATS)
def test_parts_are_limited_by_bytes_too(tmp_path, file_format):
    with PartsWriter(LocalStorage(tmp_path), MESSAGES, file_format, bytes_per_part=100_000) as writer:
        for number in range(600):
            writer.write([_row(number, text=random.Random(number).randbytes(500).hex())])
    assert len(writer.published) > 1
    assert all(file.bytes < 200_000 for file in writer.published)


def test_part_numbers_continue_so_that_a_rerun_overwrites_nothing(tmp_path):
    with PartsWriter(LocalStorage(tmp_path), MESSAGES, rows_per_part=1, first_number=7) as writer:
        writer.write([_row(1), _row(2)])
    assert [file.path for file in writer.published] == ["messages-00007.ndjson.gz", "messages-00008.ndjson.gz"]


@pytest.mark.parametrize("file_format", FORMATS)
def test_without_rows_no_part_is_written(tmp_path, file_format):
    with PartsWriter(LocalStorage(tmp_path / "none"), MESSAGES, file_format) as writer:
        writer.write([])
    assert (writer.published, (tmp_path / "none").exists()) == ((), False)


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_abort_leaves_only_published_parts(tmp_path, file_format):
    writer = PartsWriter(LocalStorage(tmp_path), MESSAGES, file_format, rows_per_part=2)
    with contextlib.suppress(RuntimeError), writer:
        writer.write(_row(number) for number in range(3))
        raise RuntimeError("network")
    assert [file.path for file in writer.published] == [path.name for path in tmp_path.iterdir()]
    assert len(writer.published) == 1


def test_an_aborted_parquet_part_causes_no_error_in_cleanup(tmp_path, monkeypatch):
    errors: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", errors.append)
    writer = PartsWriter(LocalStorage(tmp_path), MESSAGES, "parquet")
    writer.write([_row(1)])
    writer.abort()
    gc.collect()
    assert (errors, list(tmp_path.iterdir())) == ([], [])


def test_an_error_from_the_source_of_rows_is_unchanged(tmp_path):
    """Errors of requests are OSErrors: they must not be reported as disk errors."""

    def rows():
        yield _row(1)
        raise ConnectionResetError("reset by Meta")

    writer = PartsWriter(LocalStorage(tmp_path), MESSAGES)
    with pytest.raises(ConnectionResetError):
        writer.write(rows())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_invalid_value_is_rejected_and_leaves_nothing(tmp_path, file_format):
    writer = PartsWriter(LocalStorage(tmp_path), MESSAGES, file_format)
    with pytest.raises(TypeError):
        writer.write([_row(1, tags={1, 2})])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="closed"):
        writer.write([_row(2)])


def test_an_unknown_column_is_rejected_rather_than_dropped(tmp_path):
    writer = PartsWriter(LocalStorage(tmp_path), MESSAGES)
    with pytest.raises(ValueError, match="table messages has no column for: mood"):
        writer.write([_row(1, mood="good")])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"file_format": "csv"}, "file_format must be one of ndjson, parquet, not 'csv'"),
        ({"rows_per_part": 0}, "must be at least 1"),
        ({"bytes_per_part": 0}, "must be at least 1"),
    ],
)
def test_invalid_arguments_are_rejected(tmp_path, arguments, problem):
    with pytest.raises(ValueError, match=problem):
        PartsWriter(LocalStorage(tmp_path), MESSAGES, **arguments)


def test_parquet_has_the_declared_types(tmp_path):
    import pyarrow
    import pyarrow.parquet

    with PartsWriter(LocalStorage(tmp_path), CONVERSATIONS, "parquet") as writer:
        writer.write([dict.fromkeys(CONVERSATIONS.column_names)])
    schema = pyarrow.parquet.read_schema(tmp_path / "conversations-00000.parquet")
    expected = {
        "conversation_id": pyarrow.string(),
        "updated_time": pyarrow.timestamp("us", tz="UTC"),
        "participants": pyarrow.string(),
        "message_count": pyarrow.int64(),
    }
    assert {name: schema.field(name).type for name in expected} == expected
    assert schema.names == list(CONVERSATIONS.column_names)


def test_large_texts_keep_memory_flat_in_ndjson(tmp_path):
    tracemalloc.start()
    _write_large_texts(tmp_path, "ndjson")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000_000


def test_large_texts_keep_memory_flat_in_parquet(tmp_path):
    import pyarrow

    _write_large_texts(tmp_path, "parquet")
    assert pyarrow.default_memory_pool().max_memory() < 180_000_000


def _write_large_texts(folder, file_format):
    """200 MB of text."""
    text = "x" * 100_000
    with PartsWriter(LocalStorage(folder), MESSAGES, file_format) as writer:
        writer.write(_row(number, text=text) for number in range(2_000))
    assert sum(file.rows for file in writer.published) == 2_000


def test_importing_the_package_does_not_import_pyarrow():
    code = "import sys, airflow_provider_metaconv.files; print('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_missing_pyarrow_is_reported_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    writer = PartsWriter(LocalStorage(tmp_path), MESSAGES, "parquet")
    with pytest.raises(ImportError, match=r"pip install 'airflow-provider-metaconv\[parquet\]'"):
        writer.write([_row(1)])
    assert list(tmp_path.iterdir()) == []

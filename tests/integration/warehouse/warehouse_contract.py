"""What every warehouse guarantees; a test class for one warehouse inherits this and fills in the fixtures.

Files are written by hand here, so that these tests depend on the format and not on the package's own writers.
"""

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_metaconv.schema import (
    CONVERSATION_GAPS,
    CONVERSATIONS,
    EXTRACTION_WINDOWS,
    MESSAGES,
    TABLES,
    ColumnType,
    ContentStatus,
)
from airflow_provider_metaconv.warehouse import (
    PolicyConflictError,
    RowCountError,
    SourceFile,
    SourceFileError,
    TableResult,
)

AVAILABLE, UNSUPPORTED, UNAVAILABLE = (str(status) for status in ContentStatus)
Versions = dict[str, tuple[dict[str, Any], dict[str, Any]]]

NOON = "2026-11-20T12:00:00+00:00"


def message(number=1, **values):
    row = dict.fromkeys(MESSAGES.column_names)
    row |= {"platform": "MESSENGER", "page_id": "100", "conversation_id": "t_1", "message_id": f"m_{number}"}
    return row | {"created_time": NOON, "text": "hello", "content_status": AVAILABLE} | values


def conversation(number=1, **values):
    row = dict.fromkeys(CONVERSATIONS.column_names)
    row |= {"platform": "MESSENGER", "page_id": "100", "conversation_id": f"t_{number}", "status": "complete"}
    return row | {"messages_extracted": 0, "messages_unavailable": 0, "updated_time": NOON} | values


def gap(number=1, **values):
    row = dict.fromkeys(CONVERSATION_GAPS.column_names)
    row |= {"platform": "MESSENGER", "page_id": "100", "folders": "", "user_id": "", "window_id": "begin_x"}
    row |= {"status": "unreadable", "reason_code": "refused", "reason": "why", "window_until": NOON}
    return row | {"conversation_id": f"t_{number}"} | values


def window(number=1, **values):
    row = dict.fromkeys(EXTRACTION_WINDOWS.column_names)
    row |= {"platform": "MESSENGER", "page_id": "100", "folders": "", "user_id": "", "window_id": f"begin_{number}"}
    row |= {"status": "complete", "window_until": at(11), "left_out_fields": ["reactions"]}
    found = ("conversations", "messages", "messages_unavailable", "incomplete_conversations")
    cost = ("calls", "rate_limit_waits", "rate_limit_wait_seconds")
    return row | dict.fromkeys((*found, *cost), 0) | values


MAKE = {"messages": message, "conversations": conversation, "conversation_gaps": gap, "extraction_windows": window}


def at(hour):
    return f"2026-11-20T{hour:02d}:00:00+00:00"


def counts(**tables):
    """Counts of all tables: those given, and 0 for the others."""
    return {table.name: 0 for table in TABLES} | tables


def results(**tables):
    return {table.name: TableResult() for table in TABLES} | tables


def result(staged, inserted=0, updated=0, unchanged=0):
    return TableResult(staged, inserted, updated, unchanged)


class Files:
    """Writes rows to files in a folder and returns what a manifest would say about them.

    Each file belongs to its own run, a second after the previous one; rows without a time of extraction get the run's.
    """

    def __init__(self, folder):
        self.folder = folder
        self.number = 0

    def __call__(self, *rows, table=MESSAGES, file_format="ndjson", claimed=None):
        self.number += 1
        extracted = {"extracted_time": f"2026-11-21T00:{self.number // 60:02d}:{self.number % 60:02d}+00:00"}
        dated = [row if row["extracted_time"] else row | extracted for row in rows]
        ending = {"ndjson": "ndjson.gz", "parquet": "parquet"}[file_format]
        path = self.folder / f"{table.name}-{self.number:05d}.{ending}"
        if file_format == "ndjson":
            path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in dated).encode(), 1))
        else:
            _write_parquet(path, table, dated)
        return SourceFile(str(path), table.name, file_format, len(dated) if claimed is None else claimed)


def _write_parquet(path, table, rows):
    import pyarrow
    import pyarrow.parquet

    types = {ColumnType.INTEGER: pyarrow.int64(), ColumnType.BOOLEAN: pyarrow.bool_()}
    types |= {ColumnType.TIMESTAMP: pyarrow.timestamp("us", tz="UTC")}
    arrays = {}
    for column in table.columns:
        values = [row[column.name] for row in rows]
        if column.type is ColumnType.JSON:
            values = [None if value is None else json.dumps(value) for value in values]
        if column.type is ColumnType.TIMESTAMP:
            values = [None if value is None else datetime.fromisoformat(value).astimezone(UTC) for value in values]
        arrays[column.name] = pyarrow.array(values, types.get(column.type, pyarrow.string()))
    pyarrow.parquet.write_table(pyarrow.table(arrays), path)


def partitioned(folder):
    """A new folder in this one that looks like a real one; its "platform=messenger" must not be read as a column."""
    new = folder / "platform=messenger" / "page_id=999" / "window=begin_20261121T000000Z"
    new.mkdir(parents=True)
    return new


class WarehouseContract:
    @pytest.fixture
    def warehouse(self):
        """The open warehouse, empty."""
        raise NotImplementedError

    @pytest.fixture
    def mixing_warehouse(self):
        """A function that opens the same warehouse so that it mixes privacy policies."""
        raise NotImplementedError

    @pytest.fixture
    def read_rows(self):
        """A function that returns all rows of a table as dicts, in the form of the files, ordered by key."""
        raise NotImplementedError

    @pytest.fixture
    def rows_of(self, read_rows):
        """The same without the time of extraction, which files add to rows that have none."""
        return lambda table_name: [row | {"extracted_time": None} for row in read_rows(table_name)]

    @pytest.fixture
    def files(self, tmp_path):
        return Files(partitioned(tmp_path))

    @pytest.fixture
    def holding(self, warehouse, files, rows_of):
        """A warehouse that holds one message, and ``rows_of`` for it. Loads that must change nothing can share it."""
        warehouse.load([files(message(text="held"))])
        return warehouse, rows_of

    def test_no_files_and_a_file_without_rows_change_nothing(self, warehouse, files, rows_of):
        assert warehouse.load([]).tables == results()
        assert warehouse.load([files()]).tables == results()
        assert rows_of("messages") == []

    @pytest.mark.parametrize("claimed", [0, 1, 3])
    @pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
    def test_a_wrong_row_count_changes_nothing(self, holding, files, claimed, table):
        warehouse, rows_of = holding
        sources = [
            files(
                *(MAKE[each.name](number) for number in (1, 2)), table=each, claimed=claimed if each is table else None
            )
            for each in TABLES
        ]
        with pytest.raises(RowCountError, match=f"table {table.name} hold 2 rows, but their manifests say {claimed}"):
            warehouse.load(sources)
        assert ([message(text="held")], []) == (rows_of("messages"), rows_of("conversations"))

    @pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
    @pytest.mark.parametrize("damage", ["cut", "rubbish", "empty", "missing"])
    def test_a_broken_file_changes_nothing(self, holding, files, file_format, damage):
        warehouse, rows_of = holding
        good = files(message(2))
        bad = files(*(conversation(n) for n in range(50)), table=CONVERSATIONS, file_format=file_format)
        _damage(bad.uri, damage)
        with pytest.raises(SourceFileError) as caught:
            warehouse.load([good, bad])
        assert ([message(text="held")], []) == (rows_of("messages"), rows_of("conversations"))
        assert "run the extract task again" in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1

    @pytest.mark.parametrize(
        "wrong", [{"created_time": "secret words"}, {"message_id": None}, {"content_status": None}]
    )
    def test_an_invalid_row_changes_nothing_and_is_not_quoted(self, holding, files, wrong):
        warehouse, rows_of = holding
        with pytest.raises(SourceFileError) as caught:
            warehouse.load([files(message(2), message(3, text="secret words", **wrong))])
        assert rows_of("messages") == [message(text="held")]
        assert "secret" not in str(caught.value)
        # A traceback would print the original error.
        assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)

    @pytest.mark.parametrize(("table", "file_format"), [("users", "ndjson"), ("messages", "csv")])
    def test_an_unknown_table_or_format_is_rejected(self, warehouse, files, table, file_format):
        with pytest.raises(
            SourceFileError,
            match=r"must be one of conversation_gaps, conversations, .*, messages, the format one of ndjson, parquet",
        ):
            warehouse.load([SourceFile(files(message()).uri, table, file_format, 1)])

    def test_privacy_policies_and_keys_are_not_mixed(self, warehouse, files, read_rows, mixing_warehouse):
        """Also not with files and tables of releases without policies, which are full."""
        hashed = {"privacy_policy": "metadata", "privacy_key_id": "0123"}
        pseudonymous = files(window(1, **hashed), table=EXTRACTION_WINDOWS)
        others = [
            [files(message())],
            [files(window(2), table=EXTRACTION_WINDOWS)],
            [files(window(3, **hashed | {"privacy_key_id": "4567"}), table=EXTRACTION_WINDOWS)],
        ]
        warehouse.load([pseudonymous])
        for other in others:
            with pytest.raises(PolicyConflictError, match=r"metadata \(key 0123\).*: load into other tables"):
                warehouse.load([*other, files(message(2))])
        assert (len(read_rows("extraction_windows")), read_rows("messages")) == (1, [])
        warehouse.load([files(window(4, **hashed), table=EXTRACTION_WINDOWS), files(message(3))])
        with mixing_warehouse() as mixing:
            mixing.load([file for other in others for file in other])
        assert len(read_rows("extraction_windows")) == 4

    def test_missing_counts_absent_keys(self, warehouse, files, rows_of):
        loaded, other = files(message(1), message(2)), files(message(2), message(3), message(3), message(4))
        threads = files(conversation(), table=CONVERSATIONS)
        assert counts(messages=4, conversations=1) == warehouse.missing([loaded, other, threads])
        warehouse.load([loaded])
        assert counts() == warehouse.missing([loaded])
        assert counts(messages=2, conversations=1) == warehouse.missing([loaded, other, threads])
        assert (len(rows_of("messages")), rows_of("conversations")) == (2, [])


def _damage(path, damage):
    from pathlib import Path

    data = Path(path).read_bytes()
    match damage:
        case "cut":
            Path(path).write_bytes(data[: len(data) // 2])
        case "rubbish":
            Path(path).write_bytes(b"rubbish" * 100)
        case "empty":
            Path(path).write_bytes(b"")
        case "missing":
            Path(path).unlink()

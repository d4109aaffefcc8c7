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
NASTY_TEXTS = [
    "👩‍👩‍👧‍👦 emoji",
    "\u202e\u05de\u05d9\u05de\u05d9\u05df right to left",
    "a\ufffdb",
    "'; DROP TABLE messages; --",
    '"quoted" \\ back\\u0000slash \\ud83d',
    "line\nbreak\ttab\r",
    "x" * 100_000,
    "\u2028\u2029\ufeff",
    "null",
    "{columns} $files %s ?",
]


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
        # The folder looks like a real one; its "platform=messenger" must not be read as a column.
        folder = tmp_path / "platform=messenger" / "page_id=999" / "window=begin_20261121T000000Z"
        folder.mkdir(parents=True)
        return Files(folder)

    @pytest.fixture
    def holding(self, warehouse, files, rows_of):
        """A warehouse that holds one message, and ``rows_of`` for it. Loads that must change nothing can share it."""
        warehouse.load([files(message(text="held"))])
        return warehouse, rows_of

    @pytest.fixture
    def texts(self, rows_of):
        return lambda: {row["message_id"]: row["text"] for row in rows_of("messages")}

    def test_rows_are_loaded_unchanged(self, warehouse, files, rows_of):
        values = {
            "direction": "inbound",
            "sender_id": "7",
            "recipients": [{"id": "100", "name": "Café"}],
            "attachments": [{"size": 12345678901234567890123, "ratio": 1.0, "none": None}],
            "tags": [],
            "reply_to": {"mid": "m_0", "is_self_reply": False},
            "extra": {"thread_id": "t_1", "nested": [True, None]},
            "created_time": "2026-11-20T12:00:00.123456+00:00",
        }
        row = message(**values)
        warehouse.load([files(row), files(conversation(), table=CONVERSATIONS)])
        expected = conversation(messages_extracted=1)
        assert ([row], [expected]) == (rows_of("messages"), rows_of("conversations"))

    def test_loading_is_idempotent(self, warehouse, files, rows_of):
        sources = [files(message(1), message(2, tags=["inbox"]))]
        sources += [files(MAKE[table.name](), table=table) for table in TABLES[1:]]
        first = warehouse.load(sources).tables
        before = [rows_of(table.name) for table in TABLES]
        second = warehouse.load(sources).tables
        others = [table.name for table in TABLES[1:]]
        assert results(messages=result(2, inserted=2), **dict.fromkeys(others, result(1, inserted=1))) == first
        assert results(messages=result(2, unchanged=2), **dict.fromkeys(others, result(1, unchanged=1))) == second
        assert before == [rows_of(table.name) for table in TABLES]

    def test_ledger_rows_are_loaded_unchanged(self, warehouse, files, rows_of):
        expected = gap() | dict.fromkeys(("messages_known", "messages_extracted", "messages_unavailable"), 0)
        for file_format in ("ndjson", "parquet"):
            warehouse.load(
                [
                    files(gap(), table=CONVERSATION_GAPS, file_format=file_format),
                    files(window(), table=EXTRACTION_WINDOWS, file_format=file_format),
                ]
            )
            assert ([expected], [window()]) == (rows_of("conversation_gaps"), rows_of("extraction_windows"))

    def test_loading_no_files_changes_nothing(self, warehouse):
        assert {table.name: TableResult() for table in TABLES} == warehouse.load([]).tables

    def test_a_file_without_rows_is_valid(self, warehouse, files, rows_of):
        assert TableResult() == warehouse.load([files()]).tables["messages"]
        assert rows_of("messages") == []

    def test_unusual_text_is_preserved(self, warehouse, files, texts):
        warehouse.load([files(*(message(number, text=text) for number, text in enumerate(NASTY_TEXTS)))])
        assert [texts()[f"m_{number}"] for number in range(len(NASTY_TEXTS))] == NASTY_TEXTS

    def test_both_formats_give_the_same_rows(self, warehouse, files, rows_of):
        nested = {"b": 1.0, "a": [1e300, -0.0, 12345678901234567890123, "é\u2028/\\", None, True, {}]}
        rows = [message(number, text=text, shares=[nested]) for number, text in enumerate(NASTY_TEXTS)]
        warehouse.load([files(*rows)])
        before = rows_of("messages")
        again = warehouse.load([files(*rows, file_format="parquet")]).tables["messages"]
        assert (result(len(rows), unchanged=len(rows)), before) == (again, rows_of("messages"))

    def test_a_load_can_mix_formats_and_the_latest_file_wins(self, warehouse, files, texts):
        order = ["ndjson", "parquet", "parquet", "ndjson", "parquet"]
        sources = [
            files(message(text=f"version {number}"), file_format=file_format)
            for number, file_format in enumerate(order)
        ]
        outcome = warehouse.load(sources).tables["messages"]
        assert (result(5, inserted=1), 4) == (outcome, outcome.duplicates)
        assert texts() == {"m_1": "version 4"}

    @pytest.mark.parametrize("at_once", [True, False], ids=["one load", "two loads"])
    def test_the_richer_version_of_a_message_wins(self, warehouse, files, texts, at_once):
        """All cases in the same loads, one message each: a load of BigQuery takes seconds."""
        cases = [
            ((UNAVAILABLE, None), (AVAILABLE, "text"), "text"),
            ((UNSUPPORTED, None), (AVAILABLE, "text"), "text"),
            ((UNAVAILABLE, "old"), (UNSUPPORTED, None), None),
            ((AVAILABLE, "text"), (UNAVAILABLE, None), "text"),
            ((AVAILABLE, "text"), (UNSUPPORTED, "other"), "text"),
            ((AVAILABLE, "text"), ("unheard of", "other"), "text"),
            ((AVAILABLE, "text"), (AVAILABLE, "edited"), "edited"),
            ((AVAILABLE, "text"), (AVAILABLE, None), "text"),
            ((AVAILABLE, "text"), (AVAILABLE, ""), "text"),
        ]
        sources = [
            files(*(message(n, content_status=status, text=text) for n, (status, text) in enumerate(versions)))
            for versions in ([first for first, _, _ in cases], [second for _, second, _ in cases])
        ]
        for group in [sources] if at_once else [[source] for source in sources]:
            warehouse.load(group)
        assert texts() == {f"m_{n}": expected for n, (_, _, expected) in enumerate(cases)}

    def test_a_message_is_replaced_only_by_an_equal_or_richer_version(self, warehouse, files, read_rows):
        """All cases in the same two loads, one message each."""
        love = [{"reaction": "love"}]
        rich = {"attachments": [{"id": "1"}], "sender_id": "7", "reactions": love}
        kept: Versions = {
            "poorer": (rich, {"content_status": UNAVAILABLE, "text": None}),
            "without attachments": ({"text": "", "attachments": [{"id": "1"}]}, {"text": ""}),
            "identical": ({}, {}),
        }
        replaced: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
            "equal": ({"reactions": love}, {"reactions": None, "text": "edited"})
        }
        cases = kept | replaced
        before = {name: message(name, extracted_time=at(10), **old) for name, (old, _) in cases.items()}
        after = {name: message(name, extracted_time=at(11), **new) for name, (_, new) in cases.items()}
        warehouse.load([files(*before.values())])
        outcome = warehouse.load([files(*after.values())]).tables
        assert outcome == results(messages=result(4, updated=1, unchanged=3))
        expected = before | {name: after[name] for name in replaced}
        assert {row["message_id"]: row for row in read_rows("messages")} == {
            row["message_id"]: row for row in expected.values()
        }

    def test_the_later_conversation_wins_and_its_time_range_grows(self, warehouse, files, rows_of):
        first = conversation(
            updated_time=at(10), message_count=5, oldest_message_time=at(8), newest_message_time=at(10)
        )
        older = conversation(updated_time=at(9), message_count=3, oldest_message_time=at(3), newest_message_time=at(4))
        newer = conversation(
            updated_time=at(12), message_count=9, oldest_message_time=at(11), newest_message_time=at(12)
        )
        expected = newer | {"oldest_message_time": at(3), "newest_message_time": at(12)}
        for row, seen in ((first, first), (older, first | {"oldest_message_time": at(3)}), (newer, expected)):
            warehouse.load([files(row, table=CONVERSATIONS)])
            assert rows_of("conversations") == [seen]

    def test_the_folder_that_was_seen_last_is_kept(self, warehouse, files, rows_of):
        """In any order, also by a later version that was read from no folder's list, in one load or several."""
        versions = [
            {"updated_time": at(10), "folder": "inbox", "folder_time": at(10)},
            {"updated_time": at(11), "folder": "page_done", "folder_time": at(11), "can_reply": True},
            {"updated_time": at(12), "unread_count": 1, "can_reply": False, "is_subscribed": True, "link": "/1/"},
        ]
        orders = [(0, 1, 2), (2, 1, 0), (1, 0, 2)]
        steps = [
            files(*(conversation(n, **versions[order[step]]) for n, order in enumerate(orders)), table=CONVERSATIONS)
            for step in range(3)
        ]
        for group in [steps[:2], steps[2:], steps[2:]]:
            outcome = warehouse.load(group).tables["conversations"]
        assert (outcome.inserted, outcome.updated) == (0, 0)
        kept = versions[2] | {"folder": "page_done", "folder_time": at(11)}
        assert rows_of("conversations") == [conversation(n, **kept) for n in range(len(orders))]

    @pytest.mark.parametrize("at_once", [True, False], ids=["one load", "two loads"])
    def test_between_equal_versions_the_later_extraction_wins(self, warehouse, files, read_rows, at_once):
        """Of the first message and conversation the older version is loaded first, of the second the newer one."""

        def read_at(hours):
            messages = (message(n, text=f"at {hour}", extracted_time=at(hour)) for n, hour in hours.items())
            threads = (conversation(n, message_count=hour, extracted_time=at(hour)) for n, hour in hours.items())
            return [files(*messages), files(*threads, table=CONVERSATIONS)]

        sources = [read_at({1: 10, 2: 11}), read_at({1: 11, 2: 10})]
        for group in [[*sources[0], *sources[1]]] if at_once else sources:
            warehouse.load(group)
        kept = [(row["text"], row["extracted_time"]) for row in read_rows("messages")]
        threads = [(row["message_count"], row["extracted_time"]) for row in read_rows("conversations")]
        assert (kept, threads) == ([("at 11", at(11))] * 2, [(11, at(11))] * 2)

    def test_conversation_order_within_a_load_does_not_matter(self, warehouse, files, rows_of):
        rows = [
            conversation(updated_time=at(hour), message_count=hour, oldest_message_time=at(hour)) for hour in (9, 12, 3)
        ]
        outcome = warehouse.load([files(row, table=CONVERSATIONS) for row in rows]).tables["conversations"]
        assert (result(3, inserted=1), 2) == (outcome, outcome.duplicates)
        assert rows_of("conversations") == [rows[1] | {"oldest_message_time": at(3)}]

    @pytest.mark.parametrize("at_once", [True, False], ids=["one load", "two loads"])
    def test_a_conversation_is_replaced_only_by_a_version_as_new(self, warehouse, files, rows_of, at_once):
        """Of versions with the same time, or both without one, the newly loaded wins."""
        before = [conversation(1), conversation(2, updated_time=None), conversation(3)]
        after = [
            conversation(1, message_count=5),
            conversation(2, updated_time=None, message_count=5),
            conversation(3, updated_time=None, message_count=5),
        ]
        sources = [files(*rows, table=CONVERSATIONS) for rows in (before, after)]
        for group in [sources] if at_once else [[source] for source in sources]:
            warehouse.load(group)
        assert rows_of("conversations") == [after[0], after[1], before[2]]

    def test_each_full_key_is_stored_once(self, warehouse, files, rows_of):
        rows = [message(), message(platform="INSTAGRAM"), message(page_id="200"), message(2)]
        warehouse.load([files(*rows, *rows), files(*rows, file_format="parquet")])
        keys = [tuple(row[name] for name in MESSAGES.key) for row in rows_of("messages")]
        assert sorted({tuple(row[name] for name in MESSAGES.key) for row in rows}) == keys

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
        assert counts(messages=2, conversations=0) == warehouse.missing([loaded, other])
        warehouse.load([other])
        assert counts(messages=0, conversations=1) == warehouse.missing([loaded, other, threads])
        assert (len(rows_of("messages")), rows_of("conversations")) == (4, [])


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

"""What every warehouse keeps: each row as it is, and of several versions of a row the right one."""

import pytest

from airflow_provider_metaconv.schema import (
    CONVERSATION_GAPS,
    CONVERSATIONS,
    EXTRACTION_WINDOWS,
    MESSAGES,
    TABLES,
)
from tests.integration.warehouse.shared_loads import Rows, SharedContract, SharedLoads
from tests.integration.warehouse.warehouse_contract import (
    AVAILABLE,
    UNAVAILABLE,
    UNSUPPORTED,
    Versions,
    at,
    conversation,
    gap,
    message,
    window,
)

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


def messages(*rows, **options):
    return Rows(MESSAGES, rows, **options)


def conversations(*rows, **options):
    return Rows(CONVERSATIONS, rows, **options)


def at_once_or_not(name, *loads):
    """The same files in one load and in several."""
    return {f"{name}, several loads": loads, f"{name}, one load": [[source for load in loads for source in load]]}


FULL = message(
    direction="inbound",
    sender_id="7",
    recipients=[{"id": "100", "name": "Café"}],
    attachments=[{"size": 12345678901234567890123, "ratio": 1.0, "none": None}],
    tags=[],
    reply_to={"mid": "m_0", "is_self_reply": False},
    extra={"thread_id": "t_1", "nested": [True, None]},
    created_time="2026-11-20T12:00:00.123456+00:00",
)
NESTED = {"b": 1.0, "a": [1e300, -0.0, 12345678901234567890123, "é\u2028/\\", None, True, {}]}
NASTY = [message(number, text=text, shares=[NESTED]) for number, text in enumerate(NASTY_TEXTS)]

RICHER = {
    "unavailable, then available": ((UNAVAILABLE, None), (AVAILABLE, "text"), "text"),
    "unsupported, then available": ((UNSUPPORTED, None), (AVAILABLE, "text"), "text"),
    "unavailable, then unsupported": ((UNAVAILABLE, "old"), (UNSUPPORTED, None), None),
    "available, then unavailable": ((AVAILABLE, "text"), (UNAVAILABLE, None), "text"),
    "available, then unsupported": ((AVAILABLE, "text"), (UNSUPPORTED, "other"), "text"),
    "available, then unheard of": ((AVAILABLE, "text"), ("unheard of", "other"), "text"),
    "edited": ((AVAILABLE, "text"), (AVAILABLE, "edited"), "edited"),
    "then without text": ((AVAILABLE, "text"), (AVAILABLE, None), "text"),
    "then with empty text": ((AVAILABLE, "text"), (AVAILABLE, ""), "text"),
}
"""Two versions of a message, and the text that is kept."""

LOVE = [{"reaction": "love"}]
KEPT: Versions = {
    "a poorer version": (
        {"attachments": [{"id": "1"}], "sender_id": "7", "reactions": LOVE},
        {"content_status": UNAVAILABLE, "text": None},
    ),
    "a version without attachments": ({"text": "", "attachments": [{"id": "1"}]}, {"text": ""}),
    "an identical version": ({}, {}),
}
"""Two versions of a message, of which the first is kept whole."""

REPLACED: Versions = {"an equally rich version": ({"reactions": LOVE}, {"reactions": None, "text": "edited"})}
"""Two versions of a message, of which the second is kept whole."""

TIMES = ("updated_time", "oldest_message_time", "newest_message_time")
CONVERSATION_VERSIONS = [
    conversation(message_count=count, **dict(zip(TIMES, map(at, hours), strict=True)))
    for count, hours in ((5, (10, 8, 10)), (3, (9, 3, 4)), (9, (12, 11, 12)))
]

FOLDERS = [
    {"updated_time": at(10), "folder": "inbox", "folder_time": at(10)},
    {"updated_time": at(11), "folder": "page_done", "folder_time": at(11), "can_reply": True},
    {"updated_time": at(12), "unread_count": 1, "can_reply": False, "is_subscribed": True, "link": "/1/"},
]
"""Versions of a conversation; the last was read from no folder's list."""

FOLDER_ORDERS = [(0, 1, 2), (2, 1, 0), (1, 0, 2)]
FOLDER_STEPS = [
    conversations(*(conversation(n, **FOLDERS[order[step]]) for n, order in enumerate(FOLDER_ORDERS)))
    for step in range(3)
]


def read_at(*hours):
    """A message and a conversation for each hour at which they were read."""
    numbered = list(enumerate(hours))
    return [
        messages(*(message(n, text=f"at {hour}", extracted_time=at(hour)) for n, hour in numbered)),
        conversations(*(conversation(n, message_count=hour, extracted_time=at(hour)) for n, hour in numbered)),
    ]


NO_TIME = {"updated_time": None}
AS_NEW = (
    [conversation(1), conversation(2, **NO_TIME), conversation(3)],
    [conversation(n, message_count=5, **values) for n, values in ((1, {}), (2, NO_TIME), (3, NO_TIME))],
)
UNORDERED = [
    conversation(updated_time=at(hour), message_count=hour, oldest_message_time=at(hour)) for hour in (9, 12, 3)
]
EACH_KEY = [message(), message(2), message(platform="INSTAGRAM")]
FORMATS = ["ndjson", "parquet", "parquet", "ndjson", "parquet"]

CASES = {
    "full": [[messages(FULL), conversations(conversation())]],
    "ledger": [
        [
            Rows(CONVERSATION_GAPS, (gap(),), file_format=file_format),
            Rows(EXTRACTION_WINDOWS, (window(),), file_format=file_format),
        ]
        for file_format in ("ndjson", "parquet")
    ],
    "both formats": [[messages(*NASTY)], [messages(*NASTY, file_format="parquet")]],
    **{
        case: loads
        for name, (*versions, _) in RICHER.items()
        for case, loads in at_once_or_not(
            name, *([messages(message(content_status=status, text=text))] for status, text in versions)
        ).items()
    },
    **{
        name: [[messages(message(extracted_time=at(10 + number), **each))] for number, each in enumerate(versions)]
        for name, versions in (KEPT | REPLACED).items()
    },
    "mixed formats": [
        [
            source(row, file_format=file_format)
            for number, file_format in enumerate(FORMATS)
            for source, row in ((messages, message(text=f"{number}")), (conversations, conversation(link=f"/{number}")))
        ]
    ],
    "later conversation": [[conversations(row)] for row in CONVERSATION_VERSIONS],
    "folders": [FOLDER_STEPS[:2], FOLDER_STEPS[2:]],
    **at_once_or_not("read at", read_at(10, 11), read_at(11, 10)),
    **at_once_or_not("as new", *([conversations(*rows)] for rows in AS_NEW)),
    "unordered": [[conversations(row) for row in UNORDERED]],
    "each key": [[messages(*EACH_KEY, *EACH_KEY), messages(*EACH_KEY, file_format="parquet")]],
}
"""The loads of each case; each load is several files."""

LOADS = ["one load", "several loads"]


class RowsContract(SharedContract):
    @pytest.fixture(scope="class")
    @classmethod
    def loaded(cls, shared):
        return SharedLoads(CASES, *shared)

    @pytest.fixture
    def rows(self, loaded):
        """The rows of a case as they were written: on Page 100, and without the time of extraction."""
        as_written = {"page_id": "100", "extracted_time": None}
        return lambda *case: [row | as_written for row in loaded.rows(*case)]

    def test_rows_are_loaded_unchanged(self, rows):
        assert rows("full", "messages") == [FULL]
        assert rows("full", "conversations") == [conversation(messages_extracted=1)]

    @pytest.mark.parametrize("load", [0, 1], ids=["ndjson", "parquet"])
    def test_ledger_rows_are_loaded_unchanged(self, rows, load):
        counted = dict.fromkeys(("messages_known", "messages_extracted", "messages_unavailable"), 0)
        assert rows("ledger", "conversation_gaps", load) == [gap() | counted]
        assert rows("ledger", "extraction_windows", load) == [window()]

    def test_unusual_text_is_preserved(self, rows):
        assert rows("both formats", "messages", 0) == NASTY

    def test_both_formats_give_the_same_rows(self, loaded):
        """What is replaced would have a later time of extraction."""
        ndjson, parquet = (loaded.rows("both formats", "messages", load) for load in (0, 1))
        assert len(ndjson) == len(NASTY)
        assert ndjson == parquet

    @pytest.mark.parametrize("loads", LOADS)
    @pytest.mark.parametrize("versions", RICHER)
    def test_the_richer_version_of_a_message_wins(self, loaded, versions, loads):
        assert loaded.row(f"{versions}, {loads}", "messages")["text"] == RICHER[versions][-1]

    def test_the_later_conversation_wins_and_its_time_range_grows(self, rows):
        first, _, newer = CONVERSATION_VERSIONS
        since = {"oldest_message_time": at(3)}
        for load, expected in enumerate((first, first | since, newer | since)):
            assert rows("later conversation", "conversations", load) == [expected]

    def test_the_folder_that_was_seen_last_is_kept(self, rows):
        """In any order, also by a later version that was read from no folder's list, in one load or several."""
        kept = FOLDERS[2] | {"folder": "page_done", "folder_time": at(11)}
        assert rows("folders", "conversations") == [conversation(n, **kept) for n in range(len(FOLDER_ORDERS))]

    @pytest.mark.parametrize("loads", LOADS)
    def test_between_equal_versions_the_later_extraction_wins(self, loaded, loads):
        """Of the first message and conversation the older version is loaded first, of the second the newer one."""
        kept = [(row["text"], row["extracted_time"]) for row in loaded.rows(f"read at, {loads}", "messages")]
        threads = [
            (row["message_count"], row["extracted_time"]) for row in loaded.rows(f"read at, {loads}", "conversations")
        ]
        assert (kept, threads) == ([("at 11", at(11))] * 2, [(11, at(11))] * 2)

    def test_conversation_order_within_a_load_does_not_matter(self, rows):
        assert rows("unordered", "conversations") == [UNORDERED[1] | {"oldest_message_time": at(3)}]

    @pytest.mark.parametrize("loads", LOADS)
    def test_a_conversation_is_replaced_only_by_a_version_as_new(self, rows, loads):
        """Of versions with the same time, or both without one, the newly loaded wins."""
        before, after = AS_NEW
        assert rows(f"as new, {loads}", "conversations") == [after[0], after[1], before[2]]

    def test_each_full_key_is_stored_once(self, rows):
        """All cases have the same message on another Page."""
        kept = [(row["platform"], row["message_id"]) for row in rows("each key", "messages")]
        assert kept == [("INSTAGRAM", "m_1"), ("MESSENGER", "m_1"), ("MESSENGER", "m_2")]

    @pytest.mark.parametrize("versions", KEPT | REPLACED)
    def test_a_message_is_replaced_whole_by_an_equal_or_richer_version(self, loaded, versions):
        hour, values = (10, KEPT[versions][0]) if versions in KEPT else (11, REPLACED[versions][1])
        expected = message(page_id=versions, extracted_time=at(hour), **values)
        assert loaded.rows(versions, "messages") == [expected]

    def test_files_of_both_formats_are_one_load_in_which_the_latest_wins(self, rows):
        assert [row["text"] for row in rows("mixed formats", "messages")] == ["4"]
        assert [row["link"] for row in rows("mixed formats", "conversations")] == ["/4"]

    @pytest.mark.parametrize("load", range(max(map(len, CASES.values()))))
    def test_a_load_says_how_many_rows_it_changed(self, loaded, load):
        assert loaded.results[load] == loaded.counted[load]

    def test_reloading_rows_changes_nothing(self, loaded):
        assert loaded.changed_by_loading_again() == set()

    def test_every_table_is_loaded(self):
        assert {source.table for loads in CASES.values() for load in loads for source in load} == set(TABLES)

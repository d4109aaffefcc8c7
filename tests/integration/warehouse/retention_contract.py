"""What every warehouse guarantees about removing old messages."""

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_metaconv.schema import CONVERSATION_GAPS, CONVERSATIONS, EXTRACTION_WINDOWS, TABLES
from tests.integration.warehouse.warehouse_contract import UNAVAILABLE, at, conversation, counts, gap, message, window

CUTOFF = datetime(2026, 11, 20, tzinfo=UTC)
MIDNIGHT = "2026-11-20T00:00:00+00:00"
RETENTION = timedelta(days=30)


def before(hours):
    return (CUTOFF - timedelta(hours=hours)).isoformat()


def unreadable(number, **values):
    return conversation(number, status="unreadable", reason_code="refused", reason="why", **values)


def files_of_the_world(files):
    """A conversation that stays, one that loses messages, one that goes, and some of which nothing could be read.

    One of those was read later, on Instagram, by a window that begins with what is kept.
    """
    extracted = {"extracted_time": at(23)}
    messages = [
        message("new", conversation_id="t_new", created_time=at(12)),
        message("first", conversation_id="t_both", created_time=MIDNIGHT),
        message("last old", conversation_id="t_both", created_time="2026-11-19T23:59:59+00:00"),
        message("old gap", conversation_id="t_both", created_time=before(30), content_status=UNAVAILABLE),
        message("old", conversation_id="t_old", created_time=before(48)),
    ]
    threads = [
        conversation("new", updated_time=at(12), oldest_message_time=at(12), newest_message_time=at(12)),
        conversation("both", updated_time=MIDNIGHT, oldest_message_time=before(30), newest_message_time=MIDNIGHT),
        conversation("old", updated_time=before(48), oldest_message_time=before(48), newest_message_time=before(48)),
        unreadable("refused", updated_time=at(13)),
        unreadable("refused old", updated_time=before(2)),
        unreadable("refused just before", updated_time=before(0.5)),
        unreadable("unknown", updated_time=None, window_until=at(1)),
        unreadable("unknown old", updated_time=None, window_until=before(2)),
        unreadable("reread", platform="INSTAGRAM", extracted_time=at(20)),
        conversation("reread", platform="INSTAGRAM", extracted_time=at(21)),
    ]
    history = extracted | {"window_id": "begin_1", "window_until": at(20)}
    earlier = extracted | {"window_id": "earlier", "window_since": before(50), "window_until": MIDNIGHT}
    all_time = {"window_id": "begin_2", "window_until": at(20), "extracted_time": at(20)}
    kept = {"window_id": "kept", "window_since": MIDNIGHT, "window_until": at(21), "extracted_time": at(21)}
    unavailable = {"status": "complete", "reason_code": "content_unavailable", "messages_unavailable": 1}
    gaps = [
        gap("both", **history, **unavailable),
        gap("old", **history),
        gap("refused", **history),
        gap("refused", **earlier),
        gap("refused old", **history),
        gap("unknown", **history),
        gap("unknown old", **earlier),
        gap("reread", platform="INSTAGRAM", **all_time),
    ]
    windows = [
        window(**history),
        window(**earlier),
        window(**extracted, window_id="partial", window_since=before(50), window_until=before(40), status="partial"),
        window(**extracted, window_id="person", user_id="7", window_since=before(50), window_until=before(40)),
        window(**extracted, window_id="person now", user_id="7", window_since=before(50), window_until=at(2)),
        window(**extracted, window_id="new", window_since=at(1), window_until=at(2)),
        window(platform="INSTAGRAM", **all_time),
        window(platform="INSTAGRAM", **kept),
    ]
    tables = {CONVERSATIONS: threads, CONVERSATION_GAPS: gaps, EXTRACTION_WINDOWS: windows}
    return [files(*messages), *(files(*rows, table=table) for table, rows in tables.items())]


def _id(table, row):
    return "/".join(filter(None, (row[name] for name in table.key[2:])))


class RetentionContract:
    @pytest.fixture
    def warehouse_without_tables(self, warehouse):
        return warehouse

    @pytest.fixture
    def read_all(self, read_rows):
        """A function that returns all rows by table and ID."""
        return lambda: {table.name: {_id(table, row): row for row in read_rows(table.name)} for table in TABLES}

    def test_old_messages_leave_with_what_only_they_concern(self, warehouse, files, read_all):
        warehouse.load(files_of_the_world(files))
        expected = read_all()
        for name in ("m_last old", "m_old gap", "m_old"):
            del expected["messages"][name]
        for name in ("t_old", "t_refused old", "t_unknown old"):
            del expected["conversations"][name]
        for name in ("begin_1/t_old", "earlier/t_refused", "begin_1/t_refused old", "earlier/t_unknown old"):
            del expected["conversation_gaps"][name]
        for name in ("partial", "7/person"):
            del expected["extraction_windows"][name]
        times = {"oldest_message_time": MIDNIGHT, "newest_message_time": MIDNIGHT}
        expected["conversations"]["t_both"] |= times | {"messages_unavailable": 0, "messages_extracted": 1}
        for row in expected["conversation_gaps"].values():
            row["window_since"] = MIDNIGHT
        read = {"messages_known": 1, "messages_extracted": 1, "messages_unavailable": 0}
        expected["conversation_gaps"]["begin_1/t_both"] |= read
        # Now the later window reads all that the earlier one did.
        assert expected["conversation_gaps"]["begin_2/t_reread"]["closed_by_window"] is None
        expected["conversation_gaps"]["begin_2/t_reread"]["closed_by_window"] = "kept"
        expected["conversations"]["t_reread"] |= {"status": "complete", "reason_code": None, "reason": None}
        for name in ("begin_1", "begin_2", "7/person now"):
            expected["extraction_windows"][name]["window_since"] = MIDNIGHT
        removed = counts(messages=3, conversations=3, conversation_gaps=4, extraction_windows=2)
        assert warehouse.remove_old(CUTOFF, RETENTION) == removed
        assert read_all() == expected
        assert warehouse.remove_old(CUTOFF, RETENTION, was_interrupted=True) == counts()
        assert read_all() == expected

    def test_there_are_no_old_messages_without_tables(self, warehouse_without_tables):
        assert warehouse_without_tables.remove_old(CUTOFF, RETENTION) == counts()

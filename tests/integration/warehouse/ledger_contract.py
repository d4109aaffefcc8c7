"""What every warehouse's ledger guarantees, one case per rule; the model tests all rules together."""

from dataclasses import dataclass

import pytest

from airflow_provider_metaconv.demo.places import LEDGER
from airflow_provider_metaconv.schema import (
    CONVERSATION_GAPS,
    CONVERSATIONS,
    EXTRACTION_WINDOWS,
    MESSAGES,
)
from tests.integration.warehouse.documented_queries import MISSED_BY_WINDOW, MISSING_TODAY, PARTIAL_WINDOWS
from tests.integration.warehouse.ledger_model import Extraction, OneTable, Seen, check_case, hour
from tests.integration.warehouse.shared_loads import SharedContract, SharedLoads

HERE = {1: "available", 2: "available"}
CUT = {1: "unavailable", 2: "available"}
WINDOW = "20261120T010000Z_20261120T030000Z"


def extraction(number, since=1, until=3, status="complete", folders="", **seen):
    return Extraction(number, folders, since, until, status, seen)


def truncated(messages=CUT, unplaced=0):
    return Seen("truncated_by_platform", messages, unplaced)


@dataclass(frozen=True)
class EarlierRelease:
    """The conversations of an extraction as a release wrote them that knew neither gaps nor a reason_code."""

    extraction: Extraction

    def files(self, write, page_id):
        rows = self.extraction.rows()[CONVERSATIONS]
        empty = dict.fromkeys(CONVERSATIONS.column_names)
        yield write(*(empty | row | {"reason_code": None, "page_id": page_id} for row in rows), table=CONVERSATIONS)


SECOND_READINGS = {
    "read again": (extraction(1, t_1=Seen("complete", HERE)), WINDOW),
    "read again without it": (extraction(1), WINDOW),
    "a history": (extraction(1, None, 3, t_1=Seen("complete", HERE)), "begin_20261120T030000Z"),
    "a wider window with another gap": (
        extraction(1, 0, 6, t_2=truncated({5: "available"})),
        "20261120T000000Z_20261120T060000Z",
    ),
    "a narrower window": (extraction(1, 1, 2, t_1=Seen("complete", {1: "available"})), None),
    "a partial window": (extraction(1, status="partial", t_1=Seen("complete", HERE)), None),
    "other folders": (extraction(1, folders="inbox", t_1=Seen("complete", HERE)), None),
    "a wider window with a gap there too": (extraction(1, 0, 6, t_1=truncated({5: "available"})), None),
    "an earlier reading": (extraction(-1, 0, 6, t_1=Seen("complete", HERE)), None),
}
"""What is read after a gap in ``WINDOW``, and the window that then closed the gap."""

PAST = {at: "available" if at > 2 else "unavailable" for at in range(4)}
HOURLY = [
    extraction(0, None, 4, t_1=truncated(PAST), t_2=Seen("complete", {0: "available", 3: "unavailable"})),
    extraction(1, 4, 5, t_1=Seen("complete", {4: "available"})),
    extraction(2, 5, 6, t_1=truncated({5: "unavailable"}), t_3=Seen("unreadable", {})),
    extraction(3, 5, 6, t_1=truncated({5: "unavailable"}), t_3=Seen("unreadable", {})),
]
"""A full history that Instagram truncated, then hour after hour, the last one read twice."""

ORDERS = {"in order": 1, "later first": -1}
GAP = extraction(0, t_1=truncated())
CASES = {
    **{
        f"{name}, {order}": [[GAP], [second]][::step]
        for name, (second, _) in SECOND_READINGS.items()
        for order, step in ORDERS.items()
    },
    **{
        f"partial, {order}": [[extraction(0)], [extraction(1, status="partial")]][::step]
        for order, step in ORDERS.items()
    },
    "closed several times": [
        [extraction(3, 0, 6, t_1=Seen("complete", HERE))],
        [GAP],
        [extraction(1, 0, 4, t_1=Seen("complete", HERE))],
    ],
    "content of another window": [[GAP], [extraction(1, 0, 2, t_1=Seen("complete", {1: "available"}))]],
    "messages without a row": [
        [extraction(0, t_1=truncated({1: "available"}, unplaced=3))],
        [extraction(1, 2, 3, t_1=Seen("complete", {2: "available"}))],
    ],
    "tables one by one": [
        [OneTable(GAP, table)] for table in (EXTRACTION_WINDOWS, CONVERSATION_GAPS, CONVERSATIONS, MESSAGES)
    ],
    "two gaps": [
        [extraction(0, 1, 2, t_1=Seen("unreadable", {})), extraction(1, 2, 3, t_1=truncated({2: "available"}))],
        [extraction(2, 1, 2)],
    ],
    **{f"{runs} of a history and its hours": [[each] for each in HOURLY[:runs]] for runs in range(1, 5)},
    "an earlier release": [[EarlierRelease(GAP)], [extraction(1, t_1=Seen("complete", HERE))]],
    "the demo": [[extraction(0, None, 3, status="partial", t_1=truncated())]],
}
"""The loads of each case; each load is several extractions or parts of them."""


class LedgerContract(SharedContract):
    @pytest.fixture(scope="class")
    @classmethod
    def played(cls, shared):
        return SharedLoads(CASES, *shared)

    @pytest.mark.parametrize("runs", range(1, 5))
    def test_queries_count_missing_content_after_each_window(self, played, runs):
        case = f"{runs} of a history and its hours"
        unavailable = sum(row["content_status"] == "unavailable" for row in played.rows(case, "messages"))
        missed, missing = (sum(row[-1] for row in played.ask(case, each)) for each in (MISSED_BY_WINDOW, MISSING_TODAY))
        assert (unavailable, missed, missing) == ((4, 4, 4), (4, 4, 4), (5, 5, 5), (5, 5, 5))[runs - 1]
        check_case(played, case, HOURLY[:runs])

    @pytest.mark.parametrize("order", ORDERS)
    @pytest.mark.parametrize("second", SECOND_READINGS)
    def test_a_gap_is_closed_by_a_later_complete_window_that_spans_it(self, played, second, order):
        case, (_, closed_by) = f"{second}, {order}", SECOND_READINGS[second]
        gaps = [
            row for row in played.rows(case, "conversation_gaps") if (row["window_id"], row["folders"]) == (WINDOW, "")
        ]
        assert [row["closed_by_window"] for row in gaps] == [closed_by]
        statuses = [row["status"] for row in played.rows(case, "conversations") if row["conversation_id"] == "t_1"]
        assert statuses == ["complete" if closed_by else "truncated_by_platform"]

    def test_a_gap_names_the_first_window_that_closed_it(self, played):
        gap = played.row("closed several times", "conversation_gaps")
        assert gap["closed_by_window"] == "20261120T000000Z_20261120T040000Z"

    def test_content_from_another_window_counts_but_leaves_the_gap_open(self, played):
        gap, conversation = (
            played.row("content of another window", table) for table in ("conversation_gaps", "conversations")
        )
        columns = ("messages_extracted", "messages_unavailable")
        assert tuple(gap[c] for c in (*columns, "closed_by_window")) == (2, 0, None)
        assert tuple(conversation[c] for c in (*columns, "status")) == (2, 0, "truncated_by_platform")

    def test_messages_without_a_row_are_still_known(self, played):
        gap = played.row("messages without a row", "conversation_gaps")
        assert tuple(gap[c] for c in ("messages_known", "messages_extracted", "messages_unavailable")) == (5, 2, 0)

    @pytest.mark.parametrize("table", ["conversations", "conversation_gaps"])
    def test_messages_loaded_after_their_conversation_are_counted(self, played, table):
        row = played.row("tables one by one", table)
        assert (row["messages_extracted"], row["messages_unavailable"]) == (1, 1)

    def test_the_worst_open_gap_sets_the_conversations_status(self, played):
        before, after = (played.row("two gaps", "conversations", load) for load in (0, 1))
        assert (before["status"], before["reason_code"], before["window_since"]) == ("unreadable", "refused", hour(2))
        assert (after["status"], after["reason_code"]) == ("truncated_by_platform", "instagram_limit")

    @pytest.mark.parametrize("order", ORDERS)
    def test_a_partial_extraction_never_replaces_a_complete_one(self, played, order):
        case = f"partial, {order}"
        assert played.row(case, "extraction_windows")["status"] == "complete"
        assert played.ask(case, PARTIAL_WINDOWS) == []
        assert len(played.ask("the demo", PARTIAL_WINDOWS)) == 1

    def test_an_earlier_releases_incomplete_conversation_becomes_a_gap(self, played):
        """The files of that release have neither gaps nor a reason_code."""
        case = "an earlier release"
        [row] = GAP.rows()[CONVERSATIONS]
        gap = played.row(case, "conversation_gaps", load=0)
        assert (gap["window_id"], gap["reason_code"], gap["reason"]) == (WINDOW, "instagram_limit", row["reason"])
        before, after = (played.row(case, "conversations", load) for load in (0, 1))
        assert (before["status"], before["reason_code"]) == ("truncated_by_platform", "instagram_limit")
        assert (after["status"], after["reason_code"], after["reason"]) == ("complete", None, None)

    def test_the_demo_shows_windows_and_gaps(self, played):
        windows, gaps = ([row[2:] for row in played.ask("the demo", query)] for query in LEDGER.values())
        assert (windows, gaps) == ([["partial", 1, 2, 0]], [["instagram_limit", 1, 1, 0]])

    def test_reloading_the_ledger_changes_nothing(self, played):
        assert played.changed_by_loading_again() == set()

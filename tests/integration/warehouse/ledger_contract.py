"""What every warehouse's ledger guarantees, one case per rule; the model tests all rules together."""

import pytest

from airflow_provider_metaconv.demo.places import LEDGER
from airflow_provider_metaconv.schema import CONVERSATIONS
from tests.integration.warehouse.documented_queries import MISSED_BY_WINDOW, MISSING_TODAY, PARTIAL_WINDOWS
from tests.integration.warehouse.ledger_model import Extraction, Ledger, Seen, hour

HERE = {1: "available", 2: "available"}
CUT = {1: "unavailable", 2: "available"}


def extraction(number, since=1, until=3, status="complete", folders="", **seen):
    return Extraction(number, folders, since, until, status, seen)


def truncated(messages=CUT, unplaced=0):
    return Seen("truncated_by_platform", messages, unplaced)


class LedgerContract:
    @pytest.fixture
    def ask(self):
        """A function that returns the rows of a query or of a documented query, given by its title."""
        raise NotImplementedError

    @pytest.fixture
    def load(self, warehouse, files):
        return lambda *extractions: warehouse.load([file for each in extractions for file in each.files(files)])

    @pytest.fixture
    def gap(self, read_rows):
        """The only gap."""

        def find():
            [row] = read_rows("conversation_gaps")
            return row

        return find

    def test_queries_count_missing_content_after_each_window(self, load, read_rows, ask):
        """A full history that Instagram truncated, then hour after hour, the last one read twice."""
        past = {at: "available" if at > 2 else "unavailable" for at in range(4)}
        runs = [
            extraction(0, None, 4, t_1=truncated(past), t_2=Seen("complete", {0: "available", 3: "unavailable"})),
            extraction(1, 4, 5, t_1=Seen("complete", {4: "available"})),
            extraction(2, 5, 6, t_1=truncated({5: "unavailable"}), t_3=Seen("unreadable", {})),
            extraction(3, 5, 6, t_1=truncated({5: "unavailable"}), t_3=Seen("unreadable", {})),
        ]
        missed = []
        for run in runs:
            load(run)
            without_content = sum(row["content_status"] == "unavailable" for row in read_rows("messages"))
            missed.append(
                (without_content, *(sum(row[-1] for row in ask(t)) for t in (MISSED_BY_WINDOW, MISSING_TODAY)))
            )
        assert missed == [(4, 4, 4), (4, 4, 4), (5, 5, 5), (5, 5, 5)]
        Ledger(runs).check(read_rows, ask)

    @pytest.mark.parametrize("order", [1, -1], ids=["in order", "later first"])
    def test_a_gap_is_closed_by_a_later_complete_window_that_spans_it(self, warehouse, files, read_rows, order):
        """All cases in the same two loads, each on its own Page."""
        window = "20261120T010000Z_20261120T030000Z"
        cases = {
            "read again": (extraction(1, t_1=Seen("complete", HERE)), window),
            "read again without it": (extraction(1), window),
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
        earlier = extraction(0, t_1=truncated())
        steps = [
            [file for name, case in cases.items() for file in (earlier, case[0])[step].files(files, name)]
            for step in (0, 1)
        ]
        for step in steps[::order]:
            warehouse.load(step)
        closed_by = {
            row["page_id"]: row["closed_by_window"]
            for row in read_rows("conversation_gaps")
            if (row["window_id"], row["folders"]) == (window, "")
        }
        statuses = {
            row["page_id"]: row["status"] for row in read_rows("conversations") if row["conversation_id"] == "t_1"
        }
        assert closed_by == {name: expected for name, (_, expected) in cases.items()}
        assert statuses == {
            name: "complete" if expected else "truncated_by_platform" for name, (_, expected) in cases.items()
        }

    def test_a_gap_names_the_first_window_that_closed_it(self, load, gap):
        for number in (3, 0, 1):
            load(
                extraction(number, 0, 3 + number, t_1=Seen("complete", HERE))
                if number
                else extraction(0, t_1=truncated())
            )
        assert gap()["closed_by_window"] == "20261120T000000Z_20261120T040000Z"

    def test_content_from_another_window_counts_but_leaves_the_gap_open(self, load, read_rows, gap):
        load(extraction(0, t_1=truncated()))
        load(extraction(1, 0, 2, t_1=Seen("complete", {1: "available"})))
        found = gap()
        assert tuple(found[c] for c in ("messages_extracted", "messages_unavailable", "closed_by_window")) == (
            2,
            0,
            None,
        )
        [row] = read_rows("conversations")
        assert (
            row["messages_extracted"],
            row["messages_unavailable"],
            row["status"],
        ) == (2, 0, "truncated_by_platform")

    def test_messages_without_a_row_are_still_known(self, load, gap):
        load(extraction(0, t_1=truncated({1: "available"}, unplaced=3)))
        load(extraction(1, 2, 3, t_1=Seen("complete", {2: "available"})))
        assert tuple(gap()[c] for c in ("messages_known", "messages_extracted", "messages_unavailable")) == (5, 2, 0)

    def test_messages_loaded_after_their_conversation_are_counted(self, warehouse, files, read_rows):
        sources = list(extraction(0, t_1=truncated()).files(files))
        for source in sources[::-1]:
            warehouse.load([source])
        for table in ("conversations", "conversation_gaps"):
            [row] = read_rows(table)
            assert (row["messages_extracted"], row["messages_unavailable"]) == (1, 1)

    def test_the_worst_open_gap_sets_the_conversations_status(self, load, read_rows):
        load(extraction(0, 1, 2, t_1=Seen("unreadable", {})), extraction(1, 2, 3, t_1=truncated({2: "available"})))
        [row] = read_rows("conversations")
        assert ("unreadable", "refused", hour(2)) == (row["status"], row["reason_code"], row["window_since"])
        load(extraction(2, 1, 2))
        [row] = read_rows("conversations")
        assert (row["status"], row["reason_code"]) == ("truncated_by_platform", "instagram_limit")

    @pytest.mark.parametrize("order", [1, -1], ids=["in order", "later first"])
    def test_a_partial_extraction_never_replaces_a_complete_one(self, load, read_rows, ask, order):
        for each in [extraction(0), extraction(1, status="partial")][::order]:
            load(each)
        assert [row["status"] for row in read_rows("extraction_windows")] == ["complete"]
        assert ask(PARTIAL_WINDOWS) == []

    def test_an_earlier_releases_incomplete_conversation_becomes_a_gap(self, warehouse, files, read_rows, load):
        """The files and tables of that release have neither gaps nor a reason_code."""
        [row] = extraction(0, t_1=truncated()).rows()[CONVERSATIONS]
        empty = dict.fromkeys(CONVERSATIONS.column_names)
        warehouse.load([files(empty | row | {"reason_code": None}, table=CONVERSATIONS)])
        found = [(r["window_id"], r["reason_code"], r["reason"]) for r in read_rows("conversation_gaps")]
        assert found == [("20261120T010000Z_20261120T030000Z", "instagram_limit", row["reason"])]
        [stored] = read_rows("conversations")
        assert (stored["status"], stored["reason_code"]) == ("truncated_by_platform", "instagram_limit")
        load(extraction(1, t_1=Seen("complete", HERE)))
        [stored] = read_rows("conversations")
        assert (stored["status"], stored["reason_code"], stored["reason"]) == ("complete", None, None)

    def test_the_demo_shows_windows_and_gaps(self, load, ask):
        load(extraction(0, None, 3, status="partial", t_1=truncated()))
        windows, gaps = ([row[2:] for row in ask(query)] for query in LEDGER.values())
        assert (windows, gaps) == ([["partial", 1, 2, 0]], [["instagram_limit", 1, 1, 0]])

    def test_reloading_the_ledger_writes_nothing(self, warehouse, files):
        runs = [extraction(0, t_1=truncated()), extraction(1, 0, 6, t_1=truncated(), t_2=Seen("complete", HERE))]
        sources = [file for run in runs for file in run.files(files)]
        warehouse.load(sources)
        again = warehouse.load(sources).tables
        assert dict.fromkeys(again, (0, 0)) == {name: (each.inserted, each.updated) for name, each in again.items()}

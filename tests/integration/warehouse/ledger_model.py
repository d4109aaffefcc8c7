"""A model of the ledger: extractions of one Page as files, and the tables expected of any set of them."""

import collections
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from airflow_provider_metaconv.schema import (
    CONVERSATION_GAPS,
    CONVERSATIONS,
    EXTRACTION_WINDOWS,
    MESSAGES,
    Table,
)
from tests.integration.warehouse.documented_queries import CLOSED_GAPS, MISSED_BY_WINDOW, MISSING_TODAY, PARTIAL_WINDOWS

BEGIN = datetime(2026, 11, 20, tzinfo=UTC)
LAST_HOUR = 6
SEVERITY = ("complete", "truncated_by_platform", "unreadable")
REASON_CODES = {"complete": "content_unavailable", "truncated_by_platform": "instagram_limit", "unreadable": "refused"}
PAGE = {"platform": "INSTAGRAM", "page_id": "100"}
Counts = dict[tuple[Any, ...], list[int]]


def hour(number):
    return None if number is None else (BEGIN + timedelta(hours=number)).isoformat()


@dataclass(frozen=True)
class Seen:
    """What one extraction found in a conversation: content status by hour, and the number of messages without a row."""

    status: str
    messages: dict[int, str]
    unplaced: int = 0

    @property
    def extracted(self):
        return sum(status != "unavailable" for status in self.messages.values())

    @property
    def unavailable(self):
        return len(self.messages) - self.extracted

    @property
    def has_gap(self):
        return self.status != "complete" or self.unavailable > 0


@dataclass(frozen=True)
class Extraction:
    """One extraction of a window; ``number`` is its place in time, ``seen`` what it found by conversation."""

    number: int
    folders: str
    since: int | None
    until: int
    status: str
    seen: dict[str, Seen]

    @property
    def window_id(self):
        since = "begin" if self.since is None else f"{BEGIN + timedelta(hours=self.since):%Y%m%dT%H%M%SZ}"
        return f"{since}_{BEGIN + timedelta(hours=self.until):%Y%m%dT%H%M%SZ}"

    @property
    def window(self):
        return {"window_since": hour(self.since), "window_until": hour(self.until)}

    @property
    def place(self):
        return PAGE | {"folders": self.folders, "user_id": "", "window_id": self.window_id} | self.window

    @property
    def extracted_time(self):
        return (BEGIN + timedelta(days=1, minutes=self.number)).isoformat()

    def spans(self, other):
        return self.until >= other.until and (
            self.since is None or (other.since is not None and self.since <= other.since)
        )

    def rows(self):
        """The rows of this extraction's files by table."""
        time = {"extracted_time": self.extracted_time}
        messages, conversations, gaps = [], [], []
        for name, seen in self.seen.items():
            key = PAGE | {"conversation_id": name}
            reason = {"reason_code": REASON_CODES[seen.status], "reason": f"{seen.status} in {self.number}"}
            counts = {"messages_extracted": seen.extracted, "messages_unavailable": seen.unavailable}
            reach = {"oldest_message_time": hour(min(seen.messages, default=None))}
            reach |= {"newest_message_time": hour(max(seen.messages, default=None))}
            for at, status in seen.messages.items():
                text = None if status == "unavailable" else "text"
                row = {"message_id": f"{name}-{at}", "created_time": hour(at), "content_status": status, "text": text}
                messages.append(key | row | time)
            ledger = {"status": seen.status} | (reason if seen.has_gap else {})
            conversations.append(
                key | {"updated_time": hour(self.until)} | counts | reach | ledger | self.window | time
            )
            if seen.has_gap:
                known = {"messages_known": len(seen.messages) + seen.unplaced}
                gaps.append(self.place | key | {"status": seen.status} | reason | counts | known | time)
        numbers = dict.fromkeys(
            (
                "messages_unavailable",
                "incomplete_conversations",
                "calls",
                "rate_limit_waits",
                "rate_limit_wait_seconds",
            ),
            self.number,
        )
        totals = {"conversations": len(self.seen), "messages": len(messages), "status": self.status} | numbers
        reason = {"reason_code": "list_refused", "reason": "refused"} if self.status == "partial" else {}
        return {
            MESSAGES: messages,
            CONVERSATIONS: conversations,
            CONVERSATION_GAPS: gaps,
            EXTRACTION_WINDOWS: [self.place | totals | reason | time],
        }

    def files(self, write, page_id=PAGE["page_id"]):
        """These rows, of that Page, as files written with ``write``, one for each table that has any."""
        for table, rows in self.rows().items():
            rows = [row | {"page_id": page_id} for row in rows]
            if rows:
                empty = dict.fromkeys(table.column_names)
                yield write(*(empty | row for row in rows), table=table)


@dataclass(frozen=True)
class OneTable:
    """One table's file of an extraction."""

    extraction: Extraction
    table: Table

    def files(self, write, page_id):
        """The same as of the extraction; ``write`` must return what has the table."""
        return (file for file in self.extraction.files(write, page_id) if file.table == self.table)


@st.composite
def seen(draw, since, until):
    hours = range(0 if since is None else since, until)
    statuses = st.sampled_from(["available", "available", "unavailable", None])
    messages = {at: status for at in hours if (status := draw(statuses)) is not None}
    status = draw(st.sampled_from(["complete", "complete", "complete", *SEVERITY[1:]]))
    return Seen(status, messages, draw(st.integers(0, 2)) if status == "truncated_by_platform" else 0)


@st.composite
def window(draw):
    since = draw(st.none() | st.integers(0, LAST_HOUR - 1))
    return since, draw(st.integers(1 if since is None else since + 1, LAST_HOUR))


@st.composite
def extractions(draw, most=8):
    """Windows that overlap, nest, repeat or start with the first message, in the order in which they were read."""
    windows = draw(st.lists(window(), min_size=1, max_size=3))
    return [draw(extraction(number, windows)) for number in range(draw(st.integers(1, most)))]


@st.composite
def extraction(draw, number, windows):
    since, until = draw(st.sampled_from(windows))
    conversations = draw(st.sets(st.sampled_from(["t_1", "t_2"])))
    return Extraction(
        number,
        draw(st.sampled_from(["", "", "", "inbox"])),
        since,
        until,
        draw(st.sampled_from(["complete", "complete", "partial"])),
        {name: draw(seen(since, until)) for name in sorted(conversations)},
    )


@st.composite
def histories(draw, most_extractions, most_loads):
    """Extractions, and loads of their files in any order, so that even those of one extraction arrive separately."""
    read = draw(extractions(most_extractions))
    files = draw(st.permutations([OneTable(each, table) for each in read for table in each.rows()]))
    cuts = draw(st.lists(st.integers(0, len(files)), min_size=most_loads - 1, max_size=most_loads - 1))
    return read, [files[start:end] for start, end in itertools.pairwise([0, *sorted(cuts), len(files)])]


def check_histories(histories, load):
    """Compare the ledger of each history with the model. ``load`` loads all of them, and returns ``SharedLoads``."""
    # The first that Hypothesis tries are the simplest.
    assume(sum(len(read) for read, _ in histories) > 2 * len(histories))
    cases = {f"Page {number}": loads for number, (_, loads) in enumerate(histories)}
    loaded = load(cases)
    for case, (read, _) in zip(cases, histories, strict=True):
        check_case(loaded, case, read)
    return loaded


def check_case(loaded, case, extractions):
    """Compare the ledger of one case of ``SharedLoads`` with the model."""
    Ledger(extractions).check(
        lambda table: loaded.rows(case, table),
        lambda query: [[*PAGE.values(), *row[2:]] for row in loaded.ask(case, query)],
    )


class Ledger:
    """The tables expected of a set of extractions."""

    def __init__(self, extractions):
        self.messages = self._messages(extractions)
        self.windows = self._windows(extractions)
        latest = {}
        for each in extractions:
            for name, seen in each.seen.items():
                if seen.has_gap:
                    latest[each.folders, each.window_id, name] = (each, seen)
        self.gaps = {key: self._gap(key, *found, latest) for key, found in latest.items()}
        self.conversations = self._conversations(extractions)

    @staticmethod
    def _messages(extractions):
        best: dict[tuple[str, int], str] = {}
        for each in extractions:
            for name, seen in each.seen.items():
                for at, status in seen.messages.items():
                    best[name, at] = "available" if "available" in (status, best.get((name, at))) else status
        return best

    @staticmethod
    def _windows(extractions):
        stays = {}
        for each in sorted(extractions, key=lambda e: (e.status == "complete", e.number)):
            stays[each.folders, each.window_id] = each
        return stays

    def count(self, name=None, since=None, until=LAST_HOUR + 1):
        """The number of messages with and without content, of one conversation and some hours."""
        statuses = [
            status
            for (conversation, at), status in self.messages.items()
            if name in (None, conversation) and (since is None or since <= at) and at < until
        ]
        return statuses.count("available"), statuses.count("unavailable")

    def _gap(self, key, found_in, seen, latest):
        folders, _, name = key
        extracted, unavailable = self.count(name, found_in.since, found_in.until)
        closing = []
        for later in self.windows.values():
            again = latest.get((folders, later.window_id, name))
            if (
                later.folders == folders
                and later.status == "complete"
                and later.number > found_in.number
                and later.spans(found_in)
                and not (again and again[0].number >= later.number)
            ):
                closing.append((later.number, later.window_id))
        return {
            "status": seen.status,
            "reason_code": REASON_CODES[seen.status],
            "reason": f"{seen.status} in {found_in.number}",
            "messages_known": extracted + unavailable + seen.unplaced,
            "messages_extracted": extracted,
            "messages_unavailable": unavailable,
            "closed_by_window": min(closing)[1] if closing else None,
            "extracted_time": found_in.extracted_time,
            "number": found_in.number,
        } | found_in.window

    def _conversations(self, extractions):
        rows = {}
        for each in sorted(extractions, key=lambda e: (e.until, e.number)):
            for name in each.seen:
                rows[name] = each
        return {name: self._conversation(name, each) for name, each in rows.items()}

    def _conversation(self, name, each):
        extracted, unavailable = self.count(name)
        worst = max(
            (gap for key, gap in self.gaps.items() if key[2] == name and gap["closed_by_window"] is None),
            key=lambda gap: (SEVERITY.index(gap["status"]), gap["number"]),
            default={"status": "complete", "reason_code": None, "reason": None},
        )
        hours = [at for conversation, at in self.messages if conversation == name]
        return {
            "messages_extracted": extracted,
            "messages_unavailable": unavailable,
            "oldest_message_time": hour(min(hours, default=None)),
            "newest_message_time": hour(max(hours, default=None)),
            "extracted_time": each.extracted_time,
            **{column: worst[column] for column in ("status", "reason_code", "reason")},
        } | each.window

    def expected_results(self):
        """The rows expected of the documented queries, in any order, counted from the rows of ``messages``."""
        missed: Counts = collections.defaultdict(lambda: [0, 0, 0])
        for (folders, _, name), gap in self.gaps.items():
            window = self.windows_by_bounds[gap["window_since"], gap["window_until"]]
            row = missed[folders, gap["window_since"], gap["window_until"], gap["status"], gap["reason_code"]]
            row[0] += 1
            row[1] += gap["closed_by_window"] is not None
            row[2] += self.count(name, window.since, window.until)[1]
        today: Counts = collections.defaultdict(lambda: [0, 0])
        for name, row in self.conversations.items():
            if row["reason_code"] or self.count(name)[1]:
                today[row["status"], row["reason_code"]][0] += 1
                today[row["status"], row["reason_code"]][1] += self.count(name)[1]
        page = tuple(PAGE.values())
        partial = [
            (*page, each.folders, "", hour(each.since), hour(each.until), "list_refused", "refused")
            for each in self.windows.values()
            if each.status == "partial" and not any(self._covers(later, each) for later in self.windows.values())
        ]
        closed = [
            (
                *page,
                folders,
                "",
                name,
                *(gap[c] for c in ("window_since", "window_until", "reason_code", "closed_by_window")),
            )
            for (folders, _, name), gap in self.gaps.items()
            if gap["closed_by_window"]
        ]
        return {
            PARTIAL_WINDOWS: partial,
            MISSED_BY_WINDOW: [(*page, key[0], "", *key[1:], *numbers) for key, numbers in missed.items()],
            MISSING_TODAY: [(*page, *key, *numbers) for key, numbers in today.items()],
            CLOSED_GAPS: closed,
        }

    @property
    def windows_by_bounds(self):
        return {(hour(each.since), hour(each.until)): each for each in self.windows.values()}

    @staticmethod
    def _covers(later, partial):
        return (
            later.folders == partial.folders
            and later.status == "complete"
            and later.number > partial.number
            and later.spans(partial)
        )

    def check(self, read_rows, ask):
        """Compare the tables and the documented queries; ``ask`` returns the rows of a query, times as ISO strings."""
        messages = {row["message_id"]: row["content_status"] for row in read_rows("messages")}
        assert messages == {f"{name}-{at}": status for (name, at), status in self.messages.items()}
        windows = {(row["folders"], row["window_id"]): row for row in read_rows("extraction_windows")}
        columns = ("status", "calls", "conversations", "messages", "extracted_time")
        assert {key: tuple(row[name] for name in columns) for key, row in windows.items()} == {
            key: (
                each.status,
                each.number,
                len(each.seen),
                sum(len(seen.messages) for seen in each.seen.values()),
                each.extracted_time,
            )
            for key, each in self.windows.items()
        }
        gaps = {(r["folders"], r["window_id"], r["conversation_id"]): r for r in read_rows("conversation_gaps")}
        expected = {key: {c: v for c, v in row.items() if c != "number"} for key, row in self.gaps.items()}
        assert {key: {c: row[c] for c in expected.get(key, row)} for key, row in gaps.items()} == expected
        conversations = {row["conversation_id"]: row for row in read_rows("conversations")}
        chosen = {n: {c: row[c] for c in self.conversations.get(n, row)} for n, row in conversations.items()}
        assert chosen == self.conversations
        for title, rows in self.expected_results().items():
            assert (title, _sorted(ask(title))) == (title, _sorted(rows))


def _sorted(rows):
    return sorted((tuple(row) for row in rows), key=repr)

"""A model of the views: random tables, and what each view must show of them, computed in plain Python.

It shares no approach with the SQL: time is cut into small pieces, messages are walked one by one, days are visited.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from airflow_provider_metaconv.schema import (
    CONVERSATION_GAPS,
    CONVERSATIONS,
    EXTRACTION_WINDOWS,
    MESSAGES,
    Table,
)
from airflow_provider_metaconv.warehouse.view_options import ViewOptions

Row = dict[str, Any]
World = dict[Table, list[Row]]
Stretch = tuple[datetime, datetime]

# Europe's clocks went back on 25 October 2026, New York's on 1 November.
BEGIN = datetime(2026, 10, 24, tzinfo=UTC)
HALF_HOURS = 2 * 24 * 9
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
BUCKETS = {1: "0-1h", 4: "1-4h", 8: "4-8h", 24: "8-24h"}
ORDER = {"inbound": 0, "outbound": 2}

VIEW_OPTIONS = (
    ViewOptions(),
    ViewOptions(time_zone="Asia/Kathmandu", session_gap_minutes=60),
    ViewOptions(
        time_zone="Europe/Berlin",
        business_days=("sun", "mon", "wed"),
        business_from="01:30",
        business_to="24:00",
        session_gap_minutes=30,
    ),
    ViewOptions(
        time_zone="America/New_York",
        business_days=("mon", "tue", "wed", "thu", "fri"),
        business_from="09:00",
        business_to="17:30",
    ),
)


def moments() -> st.SearchStrategy[datetime]:
    """Mostly half hours, so that messages, windows and pauses often meet exactly."""
    shifts = st.sampled_from([timedelta(0)] * 5 + [INSTANT, timedelta(seconds=1)])
    half_hours = st.integers(0, 20) | st.integers(0, HALF_HOURS)
    return st.builds(lambda number, shift: BEGIN + timedelta(minutes=30 * number) + shift, half_hours, shifts)


@st.composite
def page_worlds(draw: st.DrawFn, page_id: str = "100", platform: str = "MESSENGER") -> World:
    """The tables of one Page and platform: any messages, windows and gaps, whether or not they fit together."""
    page = {"platform": platform, "page_id": page_id}
    conversations = [f"t_{page_id}_{number}" for number in range(draw(st.integers(0, 3)))]
    directions = st.sampled_from(["inbound"] * 4 + ["outbound"] * 3 + [None])
    messages: list[Row] = [
        page
        | {"conversation_id": name, "message_id": f"m_{name}_{number}", "created_time": moment, "direction": direction}
        for name in conversations
        for number, (moment, direction) in enumerate(draw(st.lists(st.tuples(moments(), directions), max_size=9)))
    ]
    windows = [draw(_windows(page, number)) for number in range(draw(st.integers(0, 5)))]
    gaps = [
        draw(_gaps(page, number, conversations)) for number in range(draw(st.integers(0, 2)) if conversations else 0)
    ]
    known = (
        draw(st.sets(st.sampled_from(conversations)))
        if draw(st.integers(0, 5)) == 0 and conversations
        else conversations
    )
    return {
        MESSAGES: messages,
        CONVERSATIONS: [page | {"conversation_id": name} for name in sorted(known)],
        CONVERSATION_GAPS: gaps,
        EXTRACTION_WINDOWS: windows,
    }


@st.composite
def _period(draw: st.DrawFn) -> Row:
    ends = sorted([draw(moments()), draw(moments())])
    since = draw(st.sampled_from([None, None, ends[0], ends[0]]))
    return {"window_since": since, "window_until": max(ends[1], ends[0] + INSTANT)}


@st.composite
def _windows(draw: st.DrawFn, page: Row, number: int) -> Row:
    folders = draw(st.sampled_from([""] * 4 + ["inbox"] * 2 + ["inbox,spam"]))
    status = draw(st.sampled_from(["complete"] * 4 + ["partial"]))
    user = draw(st.sampled_from([""] * 6 + ["u_1"]))
    period = draw(_period()) | {"messages": draw(st.sampled_from([0, 0, 0, 1]))}
    return page | period | {"folders": folders, "user_id": user, "window_id": f"w_{number}", "status": status}


@st.composite
def _gaps(draw: st.DrawFn, page: Row, number: int, conversations: list[str]) -> Row:
    return (
        page
        | draw(_period())
        | {
            "folders": "",
            "user_id": "",
            "window_id": f"g_{number}",
            "conversation_id": draw(st.sampled_from(conversations)),
        }
        | {"status": draw(st.sampled_from(["truncated_by_platform", "unreadable", "complete"]))}
        | {"closed_by_window": draw(st.sampled_from([None, None, None, "w_0"]))}
    )


class Views:
    """The rows that each view must have."""

    def __init__(self, world: World, options: ViewOptions) -> None:
        self._world = world
        self._options = options
        self._zone = ZoneInfo(options.time_zone)

    def rows(self, name: str) -> list[Row]:
        """The rows of a view, in the order of its key."""
        found: list[Row] = getattr(self, name)()
        return ordered(found)

    def reply_times(self) -> list[Row]:
        return [row for page, name in self._conversations() for row in self._turns(page, name)]

    def unanswered(self) -> list[Row]:
        rows = []
        for row in self.reply_times():
            if row["answered_time"] is None:
                asked, until = row["asked_time"], row["covered_until"]
                kept = ("platform", "page_id", "conversation_id", "last_asked_time", "messages", "is_complete")
                waits = {"minutes": _minutes(asked, until) if until and until > asked else None}
                rows.append({key: row[key] for key in kept} | {"waiting_since": asked, "covered_until": until} | waits)
        return rows

    def sessions(self) -> list[Row]:
        return [row for page, name in self._conversations() for row in self._sessions(page, name)]

    def coverage(self) -> list[Row]:
        return [self._day(page, day) for page in self._pages() for day in self._days(page)]

    def daily_volume(self) -> list[Row]:
        rows = []
        for page, day_row in ((_page(row), row) for row in self.coverage()):
            started = self._started(page, day_row["day"])
            for direction in ("inbound", "outbound", "unknown"):
                messages: list[Row] = [
                    each
                    for each in self._of(MESSAGES, page)
                    if _direction(each) == direction and self._local(each["created_time"]).date() == day_row["day"]
                ]
                starts = [is_certain for name, is_certain in started if name == direction]
                if messages or direction != "unknown":
                    rows.append(
                        dict(zip(("platform", "page_id"), page, strict=True))
                        | {"day": day_row["day"], "direction": direction, "messages": len(messages)}
                        | {"conversations": len({each["conversation_id"] for each in messages})}
                        | {"conversations_started": len(starts) if day_row["has_history"] else None}
                        | {"is_complete": day_row["is_complete"] and all(starts)}
                    )
        return rows

    def _pages(self) -> list[tuple[str, str]]:
        tables = (MESSAGES, CONVERSATION_GAPS, EXTRACTION_WINDOWS)
        return sorted({_page(row) for table in tables for row in self._world[table]})

    def _of(self, table: Table, page: tuple[str, str], conversation: str | None = None) -> list[Row]:
        rows = (row for row in self._world[table] if _page(row) == page)
        return [row for row in rows if conversation in (None, row.get("conversation_id"))]

    def _conversations(self) -> list[tuple[tuple[str, str], str]]:
        return sorted({(_page(row), row["conversation_id"]) for row in self._world[MESSAGES]})

    def _local(self, moment: datetime) -> datetime:
        """The wall clock."""
        return moment.astimezone(self._zone).replace(tzinfo=None)

    def _windows(self, page: tuple[str, str]) -> list[Row]:
        return [row for row in self._of(EXTRACTION_WINDOWS, page) if row["user_id"] == ""]

    def _stretches(self, page: tuple[str, str]) -> list[Stretch]:
        """The times that are covered, cut at every bound of a window and then joined."""
        windows = self._windows(page)
        folders = {folder for window in windows for folder in _folders(window)}
        ends = sorted({moment for w in windows for moment in (w["window_since"] or FIRST, w["window_until"])})
        joined: list[Stretch] = []
        for start, end in itertools.pairwise(ends):
            read = {
                folder
                for w in windows
                if w["status"] == "complete" and (w["window_since"] or FIRST) <= start and w["window_until"] >= end
                for folder in _folders(w)
            }
            if read == folders:
                before = joined.pop() if joined and joined[-1][1] == start else (start, end)
                joined.append((before[0], end))
        removed = self._removed_until(page)
        return [(max(start, removed), end) for start, end in joined if end > removed]

    def _removed_until(self, page: tuple[str, str]) -> datetime:
        """The first message, if a window that ended before it has counted messages: old ones have been removed."""
        first = min((row["created_time"] for row in self._of(MESSAGES, page)), default=LAST)
        counted = (row for row in self._windows(page) if row["messages"] > 0)
        return first if any(row["window_until"] <= first for row in counted) else FIRST

    def _covered_until(self, page: tuple[str, str]) -> datetime | None:
        return max((end for _, end in self._stretches(page)), default=None)

    def _is_known(
        self, page: tuple[str, str], name: str, since: datetime, until: datetime, *, to_the_end: bool
    ) -> bool:
        """Whether every message of a conversation from one moment to another is known, both included."""
        is_covered = any(
            start <= since and until < end and (not to_the_end or end == self._covered_until(page))
            for start, end in self._stretches(page)
        )
        last = LAST if to_the_end else until
        gaps = (
            gap
            for gap in self._open_gaps(page, name)
            if (gap["window_since"] or FIRST) <= last and gap["window_until"] > since
        )
        return is_covered and bool(self._of(CONVERSATIONS, page, name)) and not any(gaps)

    def _open_gaps(self, page: tuple[str, str], name: str | None = None) -> list[Row]:
        gaps = self._of(CONVERSATION_GAPS, page, name)
        return [gap for gap in gaps if gap["closed_by_window"] is None and gap["status"] != "complete"]

    def _turns(self, page: tuple[str, str], name: str) -> Iterator[Row]:
        asked: list[datetime] = []
        since, unknown = FIRST, False
        in_order = sorted(self._of(MESSAGES, page, name), key=_place)
        for message in [*in_order, None]:
            if message is None or message["direction"] == "outbound":
                answered: datetime | None = None if message is None else message["created_time"]
                if asked:
                    is_known = self._is_known(page, name, since, answered or asked[-1], to_the_end=not answered)
                    yield self._turn(page, name, asked, answered) | {"is_complete": is_known and not unknown}
                asked, since, unknown = [], answered or LAST, False
            elif message["direction"] == "inbound":
                asked.append(message["created_time"])
            else:
                unknown = True

    def _turn(self, page: tuple[str, str], name: str, asked: list[datetime], answered: datetime | None) -> Row:
        hours = self._options.has_business_hours
        return {
            "platform": page[0],
            "page_id": page[1],
            "conversation_id": name,
            "asked_time": asked[0],
            "last_asked_time": asked[-1],
            "messages": len(asked),
            "answered_time": answered,
            "minutes": answered and _minutes(asked[0], answered),
            "bucket": answered and _bucket(answered - asked[0]),
            "asked_in_business_hours": self._is_open(asked[0]) if hours else None,
            "business_minutes": self._open_minutes(asked[0], answered) if hours and answered else None,
            "covered_until": self._covered_until(page),
        }

    def _is_open(self, moment: datetime) -> bool:
        clock = self._local(moment)
        since_midnight = clock - datetime.combine(clock.date(), time())
        return (
            clock.weekday() in self._options.business_weekdays
            and self._options.opens <= since_midnight < self._options.closes
        )

    def _open_minutes(self, asked: datetime, answered: datetime) -> float:
        start, end = self._local(asked), self._local(answered)
        total = timedelta(0)
        for day in _days_between(start.date(), end.date()):
            if day.weekday() in self._options.business_weekdays:
                midnight = datetime.combine(day, time())
                opens, closes = midnight + self._options.opens, midnight + self._options.closes
                total += max(min(end, closes) - max(start, opens), timedelta(0))
        return total / INSTANT / 60_000_000

    def _sessions(self, page: tuple[str, str], name: str) -> Iterator[Row]:
        runs: list[list[Row]] = []
        pause = self._options.session_gap
        for message in sorted(self._of(MESSAGES, page, name), key=_place):
            if not runs or message["created_time"] - runs[-1][-1]["created_time"] > pause:
                runs.append([])
            runs[-1].append(message)
        for run in runs:
            start, end = run[0]["created_time"], run[-1]["created_time"]
            directions = [_direction(message) for message in run]
            yield {
                "platform": page[0],
                "page_id": page[1],
                "conversation_id": name,
                "started_time": start,
                "ended_time": end,
                "minutes": _minutes(start, end),
                "started_by": directions[0],
                "messages": len(run),
                "messages_inbound": directions.count("inbound"),
                "messages_outbound": directions.count("outbound"),
                "is_complete": self._is_known(page, name, start - pause, end + pause, to_the_end=False),
            }

    def _touched_days(self, row: Row) -> tuple[date | None, date]:
        since = row["window_since"]
        return since and self._local(since).date(), self._local(row["window_until"] - INSTANT).date()

    def _days(self, page: tuple[str, str]) -> list[date]:
        """The days of a Page, from the first that is known of to the last."""
        periods = [
            *self._windows(page),
            *(g for g in self._of(CONVERSATION_GAPS, page) if g["closed_by_window"] is None),
        ]
        known = {day for row in periods for day in self._touched_days(row) if day is not None}
        known |= {self._local(row["created_time"]).date() for row in self._of(MESSAGES, page)}
        return _days_between(min(known), max(known)) if known else []

    def _day(self, page: tuple[str, str], day: date) -> Row:
        start, end = self._bounds(day)
        stretches = self._stretches(page)
        overlaps = (min(end, until) - max(start, since) for since, until in stretches)
        covered = sum((max(overlap, timedelta(0)) for overlap in overlaps), timedelta(0))
        windows = [row for row in self._windows(page) if self._touches(row, day)]
        gaps = [row for row in self._of(CONVERSATION_GAPS, page) if row["closed_by_window"] is None]
        statuses = [row["status"] for row in gaps if self._touches(row, day)]
        truncated, unreadable = (statuses.count(each) for each in ("truncated_by_platform", "unreadable"))
        return {
            "platform": page[0],
            "page_id": page[1],
            "day": day,
            "windows": len(windows),
            "partial_windows": sum(row["status"] != "complete" for row in windows),
            "covered_minutes": covered / INSTANT / 60_000_000,
            "gaps": len(statuses),
            "truncated": truncated,
            "unreadable": unreadable,
            "has_history": any(since == FIRST and until > start for since, until in stretches),
            "covered_until": self._covered_until(page),
            "is_complete": covered == end - start and not truncated and not unreadable,
        }

    def _touches(self, row: Row, day: date) -> bool:
        first, last = self._touched_days(row)
        return (first is None or first <= day) and day <= last

    def _bounds(self, day: date) -> tuple[datetime, datetime]:
        days = (day, day + timedelta(days=1))
        start, end = (datetime.combine(each, time(), self._zone).astimezone(UTC) for each in days)
        return start, end

    def _started(self, page: tuple[str, str], day: date) -> list[tuple[str, bool]]:
        """The directions of the first messages on a day, each with whether no earlier one is missing."""
        started = []
        for _, name in (each for each in self._conversations() if each[0] == page):
            first = min(self._of(MESSAGES, page, name), key=_place)
            if self._local(first["created_time"]).date() == day:
                gaps = self._open_gaps(page, name)
                is_certain = all((gap["window_since"] or FIRST) > first["created_time"] for gap in gaps)
                started.append((_direction(first), is_certain))
        return started


def ordered(rows: list[Row]) -> list[Row]:
    """Rows in the order of their texts and times."""
    keys = ("platform", "page_id", "conversation_id", "asked_time", "waiting_since", "started_time", "day", "direction")
    return sorted(rows, key=lambda row: [row[key] for key in keys if key in row])


def _page(row: Row) -> tuple[str, str]:
    return row["platform"], row["page_id"]


def _folders(window: Row) -> list[str]:
    return (window["folders"] or "inbox").split(",")


def _place(message: Row) -> tuple[datetime, int]:
    return message["created_time"], ORDER.get(message["direction"], 1)


def _direction(message: Row) -> str:
    return message["direction"] or "unknown"


def _minutes(start: datetime, end: datetime) -> float:
    return (end - start) / INSTANT / 60_000_000


def _bucket(wait: timedelta) -> str:
    return next((name for hours, name in BUCKETS.items() if wait < timedelta(hours=hours)), "24h+")


def _days_between(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]

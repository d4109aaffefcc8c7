"""Whether the 8,760th hourly window costs DuckDB what the first did: a load's time before and after a year of loads.

``python -m tests.benchmarks.loading_growth`` prints a table; the year in between is loaded at once.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from airflow_provider_metaconv.files import LocalStorage, PartsWriter
from airflow_provider_metaconv.records import (
    TABLES,
    Row,
)
from airflow_provider_metaconv.warehouse import SourceFile
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from tests.benchmarks.made_rows import DAY

HOURS = 8_760
MEASURED = 15
MESSAGES_PER_HOUR = 60
CONVERSATIONS_PER_HOUR = 12
BUSY_CONVERSATIONS = 3
"""So many of an hour's conversations go on all year, one of them with a gap in each hour."""

PAGE = {"platform": "INSTAGRAM", "page_id": "100"}


def window(hour: int) -> tuple[datetime, datetime]:
    """Begin and end of the hour of that number."""
    return DAY + timedelta(hours=hour), DAY + timedelta(hours=hour + 1)


def conversation_id(hour: int, number: int) -> str:
    """The conversation of that number within the hour."""
    return f"t_{number}" if number < BUSY_CONVERSATIONS else f"t_{hour}_{number}"


def rows_of(hour: int) -> dict[str, list[Row]]:
    """What the files of one hour hold, by table."""
    since, until = window(hour)
    bounds = {"window_since": since.isoformat(), "window_until": until.isoformat()}
    place = {"folders": "", "user_id": "", "window_id": f"{since:%Y%m%dT%H%M%SZ}_{until:%Y%m%dT%H%M%SZ}"} | bounds
    read = {"extracted_time": until.isoformat()}
    each = MESSAGES_PER_HOUR // CONVERSATIONS_PER_HOUR
    tables: dict[str, list[Row]] = {table.name: [] for table in TABLES}
    for number in range(CONVERSATIONS_PER_HOUR):
        key = PAGE | {"conversation_id": conversation_id(hour, number)}
        has_gap = number == 0
        counts = {"messages_extracted": each - has_gap, "messages_unavailable": int(has_gap)}
        status = {"status": "truncated_by_platform" if has_gap else "complete"}
        reason = {"reason_code": "instagram_limit", "reason": "beyond the newest 20"} if has_gap else {}
        times = [(since + timedelta(minutes=5 * place)).isoformat() for place in range(each)]
        reach = {"oldest_message_time": times[0], "newest_message_time": times[-1], "updated_time": times[-1]}
        tables["messages"] += [
            key
            | {
                "message_id": f"m_{hour}_{number}_{place}",
                "created_time": created,
                "text": f"message {place} of the hour {hour}",
                "content_status": "unavailable" if has_gap and place == 0 else "available",
            }
            | read
            for place, created in enumerate(times)
        ]
        tables["conversations"].append(key | counts | status | reason | reach | bounds | read)
        if has_gap:
            tables["conversation_gaps"].append(place | key | counts | status | reason | {"messages_known": each} | read)
    totals = {"conversations": CONVERSATIONS_PER_HOUR, "messages": MESSAGES_PER_HOUR, "messages_unavailable": 1}
    cost = {"incomplete_conversations": 1, "calls": 2, "rate_limit_waits": 0, "rate_limit_wait_seconds": 0}
    tables["extraction_windows"].append(PAGE | place | {"status": "complete"} | totals | cost | read)
    return tables


def write(folder: Path, hours: Iterable[int]) -> list[SourceFile]:
    """The files of these hours."""
    storage = LocalStorage(folder)
    files = []
    with storage.lock():
        writers = {table.name: PartsWriter(storage, table) for table in TABLES}
        for hour in hours:
            for name, rows in rows_of(hour).items():
                writers[name].write(rows)
        for writer in writers.values():
            files += [
                SourceFile(storage.uri(part.path), part.table, part.file_format, part.rows) for part in writer.close()
            ]
    return files


Cost = tuple[float, float]
"""Seconds that passed, and seconds of CPU, which other programs on the machine do not change."""


def load(database: Path, files: list[SourceFile]) -> Cost:
    """What a load cost, opening the database included."""
    started, cpu = time.perf_counter(), time.process_time()
    with DuckDBWarehouse(database) as warehouse:
        warehouse.load(files)
    return time.perf_counter() - started, time.process_time() - cpu


def measure(folder: Path) -> Iterator[tuple[str, Cost, int]]:
    """By which windows were loaded one by one: the medians of their cost, and the messages in the table then."""
    database = folder / "growth.duckdb"
    first, last = range(MEASURED), range(HOURS - MEASURED, HOURS)
    for name, hours in (("first", first), ("last", last)):
        costs = [load(database, write(folder / f"{name}-{hour}", [hour])) for hour in hours]
        cost = statistics.median(passed for passed, _ in costs), statistics.median(cpu for _, cpu in costs)
        yield (
            f"windows {hours[0] + 1:,} to {hours[-1] + 1:,}",
            cost,
            MESSAGES_PER_HOUR * hours[-1],
        )
        if name == "first":
            load(database, write(folder / "between", range(MEASURED, HOURS - MEASURED)))


def main() -> None:
    """Print what a load of one hour takes, and the ratio of the last to the first."""
    with tempfile.TemporaryDirectory(prefix="metaconv-bench-") as name:
        found = list(measure(Path(name)))
    for title, (passed, cpu), messages in found:
        print(f"{title}: {passed * 1000:.0f} ms a window, {cpu * 1000:.0f} of CPU; {messages:,} messages in the table")
    (first, first_cpu), (last, last_cpu) = found[0][1], found[-1][1]
    print(f"ratio: {last / first:.2f}, of CPU {last_cpu / first_cpu:.2f}")


if __name__ == "__main__":
    main()

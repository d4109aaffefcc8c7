"""What the analytics views cost: reading all of them beside the load of a million messages, in the same run.

``python -m tests.benchmarks.views`` prints seconds and the ratio. The goal is a ratio of at most 1.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb

from airflow_provider_metaconv.files import LocalStorage
from airflow_provider_metaconv.schema import CONVERSATION_GAPS, EXTRACTION_WINDOWS, Row
from airflow_provider_metaconv.warehouse import SourceFile
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from airflow_provider_metaconv.warehouse.view_options import ViewOptions
from airflow_provider_metaconv.warehouse.views import VIEWS
from tests.benchmarks.sample_rows import DAY, conversations, messages, write_window

MESSAGES = 1_000_000
HOURS = MESSAGES * 31 // 3600 + 1
OPTIONS = ViewOptions(
    time_zone="Europe/Berlin",
    business_days=("mon", "tue", "wed", "thu", "fri"),
    business_from="09:00",
    business_to="17:00",
)


def main() -> None:
    """Loads a million messages with a year of hourly windows, then reads every view."""
    with tempfile.TemporaryDirectory() as folder:
        files = written(LocalStorage(Path(folder) / "files"))
        for options in (ViewOptions(), OPTIONS):
            measure(files, Path(folder) / f"{options.time_zone.replace('/', '-')}.duckdb", options)


def measure(files: list[SourceFile], database: Path, options: ViewOptions) -> None:
    """Prints how long the load takes, and each view."""
    began = time.perf_counter()
    with DuckDBWarehouse(database, views=options) as warehouse:
        warehouse.load(files)
    loaded = time.perf_counter() - began
    print(f"{options}: load {loaded:.2f} s", flush=True)
    total = 0.0
    with duckdb.connect(str(database)) as connection:
        for view in VIEWS:
            began = time.perf_counter()
            connection.execute(f"CREATE TEMP TABLE {view.name}_rows AS SELECT * FROM {view.name}")
            total += (seconds := time.perf_counter() - began)
            found = connection.execute(
                f"SELECT count(*), count(*) FILTER (is_complete) FROM {view.name}_rows"
            ).fetchone()
            print(f"  {view.name:13}{seconds:6.2f} s, rows and complete ones: {found}", flush=True)
    print(f"  all views: {total:.2f} s, {total / loaded:.2f} times the load", flush=True)


def written(place: LocalStorage) -> list[SourceFile]:
    """The files: messages, their conversations, hourly windows, and a gap for every hundredth conversation."""
    rows = itertools.islice(messages(MESSAGES + 1), 1, None)
    ledger = [(EXTRACTION_WINDOWS, windows()), (CONVERSATION_GAPS, gaps())]
    manifest = write_window(place, "ndjson", rows, conversations(MESSAGES // 8 + 1), ledger)
    return [SourceFile(place.uri(f.path), f.table, f.file_format, f.rows, f.sha256) for f in manifest.files]


def windows() -> Iterator[Row]:
    """The full history until a year ago, then hour after hour."""
    counts = [column.name for column in EXTRACTION_WINDOWS.columns if column.type == "integer"]
    for hour in range(HOURS + 1):
        yield (
            dict.fromkeys(EXTRACTION_WINDOWS.column_names)
            | dict.fromkeys(counts, 0)
            | window(hour)
            | {"status": "complete"}
        )


def gaps() -> Iterator[Row]:
    """One open gap in every hundredth conversation."""
    for number in range(0, MESSAGES // 8, 100):
        yield (
            dict.fromkeys(CONVERSATION_GAPS.column_names)
            | window(number * 8 * 31 // 3600)
            | {
                "conversation_id": f"t_{number}",
                "status": "truncated_by_platform",
                "reason_code": "unplaced_messages",
                "reason": "1 message",
            }
        )


def window(hour: int) -> Row:
    """The columns of a window that ends so many hours before the last message."""
    until = DAY - timedelta(hours=hour)
    return {
        "platform": "MESSENGER",
        "page_id": "100",
        "folders": "inbox,page_done",
        "user_id": "",
        "window_id": f"{hour}",
        "window_since": None if hour == HOURS else (until - timedelta(hours=1)).isoformat(),
        "window_until": until.isoformat(),
        "extracted_time": DAY.isoformat(),
    }


if __name__ == "__main__":
    main()

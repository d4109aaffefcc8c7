"""Whether loading the 8,760th hourly window costs as much as loading the first.

``python -m tests.benchmarks.loading_growth`` prints the cost of a load into DuckDB and BigQuery, on local servers. The
year in between is loaded in one go.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage

from airflow_provider_metaconv.files import LocalStorage, PartsWriter
from airflow_provider_metaconv.files.storage import Storage
from airflow_provider_metaconv.files.storage.gcs import GCSStorage
from airflow_provider_metaconv.schema import TABLES, Row
from airflow_provider_metaconv.warehouse import SourceFile
from airflow_provider_metaconv.warehouse.bigquery import BigQueryWarehouse
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from local_servers.servers import BigQueryServer, StorageServer
from tests.benchmarks.sample_rows import DAY

HOURS = 8_760
MEASURED = 15
MESSAGES_PER_HOUR = 60
CONVERSATIONS_PER_HOUR = 12
BUSY_CONVERSATIONS = 3
"""The number of an hour's conversations that continue all year. One of them has a gap in each hour."""

PAGE = {"platform": "INSTAGRAM", "page_id": "100"}


def window(hour: int) -> tuple[datetime, datetime]:
    """Start and end of the hour with that number."""
    return DAY + timedelta(hours=hour), DAY + timedelta(hours=hour + 1)


def conversation_id(hour: int, number: int) -> str:
    """The conversation with that number within the hour."""
    return f"t_{number}" if number < BUSY_CONVERSATIONS else f"t_{hour}_{number}"


def rows_of(hour: int) -> dict[str, list[Row]]:
    """The rows of one hour, by table."""
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


def write(place: Storage, hours: Iterable[int]) -> list[SourceFile]:
    """Writes the files of these hours."""
    files = []
    with place.lock():
        writers = {table.name: PartsWriter(place, table) for table in TABLES}
        for hour in hours:
            for name, rows in rows_of(hour).items():
                writers[name].write(rows)
        for writer in writers.values():
            files += [
                SourceFile(place.uri(part.path), part.table, part.file_format, part.rows) for part in writer.close()
            ]
    return files


@dataclass(frozen=True)
class Cost:
    """Elapsed seconds; CPU seconds of this process, unaffected by other programs; requests to a server."""

    seconds: float
    cpu: float
    requests: int


class Place(Protocol):
    """A place for files, and the warehouse that they are loaded into."""

    name: str

    def storage(self, name: str) -> Storage:
        """A folder for files."""

    def load(self, files: list[SourceFile]) -> Cost:
        """The cost of a load, including opening the warehouse."""


class InDuckDB:
    """A folder with a database in it."""

    name = "DuckDB"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def storage(self, name: str) -> Storage:
        return LocalStorage(self._folder / name)

    def load(self, files: list[SourceFile]) -> Cost:
        started, cpu = time.perf_counter(), time.process_time()
        with DuckDBWarehouse(self._folder / "growth.duckdb") as warehouse:
            warehouse.load(files)
        return Cost(time.perf_counter() - started, time.process_time() - cpu, 0)


class InBigQuery:
    """A bucket and a dataset on local servers."""

    name = "BigQuery"

    def __init__(self, objects: StorageServer, tables: BigQueryServer) -> None:
        self._tables = tables
        anonymous = AnonymousCredentials()
        options = ClientOptions(api_endpoint=objects.direct_url)
        self._bucket = storage.Client("example-project", anonymous, client_options=options).create_bucket(
            "example-bucket"
        )
        self._client = bigquery.Client(tables.project, anonymous, client_options=ClientOptions(api_endpoint=tables.url))

    def storage(self, name: str) -> Storage:
        return GCSStorage(self._bucket, name)

    def load(self, files: list[SourceFile]) -> Cost:
        self._tables.forget_requests()
        started, cpu = time.perf_counter(), time.process_time()
        with BigQueryWarehouse(self._client, "growth") as warehouse:
            warehouse.load(files)
        return Cost(time.perf_counter() - started, time.process_time() - cpu, len(self._tables.requests))


def measure(place: Place) -> Iterator[tuple[str, Cost]]:
    """Yields the median cost of the windows that were loaded one by one, with their numbers."""
    first, last = range(MEASURED), range(HOURS - MEASURED, HOURS)
    for name, hours in (("first", first), ("last", last)):
        costs = [place.load(write(place.storage(f"{name}-{hour}"), [hour])) for hour in hours]
        medians = [statistics.median(getattr(each, part) for each in costs) for part in ("seconds", "cpu", "requests")]
        yield f"windows {hours[0] + 1:,} to {hours[-1] + 1:,}", Cost(*medians)
        if name == "first":
            place.load(write(place.storage("between"), range(MEASURED, HOURS - MEASURED)))


def report(place: Place) -> None:
    """Prints the cost of loading one hour, and the ratio of the last to the first."""
    costs = []
    for title, cost in measure(place):
        requests = f", {cost.requests:.0f} requests" if cost.requests else ""
        print(f"{place.name}, {title}: {cost.seconds * 1000:.0f} ms a window, {cost.cpu * 1000:.0f} of CPU{requests}")
        costs.append(cost)
    first, last = costs
    print(f"{place.name}: ratio {last.seconds / first.seconds:.2f}, of CPU {last.cpu / first.cpu:.2f}", flush=True)


def main() -> None:
    """Measures one warehouse after the other."""
    with (
        tempfile.TemporaryDirectory(prefix="metaconv-bench-") as name,
        StorageServer(Path(name) / "objects") as objects,
        BigQueryServer(objects.direct_url) as tables,
    ):
        report(InDuckDB(Path(name)))
        report(InBigQuery(objects, tables))


if __name__ == "__main__":
    main()

"""The cost of the 8,760th hourly run compared with the first: ``make benchmark-coverage``. Figures, not asserts.

Measures the whole extract task for a quiet Page on an emulator, as the sample DAG runs it, into a folder and into a
bucket of a local storage server. One Page has a year of windows, the other none. Their runs alternate, so that both are
affected by other load and by the server's listings, which slow down as the bucket grows. For comparison: finding the
gap by listing every window, as release 0.1 did, and rebuilding the record once.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HOURS = 8_760
FIRST = datetime(2025, 11, 20, tzinfo=UTC)
WARM_UP = 5
ROUNDS = 15
NEW, OLD = "101", "100"
"""A new Page, and one with a year of windows."""


@dataclass(frozen=True)
class Place:
    """A destination: how its folders are opened, and how many requests it has served."""

    name: str
    open_storage: Callable[[str], Any]
    requests: Callable[[], int]


def main() -> None:
    """Measures both destinations, one after the other."""
    os.environ |= {
        "AIRFLOW_HOME": tempfile.mkdtemp(prefix="metaconv-benchmark-"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    from airflow_provider_metaconv.emulator import EmulatorServer, World, WorldSettings

    world = World.generate(WorldSettings(pages=2, messages=200, now=FIRST - timedelta(days=1)))
    with EmulatorServer(world) as graph, tempfile.TemporaryDirectory() as folder:
        extra = {"calls_per_second": 1000}
        connection = {"conn_type": "meta_graph", "host": graph.url, "password": graph.user_token, "extra": extra}
        os.environ["AIRFLOW_CONN_META_GRAPH_DEFAULT"] = json.dumps(connection)

        def calls() -> int:
            return int(graph.statistics()["calls"])

        compare(local_folder(Path(folder)), calls)
        with bucket() as place:
            compare(place, calls)


def local_folder(folder: Path) -> Place:
    """A folder; its requests are the file system operations below it."""
    from airflow_provider_metaconv.files.storage.local import LocalStorage

    counted = [0]

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        watched = event in ("open", "os.rename", "os.remove", "os.listdir", "os.scandir", "os.mkdir")
        if watched and str(arguments[0]).startswith(str(folder)):
            counted[0] += 1

    sys.addaudithook(count)
    return Place("a folder", lambda below: LocalStorage(folder / below), lambda: counted[0])


@contextmanager
def bucket() -> Iterator[Place]:
    """A bucket on a local storage server, for the duration of the context."""
    from google.api_core.client_options import ClientOptions
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    from airflow_provider_metaconv.files.storage.gcs import GCSStorage
    from local_servers.servers import StorageServer

    with StorageServer() as server:
        options = ClientOptions(api_endpoint=server.url)
        created = storage.Client("example-project", AnonymousCredentials(), client_options=options).create_bucket(
            "bucket"
        )
        yield Place("a bucket", lambda below: GCSStorage(created, below), lambda: len(server.requests))


def compare(place: Place, calls: Callable[[], int]) -> None:
    """A year of windows of one Page; then its next runs alternate with the first runs of another Page."""
    print(f"into {place.name}:")
    fill(place, range(HOURS))
    started, before = time.perf_counter(), place.requests()
    listed = covered_by_listing(place, FIRST + timedelta(hours=HOURS))
    seconds = time.perf_counter() - started
    report("finding the gap by listing every window, as in 0.1", seconds, place.requests() - before)
    assert listed == FIRST + timedelta(hours=HOURS)
    rebuild(place)
    first, last = [], []
    for number in range(WARM_UP + ROUNDS):
        first.append(run(place, calls, NEW, number))
        last.append(run(place, calls, OLD, HOURS + number))
    first, last = first[WARM_UP:], last[WARM_UP:]
    for name, runs in (("one of the first runs", first), (f"a run after {HOURS:,} windows", last)):
        _, requests, sent = (statistics.median(values) for values in zip(*runs, strict=True))
        report(name, fastest(runs), int(requests), f", {sent:.0f} calls")
    ratio = statistics.median(late[0] / early[0] for early, late in zip(first, last, strict=True))
    print(f"  ratio of the times: {ratio:.2f} (median of {ROUNDS} pairs)")
    size = len(place.open_storage(folder_of(OLD)).read("_coverage.json"))
    print(f"  size of the record after {HOURS + WARM_UP + ROUNDS:,} windows: {size} bytes", flush=True)


def folder_of(page_id: str) -> str:
    """The folder with the windows of a Page."""
    return f"platform=messenger/page_id={page_id}"


def fastest(runs: list[tuple[float, int, int]]) -> float:
    """The time of the least disturbed run, in seconds."""
    return min(seconds for seconds, _, _ in runs)


def run(place: Place, calls: Callable[[], int], page_id: str, hour: int) -> tuple[float, int, int]:
    """Seconds, storage requests and Graph calls of the extract task for one hour."""
    from airflow.utils.types import DagRunType

    from airflow_provider_metaconv.operators.extract import MetaConversationsExtractOperator

    class Extract(MetaConversationsExtractOperator):
        def open_storage(self, folder: str) -> Any:
            return place.open_storage(folder)

    since = FIRST + timedelta(hours=hour)
    until = since + timedelta(hours=1)
    task = Extract(task_id="extract", page_id=page_id, platform="MESSENGER", since=since, until=until, fill_gaps=True)
    instance = SimpleNamespace(get_first_reschedule_date=lambda context: None, xcom_push=lambda key, value: None)
    dag_run = SimpleNamespace(run_type=DagRunType.SCHEDULED, start_date=since + timedelta(hours=1))
    logging.disable(logging.WARNING)
    before = place.requests(), calls()
    started = time.perf_counter()
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        task.execute({"ti": instance, "dag_run": dag_run})  # type: ignore[typeddict-item]
    return time.perf_counter() - started, place.requests() - before[0], calls() - before[1]


def fill(place: Place, hours: range) -> None:
    """Writes the manifests that runs for these hours would have written."""
    from airflow_provider_metaconv.files import MANIFEST_NAME, Manifest, window_id

    for hour in hours:
        since, until = FIRST + timedelta(hours=hour), FIRST + timedelta(hours=hour + 1)
        manifest = Manifest(OLD, "MESSENGER", since.isoformat(), until.isoformat(), ())
        folder = place.open_storage(f"{folder_of(OLD)}/window={window_id(since, until)}")
        folder.publish_bytes(manifest.to_bytes(), MANIFEST_NAME, durable=False)


def covered_by_listing(place: Place, start: datetime) -> datetime:
    """What release 0.1 did for each Page before each run: parse and sort the names of all windows."""
    from airflow_provider_metaconv.files import MANIFEST_NAME

    windows = place.open_storage(f"{folder_of(OLD)}/window=next").siblings(MANIFEST_NAME)
    names = sorted(window.uri(MANIFEST_NAME).split("/")[-2].removeprefix("window=") for window in windows)
    spans = [[datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) for text in n.split("_")] for n in names]
    end = spans[0][0]
    for since, until in spans:
        if since > end:
            break
        end = max(end, until)
    return min(end, start)


def rebuild(place: Place) -> None:
    """The first run after an upgrade: there is no record, so all manifests are read once."""
    from airflow_provider_metaconv.files.coverage_record import COVERAGE_NAME, read_coverage, record_window

    page = place.open_storage(folder_of(OLD))
    page.delete(COVERAGE_NAME)
    started, before = time.perf_counter(), place.requests()
    known = read_coverage(page)
    last = FIRST + timedelta(hours=HOURS)
    record_window(page, last - timedelta(hours=1), last, complete=True, known=known)
    report("rebuilding the record, once", time.perf_counter() - started, place.requests() - before)


def report(what: str, seconds: float, requests: int, more: str = "") -> None:
    """Prints one line of the report."""
    print(f"  {what}: {1_000 * seconds:.1f} ms, {requests} storage requests{more}", flush=True)


if __name__ == "__main__":
    main()

"""A million messages through a bucket into BigQuery: ``make benchmark-gcp``. Figures, not asserts.

The servers are local, so the seconds say little about Google's. What counts is the number of requests, for a small and
a large run, and the speed of our upload compared with a bare ``blob.upload_from_filename`` of the same files.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage

from airflow_provider_metaconv.files.storage.gcs import GCSStorage, parse_gs_uri
from airflow_provider_metaconv.load import load_manifests
from airflow_provider_metaconv.warehouse.bigquery import BigQueryWarehouse
from local_servers.servers import BigQueryServer, StorageServer
from tests.benchmarks import sample_rows
from tests.benchmarks.sample_rows import write_window

ROUNDS = 3


def main() -> None:
    """Prints the ratio of the upload speeds, then requests and seconds of a small and a large run, for both formats."""
    with (
        tempfile.TemporaryDirectory() as folder,
        StorageServer(Path(folder) / "objects") as objects,
        BigQueryServer(objects.direct_url) as tables,
    ):
        anonymous = AnonymousCredentials()
        options = ClientOptions(api_endpoint=objects.direct_url)
        bucket = storage.Client("example-project", anonymous, client_options=options).create_bucket("example-bucket")
        compare_uploads(bucket, Path(folder))
        for file_format in ("ndjson", "parquet"):
            for messages in (10_000, 1_000_000):
                run(objects, tables, messages, file_format)


def compare_uploads(bucket: storage.Bucket, folder: Path) -> None:
    """Compares our upload with a bare one, alternately, for ten files of 20 MB."""
    sources = [folder / f"source-{number}" for number in range(10)]
    for source in sources:
        source.write_bytes(random.Random(source.name).randbytes(20_000_000))
    ratios = []
    for number in range(ROUNDS):
        started = time.perf_counter()
        for source in sources:
            bucket.blob(f"bare-{number}/{source.name}").upload_from_filename(source)
        bare = time.perf_counter() - started
        ours = _publish_all(GCSStorage(bucket, f"ours-{number}"), sources)
        ratios.append(bare / ours)
        print(f"200 MB: bare upload_from_filename {bare:.2f} s, ours {ours:.2f} s")
    print(f"our speed relative to the bare upload: {statistics.median(ratios):.2f} (median of {ROUNDS})", flush=True)


def _publish_all(destination: GCSStorage, sources: list[Path]) -> float:
    seconds = 0.0
    with destination.lock():
        for source in sources:
            temporary = destination.temporary()
            temporary.write_bytes(source.read_bytes())
            started = time.perf_counter()
            destination.publish(temporary, source.name)
            seconds += time.perf_counter() - started
    return seconds


def run(objects: StorageServer, tables: BigQueryServer, messages: int, file_format: str) -> None:
    """Writes so many messages into the bucket and loads them twice; counts the requests of each step."""
    anonymous = AnonymousCredentials()
    client = storage.Client("example-project", anonymous, client_options=ClientOptions(api_endpoint=objects.url))
    warehouse = bigquery.Client(tables.project, anonymous, client_options=ClientOptions(api_endpoint=tables.url))
    name = f"{file_format}_{messages}"
    place = GCSStorage(client.bucket("example-bucket"), name)
    objects.forget_requests()
    started = time.perf_counter()
    manifest = write_window(place, file_format, sample_rows.messages(messages))
    report(f"{messages:,} messages as {file_format} into {len(manifest.files)} parts", started, objects.requests)

    def open_storage(uri: str) -> GCSStorage:
        bucket, folder = parse_gs_uri(uri)
        return GCSStorage(client.bucket(bucket), folder)

    for attempt in ("loaded", "loaded again"):
        objects.forget_requests()
        tables.forget_requests()
        started = time.perf_counter()
        with BigQueryWarehouse(warehouse, name) as opened:
            result = load_manifests([place.uri("_manifest.json")], opened, open_storage)
        counted = result.tables["messages"]
        report(f"  {attempt}: {counted}", started, objects.requests)
        report("  BigQuery", started, tables.requests)


def report(what: str, started: float, requests: list[str]) -> None:
    """Prints one line: seconds, and requests by method."""
    kinds = Counter(request.split()[0] for request in requests)
    print(f"{what}: {time.perf_counter() - started:.1f} s, {len(requests)} requests {dict(kinds)}", flush=True)


if __name__ == "__main__":
    main()

"""Unusual destinations and windows: they work with both warehouses, or fail in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_metaconv.emulator import EmulatorServer, World, WorldSettings
from airflow_provider_metaconv.files.errors import StorageRefusedError
from airflow_provider_metaconv.load.load import load_manifests
from airflow_provider_metaconv.operators.extract import MetaConversationsToStorageOperator
from airflow_provider_metaconv.operators.load import MetaConversationsToDuckDBOperator
from airflow_provider_metaconv.warehouse.duckdb import DuckDBWarehouse
from local_servers.servers import BigQueryServer, StorageServer, client_environment

NOW = datetime(2026, 11, 20, tzinfo=UTC)

WORKS = {
    "a space": "a b",
    "spaces around": " a ",
    "percent": "a%20b%",
    "quotes": "a'b\"c`d",
    "SQL": "a';--",
    "shell": "$(a)|&;<>~!",
    "umlauts": "äöü",
    "wide": "日本語",
    "emoji": "😀",
    "fragment": "a#b",
    "query": "a=b&c",
    "like a partition": "page_id=5",
    "colon": "a:b",
    "long": "x" * 200,
    "hidden": ".a",
    "option": "-rf",
}
PATTERNS = {
    "star": "a*b",
    "stars": "**",
    "question mark": "a?b",
    "class": "[ab]",
    "half a class": "a[b]]",
    "braces": "{a,b}",
}
REFUSED = {
    "NUL": ("a\0b", "destination must not contain control characters"),
    "newline": ("a\nb", "destination must not contain control characters"),
    "escape": ("a\x1b[31mb", "destination must not contain control characters"),
    "line separator": ("a\u2028b", "destination must not contain control characters"),
    "unpaired surrogate": ("a\udcffb", "unpaired surrogates"),
    "backslash": ("a\\b", "destination must not contain a backslash: use / between folders"),
    "backslash and star": ("a\\*b", "destination must not contain a backslash"),
    "name too long": ("x" * 300, "the name is too long"),
    "too long": ("x/" * 3000, "destination must not be longer than 4,096 characters"),
}
SINCE = [
    "0001-01-01T00:00:00+00:00",
    "0001-01-01T05:00:00+05:00",
    "0999-12-31T23:59:59+00:00",
    "1900-01-01T00:00:00+00:00",
    "1969-12-31T23:59:59.999999+00:00",
]


class TaskInstance:
    """What the operator uses of Airflow's task instance."""

    def get_first_reschedule_date(self, context: Any) -> None:
        return None

    def xcom_push(self, key: str, value: Any) -> None:
        """Links that the operator shows while it runs."""


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorServer]:
    with EmulatorServer(World.generate(WorldSettings(pages=1, messages=30, now=NOW))) as server:
        yield server


def extracted(destination: str, **arguments: Any) -> str:
    """Extracts to ``destination`` and returns the manifest's path."""
    settings = {"page_id": "100", "platform": "MESSENGER", "since": None, "until": NOW, **arguments}
    task = MetaConversationsToStorageOperator(task_id="extract", destination=destination, **settings)
    return str(task.execute({"ti": TaskInstance()})["manifest"])  # type: ignore[typeddict-item]


def loaded(manifests: list[str], database: Path) -> int:
    """Loads the manifests into DuckDB and returns the number of messages inserted."""
    with DuckDBWarehouse(database) as warehouse:
        return load_manifests(manifests, warehouse).tables["messages"].inserted


@pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
@pytest.mark.parametrize("name", (WORKS | PATTERNS).values(), ids=WORKS | PATTERNS)
def test_folders_with_unusual_names_are_written_and_loaded(
    server: EmulatorServer, tmp_path: Path, name: str, file_format: str
) -> None:
    manifest = extracted(f"{tmp_path}/{name}", file_format=file_format)
    assert Path(manifest).is_relative_to(tmp_path / name)
    assert server.ground_truth("100", "MESSENGER", None, NOW).messages == loaded([manifest], tmp_path / "x.duckdb") > 0


@pytest.mark.parametrize(("name", "expected"), REFUSED.values(), ids=REFUSED)
def test_an_impossible_folder_fails_in_one_line_before_any_call(
    server: EmulatorServer, tmp_path: Path, name: str, expected: str
) -> None:
    calls = server.statistics()["calls"]
    with pytest.raises(Exception, match=expected) as caught:
        extracted(f"{tmp_path}/{name}")
    assert "\n" not in str(caught.value)
    assert (calls, []) == (server.statistics()["calls"], list(tmp_path.iterdir()))


@pytest.mark.parametrize("since", SINCE)
def test_a_window_since_year_one_contains_every_message(server: EmulatorServer, tmp_path: Path, since: str) -> None:
    manifest = extracted(str(tmp_path / "files"), since=since)
    assert server.ground_truth("100", "MESSENGER", None, NOW).messages == loaded([manifest], tmp_path / "x.duckdb")
    again = extracted(str(tmp_path / "files"), since=since)
    assert manifest == again


@pytest.mark.parametrize(
    "uri", ["/data/\0/_manifest.json", "/data/\n/_manifest.json", "file:///data/\udcff/_manifest.json"]
)
def test_an_impossible_manifest_name_fails_in_one_line(tmp_path: Path, uri: str) -> None:
    task = MetaConversationsToDuckDBOperator(task_id="load", manifests=[uri], database=str(tmp_path / "x.duckdb"))
    with pytest.raises(AirflowFailException, match="manifests must not contain control characters") as caught:
        task.execute({"ti": TaskInstance()})  # type: ignore[typeddict-item]
    assert "\n" not in str(caught.value)


@pytest.fixture
def google(
    storage_server: StorageServer, bigquery_server: BigQueryServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """A new bucket and dataset, and the connection to them."""
    pytest.importorskip("airflow.providers.google", reason="needs the extra google")
    from tests.integration.files.conftest import connect
    from tests.integration.warehouse.bigquery_dataset import TemporaryDataset

    for name, value in client_environment(storage_server, bigquery_server).items():
        monkeypatch.setenv(name, value)
    google = {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True, "project": bigquery_server.project}}
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", json.dumps(google))
    with TemporaryDataset(bigquery_server) as dataset:
        dataset.bucket = connect(storage_server).create_bucket(f"b-{dataset.name.replace('_', '-')}").name
        yield dataset


@pytest.mark.timeout(300)
def test_bigquery_loads_from_folders_with_unusual_names(server: EmulatorServer, google: Any, tmp_path: Path) -> None:
    from airflow_provider_metaconv.hooks.google_cloud import GoogleCloud

    # Local files are uploaded one by one, which takes time; DuckDB reads them from every one of these folders.
    local = [WORKS[name] for name in ("percent", "quotes", "umlauts")]
    places = [f"{tmp_path}/{name}" for name in (*local, *PATTERNS.values())]
    places += [f"gs://{google.bucket}/{name}" for name in WORKS.values()]
    manifests = [extracted(place, since=SINCE[0]) for place in places]
    with google.warehouse() as warehouse:
        found = load_manifests(manifests, warehouse, GoogleCloud().open_storage).tables["messages"]
    truth = server.ground_truth("100", "MESSENGER", None, NOW).messages
    assert (len(places) * truth, truth) == (found.staged, found.inserted)


@pytest.mark.parametrize("name", PATTERNS.values(), ids=PATTERNS)
def test_a_wildcard_in_a_bucket_folder_fails_in_one_line(server: EmulatorServer, google: Any, name: str) -> None:
    with pytest.raises(StorageRefusedError, match="a folder in a bucket must not contain") as caught:
        extracted(f"gs://{google.bucket}/{name}")
    assert "\n" not in str(caught.value)

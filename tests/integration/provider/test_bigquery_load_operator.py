"""The BigQuery load operator with real servers: it loads what the manifests list now, from buckets too."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

pytest.importorskip("airflow.providers.google", reason="needs the extra google")

from airflow.sdk.exceptions import TaskDeferred
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from airflow_provider_metaconv.files import MANIFEST_NAME, Manifest, PartsWriter, Storage
from airflow_provider_metaconv.hooks.google_cloud import GoogleCloud
from airflow_provider_metaconv.load import LoadError
from airflow_provider_metaconv.operators.load import MetaConversationsToBigQueryOperator
from airflow_provider_metaconv.schema import MESSAGES
from airflow_provider_metaconv.warehouse import SourceFileError, bigquery
from local_servers.servers import BigQueryServer, StorageServer, client_environment
from tests.integration.load.test_belonging import MESSAGE, SINCE, UNTIL


class TaskInstance:
    """What the operator uses of Airflow's task instance."""

    dag_id, task_id, map_index = "dag", "load", -1

    def __init__(self) -> None:
        self.run_id = uuid.uuid4().hex

    def xcom_push(self, key: str, value: Any) -> None:
        """Links do not matter here."""


@dataclass
class Window:
    """A window's folder in a bucket; it can be published again under other names."""

    storage: Storage

    def publish(self, row: Mapping[str, Any] = MESSAGE, number: int = 0) -> str:
        for name in self.storage.names():
            self.storage.delete(name)
        with PartsWriter(self.storage, MESSAGES, first_number=number) as writer:
            writer.write([dict(row)])
        manifest = Manifest("100", "MESSENGER", SINCE, UNTIL, writer.published)
        self.storage.publish_bytes(manifest.to_bytes(), MANIFEST_NAME)
        return self.storage.uri(MANIFEST_NAME)


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch, storage_server: StorageServer, bigquery_server: BigQueryServer) -> Window:
    google = {
        "conn_type": "google_cloud_platform",
        "extra": {"is_anonymous": True, "project": bigquery_server.project},
    }
    environment = client_environment(storage_server, bigquery_server)
    for name, value in {**environment, "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(google)}.items():
        monkeypatch.setenv(name, value)
    options = ClientOptions(api_endpoint=storage_server.url)
    client = storage.Client(bigquery_server.project, AnonymousCredentials(), client_options=options)
    bucket = client.create_bucket(f"bucket-{uuid.uuid4().hex}")
    return Window(GoogleCloud().open_storage(f"gs://{bucket.name}/window"))


def operator(uri: str, **arguments: Any) -> MetaConversationsToBigQueryOperator:
    dataset = f"meta_{uuid.uuid4().hex}"
    return MetaConversationsToBigQueryOperator(task_id="load", manifests=uri, dataset=dataset, **arguments)


def published_again(window: Window, times: int) -> type[bigquery.BigQueryWarehouse]:
    """A warehouse whose window is published again ``times`` times just before its files are passed to BigQuery."""

    class RepublishedDuringLoad(bigquery.BigQueryWarehouse):
        left = times

        def begin(self, files: Any) -> Any:
            if RepublishedDuringLoad.left:
                window.publish(MESSAGE | {"text": "newer"}, number=RepublishedDuringLoad.left)
                RepublishedDuringLoad.left -= 1
            return super().begin(files)

    return RepublishedDuringLoad


def test_rows_in_a_bucket_must_match_their_manifest(window: Window) -> None:
    uri = window.publish(MESSAGE | {"page_id": "999"})
    with pytest.raises(LoadError, match=r"file gs://.*/messages-00000.* has rows of a different Page or platform"):
        operator(uri).execute({"ti": TaskInstance()})  # type: ignore[typeddict-item]


def test_a_bigquery_load_rereads_a_republished_window_once(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = window.publish()
    monkeypatch.setattr(bigquery, "BigQueryWarehouse", published_again(window, 1))
    counts = operator(uri).execute({"ti": TaskInstance()})  # type: ignore[typeddict-item]
    assert counts["messages"]["inserted"] == 1


@pytest.mark.parametrize("times", [1, 2])
def test_a_deferred_load_rereads_a_republished_window_once(
    window: Window, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    uri = window.publish()
    monkeypatch.setattr(bigquery, "BigQueryWarehouse", published_again(window, times))
    context: Any = {"ti": TaskInstance()}
    task = operator(uri, deferrable=True)

    def finish() -> Any:
        step = task.execute
        for _ in range(5):
            try:
                return step(context)
            except TaskDeferred as deferred:
                step = partial(task.execute_complete, event=deferred.trigger.state)
        raise AssertionError("the load does not end")

    if times == 1:
        assert finish()["messages"]["inserted"] == 1
    else:
        with pytest.raises(SourceFileError):
            finish()

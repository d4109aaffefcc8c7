"""Google Cloud in the provider: one connection for buckets and BigQuery, and errors with advice."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("airflow.providers.google", reason="needs the extra google")

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowNotFoundException
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import RefreshError, TransportError
from google.cloud import bigquery

from airflow_provider_metaconv.files.errors import StorageRefusedError
from airflow_provider_metaconv.files.storage.local import LocalStorage
from airflow_provider_metaconv.hooks.google_cloud import GoogleCloud
from airflow_provider_metaconv.operators.extract import (
    MetaConversationsToGCSOperator,
    MetaConversationsToStorageOperator,
)
from airflow_provider_metaconv.operators.load import MetaConversationsToBigQueryOperator
from airflow_provider_metaconv.triggers.bigquery_jobs import BigQueryJobsTrigger
from local_servers.servers import BigQueryServer, StorageServer

CONNECTION = "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT"


def connect(monkeypatch: pytest.MonkeyPatch, **extra: Any) -> None:
    monkeypatch.setenv(CONNECTION, json.dumps({"conn_type": "google_cloud_platform", "extra": extra}))


@pytest.fixture
def anonymous(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, is_anonymous=True, project="example-project")


def test_a_local_folder_needs_no_connection(tmp_path: Any) -> None:
    assert isinstance(GoogleCloud("no_such_connection").open_storage(str(tmp_path)), LocalStorage)


@pytest.mark.parametrize(
    "place", ["s3://key:s3cret@bucket/x", "GS://bucket/x", "gs:/bucket", "abfs://x@y/z", "http://x"]
)
def test_an_unsupported_destination_is_rejected_with_advice(place: str) -> None:
    scheme = place.partition(":")[0]
    with pytest.raises(StorageRefusedError) as caught:
        GoogleCloud("no_such_connection").open_storage(place)
    expected = f"{scheme}: addresses are not supported here: use a local folder or gs://bucket/prefix"
    assert str(caught.value) == expected


def test_a_missing_google_provider_is_reported_in_one_line() -> None:
    code = (
        "import sys; sys.modules['airflow.providers.google.cloud.hooks.bigquery'] = None\n"
        "from airflow_provider_metaconv.hooks.google_cloud import GoogleCloud\n"
        "try: GoogleCloud().bigquery_client()\n"
        "except ImportError as error: print(error)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    expected = "Google's provider is not installed: pip install 'airflow-provider-metaconv[google]'"
    assert printed.splitlines()[-1] == expected


def test_a_missing_google_connection_is_reported_with_advice() -> None:
    with pytest.raises(
        AirflowNotFoundException, match=r"Connection 'elsewhere' does not exist: .*AIRFLOW_CONN_ELSEWHERE"
    ):
        GoogleCloud("elsewhere").open_storage("gs://example-bucket/x")


@pytest.mark.parametrize(
    "extra",
    [
        {"keyfile_dict": '{"type": "service_account", "private_key": "-----SECRET-----"}'},
        {"keyfile_dict": "no json: SECRET"},
        {"key_path": "/no/such/file.json"},
    ],
    ids=["incomplete key", "no key", "no file"],
)
def test_an_unusable_key_is_reported_but_not_quoted(monkeypatch: pytest.MonkeyPatch, extra: Any) -> None:
    connect(monkeypatch, project="example-project", **extra)
    with pytest.raises(AirflowFailException, match="'google_cloud_default' yields no Google credentials") as caught:
        GoogleCloud().open_storage("gs://example-bucket/x")
    assert "SECRET" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("error", [TransportError("no route"), RefreshError("later", retryable=True)])
def test_a_transient_credentials_error_is_retried(
    anonymous: None, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(self: Any) -> None:
        raise error

    monkeypatch.setattr("airflow.providers.google.cloud.hooks.gcs.GCSHook.get_conn", fail)
    with pytest.raises(AirflowException, match="yields no Google credentials") as caught:
        GoogleCloud().open_storage("gs://example-bucket/x")
    assert not isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("name", ["", "-x"])
def test_an_invalid_bucket_name_is_reported(anonymous: None, name: str) -> None:
    with pytest.raises(
        StorageRefusedError, match=r"(the URI must have the form|is not a valid bucket name: use) gs://bucket/folder"
    ):
        GoogleCloud().open_storage(f"gs://{name}/x")


@pytest.mark.parametrize("prefix", ["", "meta/raw"])
def test_the_gcs_operator_writes_below_the_prefix(
    anonymous: None, storage_server: StorageServer, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage_server.url)
    expected = "/".join(filter(None, ["gs://example-bucket", prefix, "window/part"]))
    one = MetaConversationsToGCSOperator(
        task_id="one", page_id="100", platform="MESSENGER", bucket="gs://example-bucket", prefix=prefix
    )
    destination = "/".join(filter(None, ["gs://example-bucket", prefix]))
    other = MetaConversationsToStorageOperator(
        task_id="other", page_id="100", platform="MESSENGER", destination=destination
    )
    assert [operator.open_storage("window").uri("part") for operator in (one, other)] == [expected] * 2


def test_what_users_choose_is_templated() -> None:
    assert {"bucket", "prefix", "gcp_conn_id", "impersonation_chain", "since"} <= set(
        MetaConversationsToGCSOperator.template_fields
    )
    assert {"manifests", "dataset", "project_id", "location", "gcp_conn_id"} <= set(
        MetaConversationsToBigQueryOperator.template_fields
    )


@pytest.fixture
def queries(bigquery_server: BigQueryServer, monkeypatch: pytest.MonkeyPatch) -> bigquery.Client:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery_server.url)
    options = ClientOptions(api_endpoint=bigquery_server.url)
    return bigquery.Client("example-project", AnonymousCredentials(), client_options=options)


def fired(trigger: BigQueryJobsTrigger) -> Any:
    """The event of a trigger that was recreated from what Airflow stores of it."""
    path, arguments = trigger.serialize()
    assert path == f"{BigQueryJobsTrigger.__module__}.BigQueryJobsTrigger"

    async def wait() -> Any:
        again = BigQueryJobsTrigger(**json.loads(json.dumps(arguments)))
        return await asyncio.wait_for(anext(again.run()), 30)

    return asyncio.run(wait()).payload


def test_the_trigger_fires_when_all_jobs_are_done(anonymous: None, queries: bigquery.Client) -> None:
    statements = ["SELECT 1", "SELECT CAST('secret words' AS INT64)"]
    jobs = [[job.project, job.location, job.job_id] for job in map(queries.query, statements)]
    payload = fired(BigQueryJobsTrigger(jobs, {"step": 1}, "google_cloud_default", poll_interval=0.1))
    assert payload == {"step": 1}
    assert {queries.get_job(job_id, location=location).state for _, location, job_id in jobs} == {"DONE"}


def test_the_trigger_fires_for_an_unknown_job_too(anonymous: None, queries: bigquery.Client) -> None:
    jobs = [["example-project", None, "none"]]
    assert fired(BigQueryJobsTrigger(jobs, {"step": 1}, "google_cloud_default")) == {"step": 1}

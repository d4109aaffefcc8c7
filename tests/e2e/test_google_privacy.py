"""The DAG under each policy into a bucket and BigQuery: nothing that it leaves behind has what is hidden."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage

from airflow_provider_metaconv.emulator import EmulatorServer, Fault, World, WorldSettings
from airflow_provider_metaconv.schema import TABLES
from local_servers.servers import BigQueryServer, StorageServer, client_environment
from tests.e2e.conftest import Airflow
from tests.e2e.hidden import HIDDEN, KEY, NEVER_SHOWN, Hidden
from tests.e2e.leftovers import contents, leaks, unpacked

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BUCKET = "private-bucket"

DAG = """\
from airflow_provider_metaconv.dag import meta_conversations_dag

dag = meta_conversations_dag(
    "POLICY",
    pages=["100"],
    destination="gs://BUCKET/POLICY",
    warehouse="bigquery://PROJECT.privacy_POLICY",
    privacy="POLICY",
    privacy_conn_id="meta_privacy_key",
    create_views=False,  # they show a part of the tables
)
"""


@dataclass
class Stage:
    """Google's servers and an Airflow, and the world whose people are hidden."""

    folder: Path
    hidden: Hidden
    airflow: Airflow
    bucket: storage.Bucket
    bigquery: bigquery.Client

    def objects(self, policy: str) -> Iterator[tuple[str, bytes]]:
        """Every object's name, metadata and content, also unpacked."""
        for blob in self.bucket.list_blobs(prefix=f"{policy}/"):
            yield blob.name, repr((blob.name, blob.metadata)).encode()
            yield from unpacked(blob.name, blob.download_as_bytes())

    def rows(self, policy: str) -> Iterator[tuple[str, bytes]]:
        """Every table of the policy's dataset, all columns as text."""
        for table in self.bigquery.list_tables(f"privacy_{policy}"):
            found = self.bigquery.list_rows(self.bigquery.get_table(table.reference))
            written = [f"{value}\n{json.dumps(value, default=str)}" for row in found for value in row.values()]
            yield table.table_id, "\n".join(written).encode(errors="replace")

    def jobs(self) -> Iterator[tuple[str, bytes]]:
        """Every job's ID, labels and query."""
        for job in self.bigquery.list_jobs():
            yield "job", repr((job.job_id, job.labels, getattr(job, "query", ""))).encode()


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory,
    airflow_at: Any,
    storage_server: StorageServer,
    bigquery_server: BigQueryServer,
) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("google_privacy")
    world = World.generate(WorldSettings(pages=1, messages=120, now=NOW))
    project = bigquery_server.project
    known: dict[str, Any] = {"project": project, "credentials": AnonymousCredentials()}
    objects = storage.Client(**known, client_options=ClientOptions(api_endpoint=storage_server.url))
    tables = bigquery.Client(**known, client_options=ClientOptions(api_endpoint=bigquery_server.url))
    with EmulatorServer(world) as server:
        # Pages this short need calls for single conversations, whose paths name them.
        server.add_fault(Fault("page_size", edge="messages", size=2))
        extra = {"calls_per_second": 1000}
        connection = {"conn_type": "meta_graph", "host": server.url, "password": server.user_token, "extra": extra}
        google = {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True, "project": project}}
        (folder / "dags").mkdir()
        for policy in HIDDEN:
            text = DAG.replace("BUCKET", BUCKET).replace("PROJECT", project).replace("POLICY", policy)
            (folder / "dags" / f"{policy}_dag.py").write_text(text, "utf-8")
        environment = client_environment(storage_server, bigquery_server) | {
            "AIRFLOW_CONN_META_GRAPH_DEFAULT": json.dumps(connection),
            "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(google),
            "AIRFLOW_CONN_META_PRIVACY_KEY": json.dumps({"conn_type": "generic", "password": KEY}),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        }
        bucket = objects.create_bucket(BUCKET)
        yield Stage(folder, Hidden.of(world), airflow_at(folder, environment), bucket, tables)


@pytest.fixture(scope="module", params=HIDDEN)
def policy(request: pytest.FixtureRequest, stage: Stage) -> str:
    result = stage.airflow.run(file=f"{request.param}_dag", since="begin", until=NOW.isoformat())
    assert result["state"] == "success", stage.airflow.printed()[-3000:]
    return str(request.param)


def test_objects_show_nothing_that_is_hidden(stage: Stage, policy: str) -> None:
    assert stage.hidden.shown(HIDDEN[policy], stage.objects(policy)) == set()


def test_tables_show_nothing_that_is_hidden(stage: Stage, policy: str) -> None:
    rows = dict(stage.rows(policy))
    assert set(rows) >= {table.name for table in TABLES}
    assert stage.hidden.shown(HIDDEN[policy], rows.items()) == set()


def test_jobs_logs_xcom_and_the_metadata_database_show_nobody(stage: Stage, policy: str) -> None:
    kept = ((str(path), content) for path, _, content in contents(stage.folder))
    assert stage.hidden.shown(NEVER_SHOWN, [*stage.jobs(), *kept]) == set()
    assert leaks(stage.folder, {"privacy key": KEY}) == []


def test_the_search_finds_what_is_kept(stage: Stage, policy: str) -> None:
    """Pseudonymous data keeps conversations and messages; without them, the search would prove nothing."""
    kinds = ("conversation", "message")
    found = [
        {kind for kind, _ in stage.hidden.shown(kinds, places)}
        for places in (stage.objects(policy), stage.rows(policy))
    ]
    assert found == ([set(kinds)] * 2 if policy == "pseudonymous" else [set()] * 2)

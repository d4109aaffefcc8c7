"""A mapped extract and a load with two assets: the smallest DAG that shows everything, and what Airflow then shows."""

from __future__ import annotations

import os
from typing import Any

import pendulum
from airflow.sdk import Asset, dag

from airflow_provider_metaconv.operators.extract import MetaConversationsToLocalFilesystemOperator
from airflow_provider_metaconv.operators.load import MetaConversationsToDuckDBOperator

FOLDER = os.environ["OBSERVED_FOLDER"]


# OpenLineage records only the DAGs with this param, because a process for each event takes longer than most tasks.
@dag(schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), params={"_selective_enable_ol": True})
def observed() -> None:
    """Two platforms of one Page into one DuckDB file."""
    extract = MetaConversationsToLocalFilesystemOperator.partial(
        task_id="extract",
        page_id="100",
        destination=f"{FOLDER}/files",
        since=None,
        until="2026-11-20T00:00:00+00:00",
        map_index_template="{{ task.platform }}/{{ task.page_id }}",
    ).expand(platform=["MESSENGER", "INSTAGRAM"])
    MetaConversationsToDuckDBOperator(
        task_id="load",
        manifests=extract.output,
        database=f"{FOLDER}/warehouse.duckdb",
        outlets=[Asset("observed_messages"), Asset("observed_conversations")],
    )


observed()


def shown(run_id: str) -> dict[str, Any]:
    """What the API and the database show of a run."""
    return {"links": links(run_id), "events": events(run_id)}


def links(run_id: str) -> dict[str, Any]:
    """The links of each task, as the API returns them to the UI."""
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    client = TestClient(create_app(apps="core"))
    client.headers["Authorization"] = f"Bearer {client.get('/auth/token').json()['access_token']}"
    address = f"/api/v2/dags/observed/dagRuns/{run_id}/taskInstances"
    responses = {
        "extract[0]": client.get(f"{address}/extract/links", params={"map_index": 0}),
        "load": client.get(f"{address}/load/links"),
    }
    return {name: each.raise_for_status().json()["extra_links"] for name, each in responses.items()}


def events(run_id: str) -> dict[str, Any]:
    """The content of each asset's event."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.execute(
            select(AssetModel.name, AssetEvent.extra)
            .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            .where(AssetEvent.source_run_id == run_id)
        )
        return dict(found.tuples().all())

"""Runs the DAG ``observed`` in its own process. The last line of output is JSON with what Airflow then shows."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from importlib import import_module
from typing import Any


def main() -> None:
    """Runs the DAG, then queries the API and the database."""
    start_metrics()
    sys.path.insert(0, os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    run = import_module("observed").observed().test()
    shown = {"state": str(run.state), "links": links(run.run_id), "events": events()}
    sys.stdout.write(json.dumps(shown) + "\n")


def start_metrics() -> None:
    """Does what a worker does before a task: since Airflow 3.3 ``dag.test()`` alone sends no metrics."""
    with contextlib.suppress(ImportError, AttributeError):
        from airflow.sdk.observability import stats
        from airflow.sdk.observability.metrics import stats_utils

        stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)


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


def events() -> dict[str, Any]:
    """The content of each asset's event."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.execute(
            select(AssetModel.name, AssetEvent.extra).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        )
        return dict(found.tuples().all())


if __name__ == "__main__":
    main()

"""A mapped extract and a load with two assets: the smallest DAG that shows everything."""

from __future__ import annotations

import os

import pendulum
from airflow.sdk import Asset, dag

from airflow_provider_metaconv.operators.extract import MetaConversationsToLocalFilesystemOperator
from airflow_provider_metaconv.operators.load import MetaConversationsToDuckDBOperator

FOLDER = os.environ["OBSERVED_FOLDER"]


@dag(schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC"))
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

"""Two Pages whose tasks are told to end while they wait: one for an answer, the other for a rate limit."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag

from airflow_provider_metaconv.operators.extract import MetaConversationsToLocalFilesystemOperator


@dag(schedule=None)
def stops() -> None:
    """Each task is ended once, and tried again at once."""
    for task_id, page_id in {"hanging": "200", "limited": "201"}.items():
        MetaConversationsToLocalFilesystemOperator(
            task_id=task_id,
            page_id=page_id,
            platform="MESSENGER",
            since="begin",
            until="{{ var.value.until }}",
            destination="{{ var.value.destination }}",
            meta_conn_id="meta_graph_stops",
            execution_timeout=timedelta(seconds=4),
            retries=1,
            retry_delay=timedelta(seconds=1),
        )


stops()

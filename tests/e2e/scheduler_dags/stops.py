"""Pages whose tasks are stopped, by Airflow or by a person, while they wait for a response or a rate limit."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag

from airflow_provider_metaconv.operators.extract import MetaConversationsToLocalFilesystemOperator


@dag(schedule=None)
def stops() -> None:
    """Each task is stopped once; those that time out are retried at once."""
    timeout = timedelta(seconds=4)
    for task_id, page_id, longest in (("hanging", "200", timeout), ("limited", "201", timeout), ("ended", "202", None)):
        MetaConversationsToLocalFilesystemOperator(
            task_id=task_id,
            page_id=page_id,
            platform="MESSENGER",
            since="begin",
            until="{{ var.value.until }}",
            destination="{{ var.value.destination }}",
            meta_conn_id="meta_graph_stops",
            execution_timeout=longest,
            retries=1 if longest else 0,
            retry_delay=timedelta(seconds=1),
        )


stops()

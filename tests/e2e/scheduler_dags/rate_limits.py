"""Two Pages that reach a rate limit, one for each way to wait, and a task that needs a free worker meanwhile."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import dag, task

from airflow_provider_metaconv.operators.extract import MetaConversationsToLocalFilesystemOperator


def _extract(task_id: str, page_id: str, **more: Any) -> None:
    MetaConversationsToLocalFilesystemOperator(
        task_id=task_id,
        page_id=page_id,
        platform="MESSENGER",
        since="begin",
        until="{{ var.value.until }}",
        destination="{{ var.value.destination }}",
        priority_weight=10,
        **more,
    )


@dag(schedule=None)
def rate_limits() -> None:
    """The ways to wait, side by side."""
    _extract("reschedule", "100", retries=0)
    # An hour: an earlier retry proves that the policy has set the delay.
    _extract("retry", "101", on_rate_limit="retry", retries=2, retry_delay=timedelta(hours=1))

    @task
    def meanwhile() -> None:
        """Runs last because of its weight, when another task has freed its worker."""

    meanwhile()


rate_limits()

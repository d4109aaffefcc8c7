"""Mapped arguments that look like templates, as an attacker could send them, and a template of the DAG's author."""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_provider_metaconv.operators.extract import MetaConversationsToLocalFilesystemOperator

SENT = "{{ conn.meta_graph_default.password }}"


@dag(schedule=None)
def literals() -> None:
    """One destination per kind of template mark."""

    @task
    def plans(files: str) -> list[dict[str, str]]:
        """Values that could come from a run's params, a Variable or Meta."""
        return [{"page_id": "102", "destination": f"{files}/{place}"} for place in (SENT, "{# nothing #}")]

    MetaConversationsToLocalFilesystemOperator.partial(
        task_id="extract",
        platform="MESSENGER",
        since="2026-10-31T23:00:00+00:00",
        until="{{ var.value.until }}",
        retries=0,
        map_index_template="{{ task.page_id }} {{ task.platform }}",
    ).expand_kwargs(
        plans("{{ var.value.destination }}").map(MetaConversationsToLocalFilesystemOperator.literal_arguments)
    )


literals()

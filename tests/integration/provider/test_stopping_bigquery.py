"""A stopped load into BigQuery ends within two seconds and cancels its jobs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from airflow_provider_metaconv.operators.load import MetaConversationsToBigQueryOperator
from tests.integration.provider.test_stopping import ENDS, SECONDS_TO_END, end_of, left_over

pytest.importorskip("airflow.providers.google", reason="needs the extra google")

from airflow_provider_metaconv.triggers.bigquery_jobs import BigQueryJobsTrigger
from airflow_provider_metaconv.warehouse.bigquery import BigQueryStep, BigQueryWarehouse
from airflow_provider_metaconv.warehouse.bigquery.load_state import Staging


class Jobs:
    """A stand-in for BigQuery: jobs that never end, and the names of those that were cancelled."""

    project = "example-project"

    def __init__(self) -> None:
        self.cancelled: list[str] = []

    def get_job(self, job_id: str, **_: Any) -> Jobs:
        self.job_id = job_id
        return self

    state = "RUNNING"

    def reload(self, **_: Any) -> None:
        """It is still running."""

    def cancel_job(self, job_id: str, **_: Any) -> None:
        self.cancelled.append(job_id)


STEP = BigQueryStep(
    "example-project", "EU", (Staging("messages", "ndjson", "staging", 0, 1, ("job_1", "job_2")),), merge_job=None
)


@pytest.mark.parametrize("step", [STEP, replace(STEP, merge_job="merge_1")], ids=["load jobs", "merge"])
@pytest.mark.parametrize("way", ["timeout", "SIGTERM"])
def test_a_stopped_bigquery_load_cancels_its_jobs(
    monkeypatch: pytest.MonkeyPatch, way: str, step: BigQueryStep
) -> None:
    jobs = Jobs()
    warehouse = BigQueryWarehouse(jobs, "meta")  # type: ignore[arg-type]
    task = MetaConversationsToBigQueryOperator(task_id="load", manifests="unread", dataset="meta")
    monkeypatch.setattr(task, "load", lambda *_: warehouse.advance(step))
    error, seconds = end_of(task, way)
    assert (ENDS[way], True) == (type(error), seconds < SECONDS_TO_END)
    assert {job.job_id for job in step.jobs} == set(jobs.cancelled)
    assert left_over() == []


class AsyncJobs:
    """A stand-in for Google's asynchronous hook."""

    cancelled: ClassVar[list[tuple[str, str, str]]] = []

    def __init__(self, **_: Any) -> None:
        self.cancelled.clear()

    async def get_job_status(self, **_: Any) -> dict[str, str]:
        return {"status": "running"}

    async def cancel_job(self, job_id: str, project_id: str, location: str) -> None:
        self.cancelled.append((project_id, location, job_id))
        if job_id == "job_1":
            raise ConnectionError("secret words")


@pytest.mark.parametrize("has_on_kill", [True, False], ids=["Airflow calls on_kill", "Airflow only cancels"])
@pytest.mark.parametrize("state", ["failed", "deferred"])
def test_a_trigger_cancels_jobs_only_if_its_task_was_stopped(
    monkeypatch: pytest.MonkeyPatch, has_on_kill: bool, state: str
) -> None:
    monkeypatch.setattr("airflow.providers.google.cloud.hooks.bigquery.BigQueryAsyncHook", AsyncJobs)
    monkeypatch.setattr("airflow_provider_metaconv.triggers.bigquery_jobs.HAS_ON_KILL", has_on_kill)
    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", lambda **_: {"run_1": {"load": state}})
    instance = SimpleNamespace(dag_id="dag", task_id="load", run_id="run_1", map_index=-1)
    jobs = [["example-project", "EU", "job_1"], ["example-project", "EU", "job_2"]]

    async def cancelled() -> None:
        trigger = BigQueryJobsTrigger(jobs, {}, "google_cloud_default")
        trigger.task_instance = instance  # type: ignore[assignment]
        waiting = asyncio.ensure_future(anext(trigger.run()))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        if has_on_kill and state == "failed":
            assert AsyncJobs.cancelled == []
            await trigger.on_kill()

    asyncio.run(cancelled())
    assert (jobs if state == "failed" else []) == [list(each) for each in AsyncJobs.cancelled]

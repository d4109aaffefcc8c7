"""Waiting for BigQuery jobs in the triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

POLL_INTERVAL = 4.0
"""Seconds between two status requests for a job."""

HAS_ON_KILL = hasattr(BaseTrigger, "on_kill")
"""Whether Airflow (3.3 and later) calls ``on_kill`` when a user ends the task, and only then."""


class BigQueryJobsTrigger(BaseTrigger):
    """Fires once when all jobs have ended, successfully or not. The resumed task checks how they ended.

    Google's own trigger fires with the job's error text, which may quote a row and must not be logged. Each of ``jobs``
    is ``[project, location, job id]``. The trigger also fires if a job's status cannot be requested. The event is
    ``state``, which the task needs to continue: ``dag.test()`` passes a resumed task nothing but its event.
    """

    def __init__(
        self,
        jobs: Sequence[Sequence[str | None]],
        state: dict[str, Any],
        gcp_conn_id: str,
        impersonation_chain: str | Sequence[str] | None = None,
        poll_interval: float = POLL_INTERVAL,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.jobs = jobs
        self.state = state
        self.gcp_conn_id = gcp_conn_id
        self.impersonation_chain = impersonation_chain
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and arguments from which the triggerer recreates the trigger."""
        arguments = {
            "jobs": self.jobs,
            "state": self.state,
            "gcp_conn_id": self.gcp_conn_id,
            "impersonation_chain": self.impersonation_chain,
            "poll_interval": self.poll_interval,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll one job after another until all have ended."""
        hook = self._hook()
        try:
            for project, location, job_id in self.jobs:
                while await _is_running(hook, project, location, job_id):
                    await asyncio.sleep(self.poll_interval)
        except asyncio.CancelledError:
            # A triggerer that shuts down cancels its triggers too, and another one takes over.
            if not HAS_ON_KILL and not await self._is_still_deferred():
                await self.on_kill()
            raise
        yield TriggerEvent(self.state)  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Cancel the jobs when a user ends the task that waits for them."""
        hook = self._hook()
        cancelling = [
            hook.cancel_job(job_id=job_id, project_id=project, location=location)
            for project, location, job_id in self.jobs
        ]
        # A job that cannot be cancelled ends by itself, and the text of its error may quote a row.
        await asyncio.gather(*cancelling, return_exceptions=True)

    async def _is_still_deferred(self) -> bool:
        """Whether the task is still deferred, that is, no user has ended it."""
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        instance: Any = self.task_instance
        states = await asyncio.to_thread(
            RuntimeTaskInstance.get_task_states,
            dag_id=instance.dag_id,
            task_ids=[instance.task_id],
            run_ids=[instance.run_id],
            map_index=instance.map_index,
        )
        return any(state == "deferred" for tasks in states.values() for state in tasks.values())

    def _hook(self) -> Any:
        from airflow.providers.google.cloud.hooks.bigquery import BigQueryAsyncHook

        return BigQueryAsyncHook(
            gcp_conn_id=self.gcp_conn_id, impersonation_chain=self.impersonation_chain, use_legacy_sql=False
        )


async def _is_running(hook: Any, project: str | None, location: str | None, job_id: str | None) -> bool:
    try:
        status = await hook.get_job_status(job_id=job_id, project_id=project, location=location)
    except Exception:  # noqa: BLE001 - the task requests the status again and reports any error in one line
        return False
    return status["status"] not in ("success", "error")

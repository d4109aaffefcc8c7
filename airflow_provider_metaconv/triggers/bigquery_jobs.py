"""Waiting for BigQuery jobs without a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

POLL_INTERVAL = 4.0
"""Seconds between two questions for one job."""

TELLS_WHY = hasattr(BaseTrigger, "on_kill")
"""Whether Airflow (3.3 and later) calls ``on_kill`` where somebody ends the task, and only there."""


class BigQueryJobsTrigger(BaseTrigger):
    """Fires once when all jobs have ended, well or not: whoever waited looks at them and says what it means.

    Google's own trigger fires with the job's error text, which may quote a row; none of that may be logged. ``jobs``
    are ``[project, location, job id]`` each. A job that cannot be asked for fires as well. The event is ``state``, what
    the task needs to go on: ``dag.test()`` passes a resumed task its event and nothing else.
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
        """The class and its arguments, as the triggerer makes it again."""
        arguments = {
            "jobs": self.jobs,
            "state": self.state,
            "gcp_conn_id": self.gcp_conn_id,
            "impersonation_chain": self.impersonation_chain,
            "poll_interval": self.poll_interval,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Asks for one job after the other until none is at work any more."""
        hook = self._hook()
        try:
            for project, location, job_id in self.jobs:
                while await _is_at_work(hook, project, location, job_id):
                    await asyncio.sleep(self.poll_interval)
        except asyncio.CancelledError:
            # A triggerer that ends cancels as well, and another one goes on.
            if not TELLS_WHY and not await self._is_waited_for():
                await self.on_kill()
            raise
        yield TriggerEvent(self.state)  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Cancels the jobs, when somebody ends the task that waits for them."""
        hook = self._hook()
        cancelling = [
            hook.cancel_job(job_id=job_id, project_id=project, location=location)
            for project, location, job_id in self.jobs
        ]
        # What cannot be cancelled ends by itself, and its error's text may quote a row.
        await asyncio.gather(*cancelling, return_exceptions=True)

    async def _is_waited_for(self) -> bool:
        """Whether the task is still deferred: it was not ended by somebody."""
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


async def _is_at_work(hook: Any, project: str | None, location: str | None, job_id: str | None) -> bool:
    try:
        status = await hook.get_job_status(job_id=job_id, project_id=project, location=location)
    except Exception:  # noqa: BLE001 - whatever it is, the task asks again and says it in one line
        return False
    return status["status"] not in ("success", "error")

"""Settings of this Airflow for every DAG and worker, so that the sample DAG stays unchanged."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any


def task_policy(task: Any) -> None:
    """Retries at once: the test waits for Airflow to notice the retry, not for the delay."""
    task.retry_delay = timedelta(seconds=1)


def machine() -> str:
    """The name of this worker, as if it were a separate machine."""
    return os.environ.get("TEST_MACHINE", "main")

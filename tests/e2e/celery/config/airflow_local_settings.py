"""What this Airflow sets for every DAG and machine, so that the sample DAG itself stays as it is."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any


def task_policy(task: Any) -> None:
    """A retry comes back at once: the test waits for Airflow to notice that it is due, not for minutes to pass."""
    task.retry_delay = timedelta(seconds=1)


def machine() -> str:
    """The name of this worker, as if it were a machine of its own."""
    return os.environ.get("TEST_MACHINE", "main")

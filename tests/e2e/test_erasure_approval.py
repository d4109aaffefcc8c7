"""An erasure that a person must approve, with a real scheduler and triggerer: on the oldest supported Airflow.

On the current one it is part of ``test_scheduler.py``, whose Airflow it shares.
"""

from __future__ import annotations

import pytest

from tests.airflow_database import NewDatabase
from tests.e2e.approval import DAG_ID, Approval, ApprovalContract, approval_in
from tests.e2e.scheduler import PARTS, Scheduler

pytestmark = [pytest.mark.timeout(300), pytest.mark.scheduler]

SECONDS_FOR_A_RUN = 90


@pytest.fixture(scope="module")
def approval(tmp_path_factory: pytest.TempPathFactory, new_airflow_database: NewDatabase) -> Approval:
    home = tmp_path_factory.mktemp("approval")
    approval = approval_in(home, home / "dags")
    new_airflow_database(home / "airflow")
    parts = (*PARTS, ("triggerer", "--skip-serve-logs"))
    scheduler = Scheduler(home, home / "dags", {}, workers=2, parts=parts)
    try:
        scheduler.start(DAG_ID)
        approval.run(scheduler, SECONDS_FOR_A_RUN)
    finally:
        scheduler.stop()
    return approval


class TestApproval(ApprovalContract):
    """An erasure that is rejected, and one that is approved."""

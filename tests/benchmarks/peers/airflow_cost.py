"""The package's cost for Airflow itself: importing the operators and parsing the sample DAG, in fresh processes."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile

from local_servers.pinned_environment import REPOSITORY

TIMES = 5

_IMPORTS = """
import time
from airflow.sdk import DAG, BaseOperator, task
from airflow.providers.standard.operators.python import PythonOperator
started = time.perf_counter()
import airflow_provider_metaconv.operators.extract
import airflow_provider_metaconv.operators.load
print(time.perf_counter() - started)
"""
_PARSE = """
import sys, time
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag
from airflow.sdk import DAG, BaseOperator, task
started = time.perf_counter()
bag = DagBag(sys.argv[1])
seconds = time.perf_counter() - started
assert not bag.import_errors and bag.dags, bag.import_errors
print(seconds)
"""


def airflow_cost() -> dict[str, float]:
    """Seconds; each is the median of several fresh processes."""
    with tempfile.TemporaryDirectory(prefix="metaconv-bench-") as home:
        variables = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "false"}
        variables |= {"AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
        dag = str(REPOSITORY / "dags" / "meta_conversations.py")
        _seconds(_IMPORTS, variables)  # creates byte code and Airflow's files
        return {
            "importing the operators, beyond Airflow": _median(_IMPORTS, variables),
            "parsing dags/meta_conversations.py": _median(_PARSE, variables, dag),
        }


def _median(program: str, variables: dict[str, str], *arguments: str) -> float:
    return statistics.median(_seconds(program, variables, *arguments) for _ in range(TIMES))


def _seconds(program: str, variables: dict[str, str], *arguments: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=REPOSITORY,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-1000:])
    return float(done.stdout.split()[-1])

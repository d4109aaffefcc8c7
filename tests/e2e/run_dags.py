"""Runs DAGs in its own process: reads one JSON request per line from stdin, writes one JSON result per line to a file.

The caller keeps Airflow's output and searches it for secrets.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import runpy
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pendulum
from airflow import settings
from airflow.sdk import DAG
from airflow.sdk.execution_time import supervisor
from airflow.utils.db import initdb
from jsonschema import Draft202012Validator

# Airflow 3.1 builds its whole API again for each task of dag.test(): three quarters of the time. Later ones keep it.
supervisor.in_process_api_server = cache(supervisor.in_process_api_server)

# Each use of a param checks its schema again, hundreds of times in a run.
check_schema = Draft202012Validator.check_schema
checked = cache(lambda schema: check_schema(json.loads(schema)))
Draft202012Validator.check_schema = lambda schema: checked(json.dumps(schema))

# dag.test() sleeps for one second whenever no task is ready, several times in each run.
sleep = time.sleep
time.sleep = lambda seconds: sleep(0.02 if seconds == 1 else seconds)


def main() -> None:
    """Creates the database if there is none, then handles requests until stdin ends."""
    if not Path(os.environ["AIRFLOW_HOME"], "airflow.db").exists():
        initdb()
    start_metrics()

    # At DEBUG urllib3 prints the URL of each call, which contains the proof.
    logging.getLogger("urllib3").setLevel(logging.DEBUG)
    logging.getLogger("urllib3").addHandler(logging.StreamHandler(sys.stdout))

    with Path(sys.argv[1]).open("w", encoding="utf-8") as results:
        for line in sys.stdin:
            request = json.loads(line)
            with patch.dict(os.environ, request.pop("environment")):
                results.write(json.dumps(run(**request)) + "\n")
            results.flush()


def start_metrics() -> None:
    """Does what a worker does before a task: since Airflow 3.3 ``dag.test()`` alone sends no metrics."""
    with contextlib.suppress(ImportError, AttributeError):
        from airflow.sdk.observability import stats
        from airflow.sdk.observability.metrics import stats_utils

        stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)


def run(file: str, logical_date: str | None, conf: dict[str, Any]) -> dict[str, Any]:
    """Runs the DAG of a file once.

    Returns its state, the state and try number of each task instance, return values, and what else the file shows.
    """
    path = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"], f"{file}.py")
    # Before a run dag.test() parses and stores every DAG of this folder. If the run has its own, one file is enough.
    if str(path.parent) != settings.DAGS_FOLDER:
        settings.DAGS_FOLDER = str(path)
    # A new DAG object for each run: dag.test() keeps one run's params for the next.
    module = runpy.run_path(str(path))
    # Named as a variable or as the function that is decorated.
    dag = module["dag"] if isinstance(module.get("dag"), DAG) else module[file]()
    # A run from the CLI or API has no logical date.
    dag_run = dag.test(logical_date=logical_date and pendulum.parse(logical_date), run_conf=conf)
    tasks, returned = {}, {}
    for instance in dag_run.get_task_instances():
        name = instance.task_id + (f"[{instance.map_index}]" if instance.map_index >= 0 else "")
        tasks[name] = {"state": instance.state, "try": instance.try_number, "label": instance.rendered_map_index}
        returned[name] = instance.xcom_pull(task_ids=instance.task_id, map_indexes=instance.map_index)
    shown = module["shown"](dag_run.run_id) if "shown" in module else None
    return {"state": dag_run.state, "tasks": tasks, "returned": returned, "shown": shown}


main()

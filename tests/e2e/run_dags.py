"""Runs DAGs in its own process: reads one JSON request per line from stdin, writes one JSON result per line to a file.

The caller keeps Airflow's output and searches it for secrets.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import pendulum
from airflow.sdk import DAG
from airflow.sdk.execution_time import supervisor

# Airflow 3.1 builds its whole API again for each task of dag.test(): three quarters of the time. Later ones keep it.
supervisor.in_process_api_server = cache(supervisor.in_process_api_server)

# dag.test() sleeps for one second whenever no task is ready, several times in each run.
sleep = time.sleep
time.sleep = lambda seconds: sleep(0.02 if seconds == 1 else seconds)


def main() -> None:
    """Handles requests until stdin ends."""
    sys.path.insert(0, os.environ["AIRFLOW__CORE__DAGS_FOLDER"])

    # At DEBUG urllib3 prints the URL of each call, which contains the proof.
    logging.getLogger("urllib3").setLevel(logging.DEBUG)
    logging.getLogger("urllib3").addHandler(logging.StreamHandler(sys.stdout))

    with Path(sys.argv[1]).open("w", encoding="utf-8") as results:
        for line in sys.stdin:
            request = json.loads(line)
            os.environ["META_CONVERSATIONS_WAREHOUSE"] = request.pop("warehouse")
            # A new DAG object for each run: dag.test() keeps one run's params for the next.
            module = importlib.reload(importlib.import_module(name := request.pop("file")))
            # Named as a variable or as the function that is decorated.
            dag = module.dag if isinstance(getattr(module, "dag", None), DAG) else getattr(module, name)()
            results.write(json.dumps(run(dag, **request)) + "\n")
            results.flush()


def run(dag: Any, logical_date: str | None, conf: dict[str, Any]) -> dict[str, Any]:
    """Runs the DAG once; returns its state, the state and try number of each task instance, and return values."""
    # A run from the CLI or API has no logical date.
    dag_run = dag.test(logical_date=logical_date and pendulum.parse(logical_date), run_conf=conf)
    tasks, returned = {}, {}
    for instance in dag_run.get_task_instances():
        name = instance.task_id + (f"[{instance.map_index}]" if instance.map_index >= 0 else "")
        tasks[name] = {"state": instance.state, "try": instance.try_number, "label": instance.rendered_map_index}
        returned[name] = instance.xcom_pull(task_ids=instance.task_id, map_indexes=instance.map_index)
    return {"state": dag_run.state, "tasks": tasks, "returned": returned}


main()

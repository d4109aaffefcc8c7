"""Runs DAGs in a process of its own: a JSON request a line on stdin, a JSON result a line in a file.

Airflow writes to stdout what it likes; the caller keeps that and looks for secrets in it.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pendulum


def main() -> None:
    """Answers requests until stdin ends."""
    sys.path.insert(0, os.environ["AIRFLOW__CORE__DAGS_FOLDER"])

    # The loudest library on the way: at DEBUG it prints the URL of each call, which holds the proof.
    logging.getLogger("urllib3").setLevel(logging.DEBUG)
    logging.getLogger("urllib3").addHandler(logging.StreamHandler(sys.stdout))

    with Path(sys.argv[1]).open("w", encoding="utf-8") as results:
        for line in sys.stdin:
            request = json.loads(line)
            os.environ["META_CONVERSATIONS_WAREHOUSE"] = request.pop("warehouse")
            # A DAG object of its own for each run: dag.test() keeps one run's params for the next.
            dag = importlib.reload(importlib.import_module(request.pop("file"))).dag
            results.write(json.dumps(run(dag, **request)) + "\n")
            results.flush()


def run(dag: Any, logical_date: str | None, conf: dict[str, Any]) -> dict[str, Any]:
    """One run: its state, the state and try number of every task instance, and what each task returned."""
    # A run from CLI or API has no logical date.
    dag_run = dag.test(logical_date=logical_date and pendulum.parse(logical_date), run_conf=conf)
    tasks, returned = {}, {}
    for instance in dag_run.get_task_instances():
        name = instance.task_id + (f"[{instance.map_index}]" if instance.map_index >= 0 else "")
        tasks[name] = {"state": instance.state, "try": instance.try_number, "label": instance.rendered_map_index}
        returned[name] = instance.xcom_pull(task_ids=instance.task_id, map_indexes=instance.map_index)
    return {"state": dag_run.state, "tasks": tasks, "returned": returned}


main()

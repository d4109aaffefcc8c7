"""Airflow in a process of its own that runs the sample DAG whenever it is told: started once, for several runs.

``python -m airflow_provider_metaconv.demo.runs RESULTS`` reads a JSON object a line, ``logical_date`` and ``conf``, and
appends a line with the run's state to the file RESULTS. What Airflow prints goes to stdout.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Runs the DAG for each line of stdin, through ``dag.test()``."""
    import pendulum

    sys.path.insert(0, os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    sample = importlib.import_module("meta_conversations")
    with Path(sys.argv[1]).open("a", encoding="utf-8") as results:
        for line in sys.stdin:
            request = json.loads(line)
            # A DAG object of its own for each run: dag.test() keeps one run's params for the next.
            dag = importlib.reload(sample).dag
            run = dag.test(logical_date=pendulum.parse(request["logical_date"]), run_conf=request["conf"])
            results.write(f"{run.state}\n")
            results.flush()


if __name__ == "__main__":
    main()

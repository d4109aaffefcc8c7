"""A separate Airflow process that runs the sample DAGs on request, so that Airflow starts only once for several runs.

``python -m airflow_provider_metaconv.demo.runs RESULTS`` reads one JSON object per line, with ``dag``, ``logical_date``
and ``conf``, and appends a line with the run's state to the file RESULTS. Airflow's output goes to stdout.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

APPROVAL = "approve"
"""The demo approves its own erasure: this task of ``meta_erasure`` is marked as successful, and asks nobody."""


def main() -> None:
    """Run the DAG for each line of stdin, with ``dag.test()``."""
    import pendulum

    sys.path.insert(0, os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    with Path(sys.argv[1]).open("a", encoding="utf-8") as results:
        for line in sys.stdin:
            request = json.loads(line)
            # Each run gets its own DAG object, because dag.test() keeps one run's params for the next.
            dag = importlib.reload(importlib.import_module(request["dag"])).dag
            date = pendulum.parse(request["logical_date"])
            run = dag.test(logical_date=date, run_conf=request["conf"], mark_success_pattern=APPROVAL)
            results.write(f"{run.state}\n")
            results.flush()


if __name__ == "__main__":
    main()

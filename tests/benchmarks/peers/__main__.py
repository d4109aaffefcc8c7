"""Compares this provider with other libraries: ``python -m tests.benchmarks.peers``. Figures, not asserts.

Figures are stored in ``results.json`` as they arrive, so that a part can be measured again alone. ``--redraw`` only
prints and draws the stored ones.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from local_servers.pinned_environment import REPOSITORY, EnvironmentFailed
from local_servers.pythons import PythonMissing
from tests.benchmarks.peers.airflow_cost import airflow_cost
from tests.benchmarks.peers.chart import chart
from tests.benchmarks.peers.competitors import COMPETITORS, Competitor
from tests.benchmarks.peers.environments import FOLDER
from tests.benchmarks.peers.loading import loading_cost
from tests.benchmarks.peers.measure import ATTEMPTS, Result, measure, wait_for_quiet
from tests.benchmarks.peers.report import report
from tests.benchmarks.peers.shapes import SHAPES, Shape
from tests.benchmarks.peers.sizes import growth, size_study
from tests.benchmarks.peers.table import Results, summary

RESULTS = FOLDER / "results.json"
CHART, PAGE = REPOSITORY / "docs" / "benchmark.svg", REPOSITORY / "docs" / "benchmark.md"
EMPTY: dict[str, Any] = {"runs": {}, "airflow": {}, "loading": {}, "sizes": [], "growth": []}


def main() -> None:
    """Measures what the arguments select, then writes the page of tables and draws the chart."""
    arguments = _arguments()
    kept = EMPTY | (json.loads(RESULTS.read_text()) if RESULTS.exists() else {})
    if not arguments.redraw:
        for shape, competitor in _plan(arguments):
            _keep(kept, _measured(competitor, shape, arguments))
        if not (arguments.competitor or arguments.shape):
            wait_for_quiet(arguments.patience)
            kept |= {"airflow": airflow_cost(), "loading": loading_cost()}
            kept |= {"sizes": list(size_study()), "growth": list(growth())}
        kept["machine"] = _machine()
        RESULTS.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    results = Results(list(kept["runs"].values()))
    page = report(kept, results)
    print(page)
    PAGE.write_text(page)
    CHART.write_text(chart(results, [*_caption(kept["machine"]), summary(results)]))
    print(f"Written: {PAGE.relative_to(REPOSITORY)}, {CHART.relative_to(REPOSITORY)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers", description=__doc__.splitlines()[0])
    parser.add_argument("--shape", action="append", choices=list(SHAPES), help="only this one; may be repeated")
    parser.add_argument("--competitor", action="append", help="only those whose name contains this; may be repeated")
    parser.add_argument("--attempts", type=int, default=ATTEMPTS, help="how often a disturbed run is repeated")
    parser.add_argument("--patience", type=float, default=60, help="seconds to wait for an idle machine before a run")
    parser.add_argument("--redraw", action="store_true", help="measure nothing")
    return parser.parse_args()


def _plan(arguments: argparse.Namespace) -> Iterator[tuple[Shape, Competitor]]:
    for name in arguments.shape or SHAPES:
        shape = SHAPES[name]
        for competitor in COMPETITORS:
            wanted = not arguments.competitor or any(part in competitor.name for part in arguments.competitor)
            if wanted and competitor.takes(shape):
                # Shapes with a latency are measured at both. In incremental shapes only the calls count.
                yield shape, competitor
                if shape.latency_ms and not shape.incremental:
                    yield shape.at(0), competitor


def _measured(competitor: Competitor, shape: Shape, arguments: argparse.Namespace) -> Result:
    try:
        result = measure(competitor, shape, arguments.attempts, arguments.patience)
    except (EnvironmentFailed, PythonMissing) as error:
        result = Result(shape.name, shape.latency_ms, competitor.name, shape.messages, failure=str(error)[:200])
    print(
        f"{shape.name:6}{shape.latency_ms:3} ms  {competitor.name:34}{result.calls:6} calls {result.seconds:7.2f} s "
        f"{result.peak_mb:6.0f} MB  {result.missing} missing  others {result.other_cores:.2f} {result.failure}",
        flush=True,
    )
    return result


def _keep(kept: dict[str, Any], result: Result) -> None:
    kept["runs"][f"{result.shape} {result.latency_ms} {result.competitor}"] = asdict(result)
    kept.setdefault("machine", _machine())
    RESULTS.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def _machine() -> str:
    python = ".".join(map(str, sys.version_info[:2]))
    return f"{os.cpu_count()} cores, {platform.system()}, Python {python}, {datetime.now(UTC):%Y-%m-%d}"


def _caption(machine: str) -> list[str]:
    pins = []
    for name in ("facebook_business", "pyfacebook", "airbyte_cdk", "dlt"):
        lines = (FOLDER / "requirements" / f"{name}.txt").read_text().splitlines()
        peer = {"pyfacebook": "python-facebook-api"}.get(name, name.replace("_", "-"))
        pins += [line.replace("==", " ") for line in lines if line.startswith(f"{peer}==")]
    return [
        "The same limits for all except “its own sizes”; our pacing is off. Each run has a fresh process and server.",
        f"{'; '.join(pins)}; {machine}. make bench",
    ]


if __name__ == "__main__":
    main()

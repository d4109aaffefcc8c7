"""We and our peers, side by side: ``python -m tests.benchmarks.peers``. Figures, not asserts.

Figures are kept in ``results.json`` beside this file as they come, so that a part can be measured again by itself;
``--redraw`` only prints and draws what is there.
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
from tests.benchmarks.peers.contestants import CONTESTANTS, Contestant
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
    """Measures what the arguments ask for, then writes the page of tables and draws the picture."""
    asked = _arguments()
    kept = EMPTY | (json.loads(RESULTS.read_text()) if RESULTS.exists() else {})
    if not asked.redraw:
        for shape, contestant in _plan(asked):
            _keep(kept, _measured(contestant, shape, asked))
        if not (asked.contestant or asked.shape):
            wait_for_quiet(asked.patience)
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
    parser.add_argument("--contestant", action="append", help="only those whose name has this; may be repeated")
    parser.add_argument("--attempts", type=int, default=ATTEMPTS, help="how often a disturbed run is repeated")
    parser.add_argument("--patience", type=float, default=60, help="seconds to wait for a quiet machine before a run")
    parser.add_argument("--redraw", action="store_true", help="measure nothing")
    return parser.parse_args()


def _plan(asked: argparse.Namespace) -> Iterator[tuple[Shape, Contestant]]:
    for name in asked.shape or SHAPES:
        shape = SHAPES[name]
        for contestant in CONTESTANTS:
            wanted = not asked.contestant or any(part in contestant.name for part in asked.contestant)
            if wanted and contestant.takes(shape):
                # At both latencies where there is one; only the calls count in the incremental shapes.
                yield shape, contestant
                if shape.latency_ms and not shape.incremental:
                    yield shape.at(0), contestant


def _measured(contestant: Contestant, shape: Shape, asked: argparse.Namespace) -> Result:
    try:
        result = measure(contestant, shape, asked.attempts, asked.patience)
    except (EnvironmentFailed, PythonMissing) as error:
        result = Result(shape.name, shape.latency_ms, contestant.name, shape.messages, failure=str(error)[:200])
    print(
        f"{shape.name:6}{shape.latency_ms:3} ms  {contestant.name:34}{result.calls:6} calls {result.seconds:7.2f} s "
        f"{result.peak_mb:6.0f} MB  {result.missing} missing  others {result.other_cores:.2f} {result.failure}",
        flush=True,
    )
    return result


def _keep(kept: dict[str, Any], result: Result) -> None:
    kept["runs"][f"{result.shape} {result.latency_ms} {result.contestant}"] = asdict(result)
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

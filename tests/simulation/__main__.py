"""``make simulate``: runs seeds until stopped, or one seed with its trace.

python -m tests.simulation [--seeds N] [--first N] [--stop-at-first] [--quiet] | --seed N | --scenario FILE
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from tests.simulation.attempts import simulate
from tests.simulation.coverage import TABLE_WIDTH, coverage_tables, never_triggered
from tests.simulation.generator import scenario
from tests.simulation.runner import Totals, run_seeds
from tests.simulation.scenario import Scenario
from tests.simulation.shrink import shrink

console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    """Returns 0 if nothing was found, otherwise 1."""
    given = _arguments()
    if given.scenario:
        return replay(Scenario.from_json(given.scenario.read_text()))
    if given.seed is not None:
        failing = scenario(given.seed)
        if given.whole or not simulate(failing).findings:
            return replay(failing)
        console.print(f"Seed {given.seed} fails. This is the smallest scenario found that fails in the same way:")
        return replay(shrink(failing))
    return run_many(given.first, given.seeds, given.processes, stop_at_first=given.stop_at_first, quiet=given.quiet)


def replay(one: Scenario) -> int:
    """Runs one scenario and prints its trace."""
    console.print(one.to_json(), markup=False)
    report = simulate(one, lambda line: console.print(line, markup=False))
    for finding in report.findings:
        console.print(f"FOUND {finding}", markup=False)
    if not report.findings:
        console.print(f"All guarantees hold: {report.attempts} attempts, {report.calls} calls.")
    return 1 if report.findings else 0


def run_many(first: int, seeds: int | None, processes: int | None, *, stop_at_first: bool, quiet: bool) -> int:
    """Runs seeds in parallel, and prints the findings and the commands that replay them."""
    totals, began = Totals(), time.perf_counter()
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )
    with progress:
        task = progress.add_task("", total=seeds, visible=not quiet)
        try:
            for part in run_seeds(first, seeds, processes):
                totals.add(part)
                _advance(progress, task, totals, time.perf_counter() - began)
                if stop_at_first and totals.failed:
                    break
        except KeyboardInterrupt:
            console.print("Stopped.")
    _summary(totals, time.perf_counter() - began, quiet=quiet)
    return 1 if totals.failed else 0


def _advance(progress: Progress, task: TaskID, totals: Totals, seconds: float) -> None:
    rate = totals.seeds / seconds
    description = f"{rate:.0f} seeds/s, {totals.failing_seeds} fail"
    progress.update(task, completed=totals.seeds, description=description)


def _summary(totals: Totals, seconds: float, *, quiet: bool) -> None:
    for kind, seeds in sorted(totals.failed.items(), key=lambda item: -len(item[1])):
        seed, finding = min(seeds, key=lambda each: each[0])
        console.print(f"{len(seeds)} x {kind}", markup=False)
        console.print(f"    seed {seed}, {finding}", markup=False)
        console.print(f"    make simulate SEED={seed}")
    if quiet:
        return
    # Always as wide as the table: cut-off cells are useless.
    Console(width=max(console.width, TABLE_WIDTH), highlight=False).print(*coverage_tables(totals.covered), sep="\n\n")
    if untriggered := never_triggered(totals.covered):
        console.print(f"Never triggered: {', '.join(untriggered)}", markup=False)
    rate, per_core = totals.seeds / seconds, totals.seeds / max(totals.seconds, 1e-9)
    console.print(
        f"{totals.seeds} seeds, {totals.attempts} attempts, {totals.calls} calls in {seconds:.0f} s: "
        f"{rate:.0f} seeds per second, {per_core:.0f} per core; {totals.failing_seeds} fail."
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, help="how many (default: until stopped)")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, help="how many in parallel (default: one per core)")
    parser.add_argument("--stop-at-first", action="store_true", help="stop at the first finding")
    parser.add_argument("--quiet", action="store_true", help="print only findings")
    parser.add_argument("--seed", type=int, help="replay this seed with a trace, shrunk if it fails")
    parser.add_argument("--whole", action="store_true", help="with --seed: do not shrink")
    parser.add_argument("--scenario", type=Path, help="replay the scenario in this file")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())

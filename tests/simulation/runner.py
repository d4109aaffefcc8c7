"""Runs many seeds on all cores; collects findings and coverage."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, islice

from tests.simulation.attempts import Covered, simulate
from tests.simulation.findings import Finding
from tests.simulation.generator import scenario
from tests.simulation.shrink import signature

SEEDS_PER_TASK = 20
SECONDS_PER_SEED = 30.0


class HangError(BaseException):
    """A scenario that computes endlessly without a call."""


@dataclass
class Totals:
    """The totals over many seeds; ``failed`` has the seeds for each kind of finding."""

    seeds: int = 0
    attempts: int = 0
    calls: int = 0
    seconds: float = 0.0
    covered: Counter[Covered] = field(default_factory=Counter)
    failed: dict[str, list[tuple[int, Finding]]] = field(default_factory=dict)

    def add(self, other: Totals) -> None:
        """Adds the counts of another part; ``seconds`` is the total time of all cores."""
        self.seeds += other.seeds
        self.attempts += other.attempts
        self.calls += other.calls
        self.seconds += other.seconds
        self.covered.update(other.covered)
        for kind, seeds in other.failed.items():
            self.failed.setdefault(kind, []).extend(seeds)

    @property
    def failing_seeds(self) -> int:
        """The number of seeds with a finding."""
        return sum(len(seeds) for seeds in self.failed.values())


def run_seeds(first: int, seeds: int | None, processes: int | None = None) -> Iterator[Totals]:
    """Runs ``seeds`` seeds (None: endlessly) from ``first`` on in parallel; yields the totals of each finished part."""
    starts = count(first, SEEDS_PER_TASK)
    parts = (range(start, start + SEEDS_PER_TASK) for start in starts)
    if seeds is not None:
        end = first + seeds
        tasks = -(-seeds // SEEDS_PER_TASK)
        parts = (range(part.start, min(part.stop, end)) for part in islice(parts, tasks))
    processes = processes or os.cpu_count() or 1
    if processes == 1:
        yield from map(run_part, parts)
        return
    # Spawned, not forked: a fork of a process with threads may deadlock.
    with multiprocessing.get_context("spawn").Pool(processes, _ignore_interrupts) as pool:
        yield from pool.imap_unordered(run_part, _ahead(parts, pool_tasks=50_000))


def run_part(seeds: range) -> Totals:
    """Runs seeds one after the other."""
    totals, began = Totals(), time.perf_counter()
    for seed in seeds:
        try:
            with _time_limit():
                report = simulate(scenario(seed))
        except HangError:
            finding = Finding("G7", "the core computes endlessly")
            totals.failed.setdefault(signature(finding), []).append((seed, finding))
            totals.seeds += 1
            continue
        totals.seeds += 1
        totals.attempts += report.attempts
        totals.calls += report.calls
        totals.covered.update(report.covered)
        if report.findings:
            totals.failed.setdefault(signature(report.findings[0]), []).append((seed, report.findings[0]))
    totals.seconds = time.perf_counter() - began
    return totals


def _ahead(parts: Iterator[range], pool_tasks: int) -> Iterator[range]:
    # imap consumes its input at once: even an endless run must be bounded.
    return islice(parts, pool_tasks)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise HangError

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS_PER_SEED)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)

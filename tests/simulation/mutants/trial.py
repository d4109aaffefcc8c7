"""Tries a mutant: runs the simulation on a copy of the package with the mutant."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.mutants.mutants import Mutant

REPOSITORY = Path(__file__).parents[3]
PACKAGE = "airflow_provider_metaconv"
SIMULATION = "tests/simulation"

SEEDS = 1_000
SECONDS = 100.0
"""The timeout of a simulation, much longer than all seeds need."""

_FINDING = re.compile(r"^ +seed (?P<seed>\d+), (?P<text>(?P<guarantee>\w+) after attempt \d+: .*)$", re.MULTILINE)


class TrialError(Exception):
    """A mutant that cannot be applied, or a simulation that did not finish."""


@dataclass(frozen=True, slots=True)
class Found:
    """The simulation's first finding."""

    guarantee: str
    seed: int
    text: str


def copy_package(folder: Path) -> Path:
    """Copies what the simulation runs, including compiled modules: recompiling takes a second."""
    # Except files that another process is writing, which disappear a moment later.
    unfinished = shutil.ignore_patterns("*.pyc.*")
    for name in (PACKAGE, SIMULATION):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=unfinished)
    shutil.copy2(REPOSITORY / "tests" / "__init__.py", folder / "tests")
    return folder


def apply(mutant: Mutant, folder: Path) -> None:
    """Changes the copy; raises ``TrialError`` unless the old text occurs exactly once."""
    path = folder / PACKAGE / mutant.file
    code = path.read_text()
    if (times := code.count(mutant.old)) != 1:
        raise TrialError(
            f"The mutant of {mutant.guarantee} replaces a text that must be in {mutant.file} once, but is there "
            f"{times} times: write the same break for the current code."
        )
    path.write_text(code.replace(mutant.old, mutant.new))
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)


def try_mutant(mutant: Mutant, folder: Path) -> Found | None:
    """Creates a copy with the mutant in a new folder and runs it until something is found."""
    apply(mutant, copy_package(folder))
    return run_simulation(folder, mutant.seed, 1) or run_simulation(folder)


def run_simulation(folder: Path, first: int = 0, seeds: int = SEEDS) -> Found | None:
    """Runs a copy's simulation until something is found; raises ``TrialError`` if it ends unexpectedly."""
    # One process, which runs the seeds in order.
    numbers = ("--first", str(first), "--seeds", str(seeds), "--processes", "1")
    ended = _run(folder, "-m", "tests.simulation", *numbers, "--stop-at-first", "--quiet")
    finding = _FINDING.search(ended.stdout)
    if ended.returncode != (0 if finding is None else 1):
        raise TrialError(f"The simulation ended with {ended.returncode}: {ended.stdout}{ended.stderr}")
    return None if finding is None else Found(finding["guarantee"], int(finding["seed"]), finding["text"])


def imported_package(folder: Path) -> Path:
    """The folder of the package that a copy's simulation imports."""
    ended = _run(folder, "-c", f"import tests.simulation, {PACKAGE} as package; print(package.__file__)")
    ended.check_returncode()
    return Path(ended.stdout.strip()).parent


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # The repository is installed in this environment: the copy must come before it.
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )

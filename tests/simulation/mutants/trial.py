"""Tries a mutant: the simulation of a copy of the package that holds it, and what that finds."""

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
"""The longest that a simulation may take, which is much longer than it needs for all seeds."""

_FINDING = re.compile(r"^ +seed (?P<seed>\d+), (?P<text>(?P<guarantee>\w+) after attempt \d+: .*)$", re.MULTILINE)


class TrialError(Exception):
    """A mutant that cannot be made, or a simulation that did not run to its end."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the simulation found first."""

    guarantee: str
    seed: int
    text: str


def copy_package(folder: Path) -> Path:
    """Copies what the simulation runs, compiled modules included: to compile them anew takes a second."""
    # Not those that another process is just writing, which are gone a moment later.
    unfinished = shutil.ignore_patterns("*.pyc.*")
    for name in (PACKAGE, SIMULATION):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=unfinished)
    shutil.copy2(REPOSITORY / "tests" / "__init__.py", folder / "tests")
    return folder


def apply(mutant: Mutant, folder: Path) -> None:
    """Changes the copy; raises ``TrialError`` unless the old text is there exactly once."""
    path = folder / PACKAGE / mutant.file
    code = path.read_text()
    if (times := code.count(mutant.old)) != 1:
        raise TrialError(
            f"The mutant of {mutant.guarantee} replaces a text that must be in {mutant.file} once and is there {times} "
            "times: write the same break for the code as it is now."
        )
    path.write_text(code.replace(mutant.old, mutant.new))
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)


def try_mutant(mutant: Mutant, folder: Path) -> Found | None:
    """Makes a copy with the mutant in a new folder and runs it until something is found."""
    apply(mutant, copy_package(folder))
    return run_simulation(folder, mutant.seed, 1) or run_simulation(folder)


def run_simulation(folder: Path, first: int = 0, seeds: int = SEEDS) -> Found | None:
    """Runs a copy's simulation until something is found; raises ``TrialError`` if it ends in any other way."""
    # One process, which meets the seeds in their order.
    numbers = ("--first", str(first), "--seeds", str(seeds), "--processes", "1")
    ended = _run(folder, "-m", "tests.simulation", *numbers, "--stop-at-first", "--quiet")
    finding = _FINDING.search(ended.stdout)
    if ended.returncode != (0 if finding is None else 1):
        raise TrialError(f"The simulation ended with {ended.returncode}: {ended.stdout}{ended.stderr}")
    return None if finding is None else Found(finding["guarantee"], int(finding["seed"]), finding["text"])


def imported_package(folder: Path) -> Path:
    """The package that the simulation of a copy imports."""
    ended = _run(folder, "-c", f"import tests.simulation.attempts, {PACKAGE} as package; print(package.__file__)")
    ended.check_returncode()
    return Path(ended.stdout.strip()).parent


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # The repository itself is installed in this environment: the copy has to come before it.
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )

"""The simulation finds a break of each guarantee within 1,000 seeds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulation.attempts import simulate
from tests.simulation.generator import scenario
from tests.simulation.mutants.mutants import MUTANTS, Mutant
from tests.simulation.mutants.trial import (
    PACKAGE,
    Found,
    TrialError,
    apply,
    copy_package,
    imported_package,
    run_simulation,
    try_mutant,
)

FEW_SEEDS = 3
GUARANTEES = ("G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8", "G9")


@pytest.fixture(scope="module")
def copy_without_mutant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_package(tmp_path_factory.mktemp("without_mutant"))


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Mutant, Future[Found | None]]]:
    """All trials, one per core at a time."""
    pool = ThreadPoolExecutor(os.cpu_count())
    folder = tmp_path_factory.mktemp("mutants")
    yield {each: pool.submit(try_mutant, each, folder / each.guarantee) for each in MUTANTS}
    pool.shutdown(cancel_futures=True)


def test_each_guarantee_has_a_mutant() -> None:
    assert tuple(each.guarantee for each in MUTANTS) == GUARANTEES


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.guarantee)
def test_the_simulation_finds_the_mutant(mutant: Mutant, trials: dict[Mutant, Future[Found | None]]) -> None:
    found = trials[mutant].result()
    assert found is not None, f"no seed finds: {mutant.breaks}"
    assert found.guarantee in (mutant.guarantee, *mutant.noticed_as), found
    assert simulate(scenario(found.seed)).findings == [], "the seed also fails without the mutant"


def test_a_copy_without_a_mutant_passes(copy_without_mutant: Path) -> None:
    assert imported_package(copy_without_mutant) == copy_without_mutant / PACKAGE
    assert run_simulation(copy_without_mutant, seeds=FEW_SEEDS) is None


def test_an_outdated_mutant_is_refused(copy_without_mutant: Path) -> None:
    outdated = replace(MUTANTS[0], old="no such text")
    with pytest.raises(
        TrialError, match=r"mutant of G1 .* must be in extract/list_walk\.py once, but is there 0 times"
    ):
        apply(outdated, copy_without_mutant)

"""Random worlds, faults, crashes and attempts: every guarantee holds after each attempt."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.attempts import simulate
from tests.simulation.generator import GENERATED_FAULTS, scenario
from tests.simulation.runner import Totals, run_seeds
from tests.simulation.scenario import Scenario

SEEDS = 30
FIRST = 300
"""``make check`` simulates the seeds before."""

REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*.json"))


def test_random_worlds_keep_every_guarantee() -> None:
    totals = Totals()
    for part in run_seeds(FIRST, SEEDS, processes=1):
        totals.add(part)
    assert (totals.seeds, totals.failed) == (SEEDS, {})


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_past_failures_keep_every_guarantee(path: Path) -> None:
    """Each file is the smallest scenario for a past finding of the simulation, described by its name.

    retry_of_a_refused_list (seed 65): the list is refused for seconds and attempt 1 fails. Attempt 2, which made no
    calls, succeeded with an empty result that replaced an earlier good one.
    empty_last_page_after_next (seed 128): one conversation, then an empty page; the list was never read to its end.
    old_style_error_in_a_200 (seed 546): a response without a conversation counted as a complete one without messages.
    limit_of_a_page_that_names_itself (seed 508): to verify the end, more rows were requested than Meta allows, and were
    refused endlessly.
    """
    assert simulate(Scenario.from_json(path.read_text())).findings == []


def test_seeds_are_reproducible_across_processes() -> None:
    digests = {_digest_in_a_process(hash_seed) for hash_seed in ("1", "2")}
    assert len(digests) == 1


def test_scenarios_survive_a_json_round_trip() -> None:
    scenarios = [scenario(seed) for seed in range(200)]
    assert [Scenario.from_json(each.to_json()) for each in scenarios] == scenarios


def test_the_generator_produces_every_kind_of_fault() -> None:
    planned = {fault.name for seed in range(2_000) for fault in scenario(seed).faults}
    assert planned == set(GENERATED_FAULTS)


def _digest_in_a_process(hash_seed: str) -> str:
    command = [sys.executable, "-m", "tests.simulation.digest", "20"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

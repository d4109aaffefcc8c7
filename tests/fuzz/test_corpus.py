"""Replays the corpus and all findings: only declared errors may be raised."""

from pathlib import Path

import pytest

from tests.fuzz import CORPUS, FINDINGS, NAMES, SLOW
from tests.fuzz.targets import TARGETS


def inputs() -> list[object]:
    files = [path for folder in (CORPUS, FINDINGS) for name in NAMES for path in sorted((folder / name).glob("*"))]
    return [pytest.param(path, id=f"{path.parent.name}/{path.name}") for path in files]


@pytest.mark.parametrize("path", inputs())
def test_inputs_raise_only_declared_errors(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def test_every_target_has_seeds_and_a_share_of_time() -> None:
    assert set(NAMES) == set(TARGETS)
    assert set(SLOW) <= set(NAMES)
    assert set(NAMES) <= {folder.name for folder in CORPUS.iterdir()}

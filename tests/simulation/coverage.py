"""What a run covered: each fault, in each phase of the walk, by attempt; zeros are shown."""

from __future__ import annotations

from collections import Counter

from rich.table import Table

from tests.simulation.attempts import Covered
from tests.simulation.core import PHASES
from tests.simulation.generator import GENERATED_FAULTS
from tests.simulation.storage import INTERRUPTIONS

ATTEMPTS = (1, 2, 3)
"""The last stands for all that follow."""


def coverage_table(covered: Counter[Covered]) -> Table:
    """A row for each fault and a column for each phase; a cell counts the attempts 1, 2, and 3 or later."""
    table = Table(title="Struck in attempt 1 / 2 / 3 and later", header_style="bold", box=None)
    table.add_column("", no_wrap=True)
    for phase in PHASES:
        table.add_column(phase, justify="right", no_wrap=True)
    for name in (*GENERATED_FAULTS, *INTERRUPTIONS):
        table.add_row(name, *(_cell(covered, name, phase) for phase in PHASES))
    return table


def never_struck(covered: Counter[Covered]) -> list[str]:
    """The faults that nothing of the run has met."""
    met = {name for name, _, _ in covered}
    return [name for name in (*GENERATED_FAULTS, *INTERRUPTIONS) if name not in met]


def _cell(covered: Counter[Covered], name: str, phase: str) -> str:
    counts = [covered[name, phase, attempt] for attempt in ATTEMPTS[:-1]]
    later = sum(n for (fault, at, attempt), n in covered.items() if (fault, at) == (name, phase) and attempt >= 3)
    return "/".join(str(each) if each else "[red]0[/red]" for each in (*counts, later))

"""What a run covered: how often each fault triggered, by phase and attempt, including zeros."""

from __future__ import annotations

from collections import Counter

from rich.table import Table

from tests.simulation.attempts import Covered
from tests.simulation.core import PHASES
from tests.simulation.damage import DAMAGES
from tests.simulation.generator import GENERATED_FAULTS, HABITS
from tests.simulation.storage import INTERRUPTIONS

EVENTS = (*GENERATED_FAULTS, *(f"habit: {name}" for name in HABITS), *INTERRUPTIONS, *DAMAGES)
"""All events that can occur in a run."""

LAST_ATTEMPT = 3
"""The table of this attempt also counts all later ones."""

TABLE_WIDTH = 120
_HEADINGS = {
    "Reading": "read",
    "SkippingOne": "skip",
    "Rewinding": "rewind",
    "VerifyingCursor": "cursor",
    "VerifyingLast": "last",
    "VerifyingEnd": "end",
    "CatchingUp": "catch",
    "conversation": "conv",
    "messages": "msgs",
    "step over": "step",
    "last time": "last",
}


def coverage_tables(covered: Counter[Covered]) -> list[Table]:
    """One table each for attempts 1, 2, and 3 and later: a row per fault, kill or damage, a column per phase."""
    return [_table(covered, attempt) for attempt in range(1, LAST_ATTEMPT + 1)]


def never_triggered(covered: Counter[Covered]) -> list[str]:
    """The events that did not occur in the run."""
    triggered = {name for name, _, _ in covered}
    return [name for name in EVENTS if name not in triggered]


def _table(covered: Counter[Covered], attempt: int) -> Table:
    later = " and later" if attempt == LAST_ATTEMPT else ""
    table = Table(title=f"Triggered in attempt {attempt}{later}", header_style="bold", box=None, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for phase in PHASES:
        table.add_column(_HEADINGS.get(phase, phase), justify="right", no_wrap=True)
    counts: Counter[tuple[str, str]] = Counter()
    for (name, phase, number), times in covered.items():
        counts[name, phase] += times * (min(number, LAST_ATTEMPT) == attempt)
    for name in EVENTS:
        table.add_row(name, *(str(counts[name, phase] or "[red]0[/red]") for phase in PHASES))
    return table

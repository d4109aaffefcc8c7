"""The demo's output: progress while Airflow runs, then the summary."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from airflow_provider_metaconv.demo.results import Answer, Extracted

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_LINES = 10.0

LONGEST_RUN_SECONDS = 24 * 3600
"""A run that takes longer has hung. Airflow's ``dags test`` ignores SIGTERM."""

Figures = Callable[[], tuple[list[Extracted], dict[str, Any]]]
"""Returns the windows finished so far, and the emulator's statistics (empty for real Pages)."""


def watch(console: Console, is_running: Callable[[], bool], figures: Figures) -> None:
    """Show Airflow's progress until the run ends: updated in place on a terminal, as occasional lines otherwise."""
    started = time.monotonic()
    last_line = started
    with Live(console=console, transient=True) if console.is_terminal else nullcontext() as live:
        while is_running() and time.monotonic() - started < LONGEST_RUN_SECONDS:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            lines = _progress(*figures(), seconds=time.monotonic() - started)
            if live is not None:
                live.update(Group(Spinner("dots", lines[0]), *(Text(f"  {line}") for line in lines[1:])))
            elif time.monotonic() - last_line >= SECONDS_BETWEEN_LINES:
                last_line = time.monotonic()
                console.print("; ".join(lines), highlight=False)


def wait(is_running: Callable[[], bool]) -> None:
    """Return when a run has ended, which takes seconds."""
    started = time.monotonic()
    while is_running() and time.monotonic() - started < LONGEST_RUN_SECONDS:
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _progress(finished: list[Extracted], counts: dict[str, Any], *, seconds: float) -> list[str]:
    messages = sum(extracted.stats["messages"] for extracted in finished)
    lines = [f"{seconds:4.0f} s: {len(finished)} windows extracted, {messages:,} messages"]
    if counts:
        lines[0] += f", {counts['calls']} calls"
    return lines + [
        f"Page {block['page_id']} is blocked by code {block['code']}: "
        f"{block['seconds_left']:.0f} s left of the wait that Meta requires; the worker is free meanwhile"
        for block in counts.get("blocks", [])
    ]


def extraction_table(title: str, extractions: Iterable[Extracted]) -> Table:
    """Return a table of each Page's and platform's results and costs."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("Page")
    table.add_column("Platform")
    for name in ("Conversations", "Messages", "Incomplete", "Calls", "Calls per 1,000", "Waits"):
        table.add_column(name, justify="right")
    totals = dict.fromkeys(("conversations", "messages", "incomplete", "calls"), 0)
    for extracted in extractions:
        stats = extracted.stats
        for name in totals:
            totals[name] += stats[name]
        table.add_row(extracted.page_id, extracted.platform, *_cells(stats), _waits(stats))
    table.add_section()
    table.add_row("all", "", *_cells(totals), "", style="bold")
    return table


def _cells(counts: dict[str, Any]) -> list[str]:
    per_thousand = f"{1000 * counts['calls'] / counts['messages']:.1f}" if counts["messages"] else "-"
    plain = (f"{counts[name]:,}" for name in ("conversations", "messages", "incomplete", "calls"))
    return [*plain, per_thousand]


def _waits(stats: dict[str, Any]) -> str:
    waits = stats["rate_limit_waits"]
    return f"{waits} ({stats['rate_limit_wait_seconds']:.0f} s)" if waits else ""


def answer_table(question: str, answer: Answer) -> Table:
    """Return a table of a query result."""
    table = Table(title=question, title_justify="left", title_style="bold")
    for number, column in enumerate(answer.columns):
        is_number = bool(answer.rows) and isinstance(answer.rows[0][number], int | float)
        table.add_column(column, justify="right" if is_number else "left")
    for row in answer.rows:
        table.add_row(*map(_cell, row))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def draw(shown: Iterable[RenderableType], path: Path) -> None:
    """Save the output as an SVG file without external resources."""
    canvas = Console(record=True, width=110, file=io.StringIO())
    for renderable in shown:
        canvas.print(renderable)
    drawing = canvas.export_svg(title="make demo")
    path.write_text(re.sub(r"@font-face \{.*?\}\n", "", drawing, flags=re.DOTALL), encoding="utf-8")


def day(moment: datetime) -> str:
    """Format a time for people."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")

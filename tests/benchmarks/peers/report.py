"""The page of all results, ``docs/benchmark.md``."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.peers.sizes import growth_table, size_table
from tests.benchmarks.peers.table import Results, disturbed, goals, left_out, missing, tables

ABOUT = """`make bench` wrote this page; [how it measures](../tests/benchmarks/peers/README.md).

![Calls, time, speed and memory](benchmark.svg)"""
COLUMNS = """Calls as the server counted them. Memory is the peak of the process, and what of it came after the imports.
`missing` are ids that were served and not written; `others` is what other processes used of the machine."""
SIZES = """Conversations x messages nested in each: calls · megabytes of answers · megabytes of the largest answer ·
megabytes of memory above the start. Fixed sizes are upper bounds, which are filled as our own are."""
GROWTH = "A Page of conversations of very unequal length, from its first message, with our own sizes."


def report(kept: dict[str, Any], results: Results) -> str:
    """All tables, with what they mean."""
    return "\n\n".join(
        [
            "# This provider beside other libraries",
            ABOUT,
            f"{kept['machine']}. {missing(results)} {disturbed(results)}",
            "## The goals",
            goals(results, kept["airflow"], kept["loading"]).strip(),
            "## Every shape",
            COLUMNS,
            tables(results).strip(),
            left_out(results).strip(),
            "## Sizes",
            SIZES,
            size_table(kept["sizes"]),
            "## How cost grows",
            GROWTH,
            growth_table(kept["growth"]) + "\n",
        ]
    )

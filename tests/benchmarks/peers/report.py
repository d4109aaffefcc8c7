"""The page with all results, ``docs/benchmark.md``."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.peers.sizes import growth_table, size_tables
from tests.benchmarks.peers.table import (
    Results,
    goals,
    left_out,
    loading_goals,
    most_other_cores,
    summary,
    tables,
)

ABOUT = """This provider (metaconv) and other libraries on a local server. `make bench` writes this page:
[method](../tests/benchmarks/peers/README.md), [all figures](../tests/benchmarks/peers/results.json).

![Calls, time, speed and memory](benchmark.svg)"""
RESULTS = """With *its own sizes*, metaconv adapts page sizes itself; all other runs use the sizes in each heading. The
server counts the calls. Seconds are at a latency of 40 or 0 ms per call. *Peak MB* is the peak memory of the process,
*above start* the part after imports. *Older messages* were read although they are from before the window."""
SIZES = """Conversations x nested messages per call. Fixed sizes are upper bounds, filled like adaptive ones. *MB* is
the size of all responses, *largest* that of the largest."""
GROWTH = "A Page of very unequal conversations, read from its first message with adaptive sizes."


def report(kept: dict[str, Any], results: Results) -> str:
    """All tables, with explanations."""
    others = f"Other processes used at most {most_other_cores(results):.1f} cores during a run."
    return "\n\n".join(
        [
            "# Benchmark",
            ABOUT,
            f"{kept['machine']}. {summary(results)}",
            "## Goals",
            goals(results, kept["airflow"]),
            loading_goals(kept["loading"]),
            "## Results",
            f"{RESULTS}\n{others}",
            tables(results),
            left_out(results),
            "## Page sizes",
            SIZES,
            size_tables(kept["sizes"]),
            "## Growth",
            GROWTH,
            growth_table(kept["growth"]) + "\n",
        ]
    )

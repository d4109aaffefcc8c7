"""The results as Markdown tables, and the goals beside what was reached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tests.benchmarks.peers.contestants import CONTESTANTS, LEFT_OUT
from tests.benchmarks.peers.measure import QUIET_CORES
from tests.benchmarks.peers.shapes import SHAPES, Shape

Figures = dict[str, Any]
Cells = Sequence[str]
NONE = "-"
COLUMNS = (
    "",
    "calls",
    "per 1,000 messages",
    "s at 40 ms",
    "s at 0 ms",
    "messages/s",
    "peak MB",
    "above start",
    "older messages",
    "missing",
)
OURS, OWN = "metaconv, NDJSON", "metaconv, its own sizes, NDJSON"
PEER = "python-facebook-api"
PARQUET, OWN_PARQUET = "metaconv, Parquet", "metaconv, its own sizes, Parquet"


class Results:
    """All figures by shape, latency and contestant."""

    def __init__(self, rows: Sequence[Figures]) -> None:
        self._rows = {(row["shape"], row["latency_ms"], row["contestant"]): row for row in rows}

    def find(self, shape: str, contestant: str, latency_ms: int | None = None) -> Figures | None:
        """The figures of a successful run, at that latency or at any."""
        latencies = (0, 40) if latency_ms is None else (latency_ms,)
        found = (self._rows.get((shape, latency, contestant)) for latency in latencies)
        return next((row for row in found if row is not None and not row["failure"]), None)

    def __iter__(self) -> Iterator[Figures]:
        return iter(self._rows.values())

    def failures(self) -> Iterator[Figures]:
        return (row for row in self._rows.values() if row["failure"])


def calls_per_thousand(row: Figures) -> float:
    return float(1000 * row["calls"] / row["messages"])


def messages_per_second(row: Figures) -> float:
    return float(row["messages"] / row["seconds"])


def markdown_table(header: Cells, rows: Iterable[Cells], texts: int = 1) -> str:
    """A table whose first ``texts`` columns are text and the others numbers; a column without a figure is left out."""
    lines = list(rows)
    kept = [n for n in range(len(header)) if n < texts or any(line[n] != NONE for line in lines)]
    alignment = ["---" if n < texts else "--:" for n in kept]
    return "\n".join(
        [
            f"| {' | '.join(header[n] for n in kept)} |",
            f"|{'|'.join(alignment)}|",
            *(f"| {' | '.join(line[n] for n in kept)} |" for line in lines),
        ]
    )


def tables(results: Results) -> str:
    """A table for each shape that reads everything, and one for all shapes that read what has changed."""
    measured = [shape for shape in SHAPES.values() if any(_contestants(results, shape))]
    parts = [f"**{s.name}: {s.about}** ({_limits(s)})\n\n{_table(results, s)}" for s in measured if not s.incremental]
    if incremental := [shape for shape in measured if shape.incremental]:
        parts.append(_incremental_table(results, incremental))
    return "\n\n".join(parts)


def _limits(shape: Shape) -> str:
    return f"{shape.page_size} conversations per call, {shape.nested} nested messages, {shape.follow_up} per follow-up"


def _contestants(results: Results, shape: Shape) -> Iterator[str]:
    return (each.name for each in CONTESTANTS if results.find(shape.name, each.name) is not None)


def _table(results: Results, shape: Shape) -> str:
    return markdown_table(COLUMNS, [_line(results, shape, name) for name in _contestants(results, shape)])


def _incremental_table(results: Results, shapes: Sequence[Shape]) -> str:
    lines = [
        (f"{shape.name}: {shape.about}", *_line(results, shape, name))
        for shape in shapes
        for name in _contestants(results, shape)
    ]
    return f"**Only what has changed** ({_limits(shapes[0])})\n\n{markdown_table(('shape', *COLUMNS), lines, texts=2)}"


def _line(results: Results, shape: Shape, contestant: str) -> Cells:
    row = results.find(shape.name, contestant)
    assert row is not None
    slow, fast = results.find(shape.name, contestant, 40), results.find(shape.name, contestant, 0)
    return (
        contestant,
        f"{row['calls']:,}",
        _shown(row if row["messages"] and not shape.incremental else None, "{:.1f}", calls_per_thousand),
        _shown(slow, "{:.2f}", lambda r: r["seconds"]),
        _shown(fast, "{:.2f}", lambda r: r["seconds"]),
        _shown(fast if row["messages"] >= 1000 else None, "{:,.0f}", messages_per_second),
        f"{row['peak_mb']:,.0f}",
        f"{row['peak_mb'] - row['base_mb']:,.0f}",
        f"{row['outside_window']:,}" if row["outside_window"] else NONE,
        f"{row['missing']:,}" if row["missing"] else NONE,
    )


def _shown(row: Figures | None, form: str, value: Callable[[Figures], float]) -> str:
    return NONE if row is None else form.format(value(row))


def left_out(results: Results) -> str:
    """What was not measured, and why."""
    failed = [(f"{row['contestant']} in {row['shape']}", f"failed: {row['failure']}") for row in results.failures()]
    return markdown_table(("not measured", "why"), [*LEFT_OUT.items(), *failed], texts=2)


def summary(results: Results) -> str:
    """How many runs lack messages, and how many were disturbed by other processes."""
    runs = list(results)
    lacking = sum(bool(row["missing"] or row["failure"]) for row in runs)
    number = sum(row["other_cores"] > QUIET_CORES for row in runs)
    return f"Of {len(runs)} runs, {lacking} failed or missed messages, and {number} were disturbed by other processes."


def most_other_cores(results: Results) -> float:
    """The most that other processes used of the machine during a run, in cores."""
    return max((float(row["other_cores"]) for row in results), default=0.0)


def goals(results: Results, airflow: dict[str, float]) -> str:
    """Each goal beside what was reached; nothing is asserted."""
    header = ("shape", "metaconv", "figure", "goal", "reached", "")
    return markdown_table(header, _goals(results, airflow), texts=3)


def loading_goals(loading: dict[str, dict[str, float]]) -> str:
    """The goals of loads into DuckDB, with their peak memory."""
    lines = []
    for name, cost in loading.items():
        most = 3 if "changed" in name else 15
        reached, met = _reached(cost["seconds"], most, "{:.1f}")
        lines.append(
            (name.replace("changed ones of", "changed of"), f"≤ {most}", reached, met, f"{cost['peak_mb']:,.0f}")
        )
    return markdown_table(("load into DuckDB", "goal, s", "reached, s", "", "peak MB"), lines)


def _goals(results: Results, airflow: dict[str, float]) -> Iterator[Cells]:
    for name, most in ((OURS, 2.6), (OWN, 1.0)):
        if row := results.find("D", name):
            reached = round(calls_per_thousand(row), 1)
            yield _goal("D", name, "calls per 1,000 messages", reached, most, "{:.1f}")
    threads = "bare requests, 8 threads"
    fastest = results.find("B", threads, 40)
    for name in (OURS, "metaconv, NDJSON, 8 workers", OWN):
        if fastest and (row := results.find("B", name, 40)):
            ratio = row["seconds"] / fastest["seconds"]
            yield _goal("B", name, f"time relative to {threads}", ratio, 1.3, "{:.2f}")
    peer = results.find("E", PEER, 0)
    if peer and (row := results.find("E", OWN, 0)):
        yield _goal("E", OWN, f"time relative to {PEER}", row["seconds"] / peer["seconds"], 0.6, "{:.2f}")
    yield from _speed_and_memory(results)
    if row := results.find("U", OURS):
        yield _goal("U", OURS, "calls, including the one for the Page's token", row["calls"], 2, "{}")
    hourly = [results.find(shape, OURS) for shape in ("I", "I10k", "I10k+")]
    if all(hourly):
        calls = ", ".join(str(row["calls"]) for row in hourly if row)
        changes = "calls, with 10, 10 and 100 conversations changed"
        yield "I, I10k, I10k+", _variant(OURS), changes, "grow with the changes", calls, ""
    for (name, seconds), most in zip(airflow.items(), (150, 300), strict=False):
        shown, met = _reached(1000 * seconds, most, "{:.0f}")
        yield "", "", f"ms for {name}", f"< {most}", shown, met


def _speed_and_memory(results: Results) -> Iterator[Cells]:
    for name, least in ((OURS, 20_000), (OWN, 20_000), (PARQUET, 12_000), (OWN_PARQUET, 12_000)):
        for shape in ("E", "1M"):
            if row := results.find(shape, name, 0):
                speed, above = messages_per_second(row), row["peak_mb"] - row["base_mb"]
                yield _goal(shape, name, "messages/s", speed, least, "{:,.0f}", least=True)
                yield _goal(shape, name, "MB above start", above, 60, "{:.0f}")


def _goal(shape: str, name: str, figure: str, reached: float, bound: float, form: str, *, least: bool = False) -> Cells:
    shown, met = _reached(reached, bound, form, least=least)
    return shape, _variant(name), figure, f"{'≥' if least else '≤'} {bound:,}", shown, met


def _reached(reached: float, bound: float, form: str, *, least: bool = False) -> tuple[str, str]:
    met = reached >= bound if least else reached <= bound
    return form.format(reached), "met" if met else "missed"


def _variant(name: str) -> str:
    return name.removeprefix("metaconv, ")

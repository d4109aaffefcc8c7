"""The results as Markdown tables, and the goals beside what was reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.benchmarks.peers.contestants import CONTESTANTS, LEFT_OUT
from tests.benchmarks.peers.measure import QUIET_CORES
from tests.benchmarks.peers.shapes import SHAPES

Figures = dict[str, Any]
NONE = "-"
COLUMNS = (
    "calls",
    "per 1,000 messages",
    "s at 40 ms",
    "s at 0 ms",
    "messages/s",
    "peak MB",
    "above start",
    "missing",
    "others, cores",
)
OURS, OWN = "metaconv, NDJSON", "metaconv, its own sizes, NDJSON"
PEER = "python-facebook-api"
PARQUET, OWN_PARQUET = "metaconv, Parquet", "metaconv, its own sizes, Parquet"


class Results:
    """All figures by shape, latency and contestant."""

    def __init__(self, rows: Sequence[Figures]) -> None:
        self._rows = {(row["shape"], row["latency_ms"], row["contestant"]): row for row in rows}

    def find(self, shape: str, contestant: str, latency_ms: int | None = None) -> Figures | None:
        """The figures of a run that went well, at that or at any latency."""
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


def tables(results: Results) -> str:
    """A table for each shape that was measured."""
    return "\n".join(_table(results, name) for name in SHAPES if any(_rows(results, name)))


def _rows(results: Results, shape: str) -> Iterator[str]:
    for contestant in CONTESTANTS:
        if results.find(shape, contestant.name) is not None:
            yield contestant.name


def _table(results: Results, name: str) -> str:
    shape = SHAPES[name]
    head = f"| | {' | '.join(COLUMNS)} |\n|---|{'--:|' * len(COLUMNS)}"
    limits = f"{shape.page_size} conversations a call, {shape.nested} messages nested, {shape.follow_up} a follow-up"
    title = f"\n**{name}: {shape.about}** ({limits})\n\n{head}"
    return "\n".join([title, *(_line(results, name, contestant) for contestant in _rows(results, name))])


def _line(results: Results, shape: str, contestant: str) -> str:
    row = results.find(shape, contestant)
    assert row is not None
    slow, fast = results.find(shape, contestant, 40), results.find(shape, contestant, 0)
    missing = str(row["missing"]) if not row["outside_window"] else f"{row['missing']} (+{row['outside_window']} older)"
    cells = [
        contestant,
        f"{row['calls']:,}",
        _shown(row if row["messages"] and not SHAPES[shape].incremental else None, "{:.1f}", calls_per_thousand),
        _shown(slow, "{:.2f}", lambda r: r["seconds"]),
        _shown(fast, "{:.2f}", lambda r: r["seconds"]),
        _shown(fast if row["messages"] >= 1000 else None, "{:,.0f}", messages_per_second),
        f"{row['peak_mb']:,.0f}",
        f"{row['peak_mb'] - row['base_mb']:,.0f}",
        missing,
        f"{max(run['other_cores'] for run in (slow, fast) if run):.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def _shown(row: Figures | None, form: str, value: Callable[[Figures], float]) -> str:
    return NONE if row is None else form.format(value(row))


def left_out(results: Results) -> str:
    """Who is not in the tables, and why."""
    lines = [f"* {name}: {why}" for name, why in LEFT_OUT.items()]
    lines += [f"* {row['contestant']} in {row['shape']}: failed: {row['failure']}" for row in results.failures()]
    return "\n".join(["\nLeft out:", *lines])


def missing(results: Results) -> str:
    """Whether everybody brought every message."""
    lacking = [row for row in results if row["missing"] or row["failure"]]
    return f"Messages are missing, or it failed, in {len(lacking)} of {len(list(results))} runs."


def disturbed(results: Results) -> str:
    """How many runs other processes disturbed; the tables' last column says which, and how much of the machine."""
    runs = list(results)
    number = sum(row["other_cores"] > QUIET_CORES for row in runs)
    return f"{number} of {len(runs)} runs were disturbed by other processes."


def goals(results: Results, airflow: dict[str, float], loading: dict[str, dict[str, float]]) -> str:
    """Each goal with what was reached; nothing is asserted, the reader judges."""
    lines = [*_goals(results, airflow), *_loading(loading)]
    return "\n".join(["\n| goal | reached | |", "|---|---|---|", *lines])


def _goals(results: Results, airflow: dict[str, float]) -> Iterator[str]:
    for name, most in ((OURS, 2.6), (OWN, 1.0)):
        if row := results.find("D", name):
            reached = round(calls_per_thousand(row), 1)
            yield _goal(f"D, {name}: at most {most} calls per 1,000 messages", reached, most, "{:.1f}")
    floor = results.find("B", "bare requests, 8 threads", 40)
    for name in (OURS, "metaconv, NDJSON, 8 workers", OWN):
        if floor and (row := results.find("B", name, 40)):
            ratio = row["seconds"] / floor["seconds"]
            yield _goal(f"B, {name}: at most 1.3 times the 8-thread floor's time", ratio, 1.3, "{:.2f}")
    peer = results.find("E", PEER, 0)
    if peer and (row := results.find("E", OWN, 0)):
        ratio = row["seconds"] / peer["seconds"]
        yield _goal(f"E, {OWN}: at most 0.6 times the time of {PEER}", ratio, 0.6, "{:.2f}")
    yield from _speed_and_memory(results)
    if row := results.find("U", OURS):
        yield _goal("U: at most 2 calls, that for the Page's token included", row["calls"], 2, "{}")
    hourly = [results.find(shape, OURS) for shape in ("I", "I10k", "I10k+")]
    if all(hourly):
        calls = ", ".join(str(row["calls"]) for row in hourly if row)
        yield f"| I: calls grow with what changed (10 of 1,000; 10 of 10,000; 100 of 10,000) | {calls} | |"
    for (name, seconds), most in zip(airflow.items(), (150, 300), strict=False):
        yield _goal(f"{name}: less than {most} ms", 1000 * seconds, most, "{:.0f}")


def _loading(loading: dict[str, dict[str, float]]) -> Iterator[str]:
    for name, cost in loading.items():
        most = 3 if "changed" in name else 15
        peak = f" (peak {cost['peak_mb']:,.0f} MB)"
        yield _goal(f"{name} into DuckDB{peak}: at most {most} s", cost["seconds"], most, "{:.1f}")


def _speed_and_memory(results: Results) -> Iterator[str]:
    for name, least in ((OURS, 20_000), (OWN, 20_000), (PARQUET, 12_000), (OWN_PARQUET, 12_000)):
        for shape in ("E", "1M"):
            if row := results.find(shape, name, 0):
                reached, above = messages_per_second(row), row["peak_mb"] - row["base_mb"]
                yield _goal(f"{shape}, {name}: at least {least:,} a second", reached, least, "{:,.0f}", least=True)
                yield _goal(f"{shape}, {name}: at most 60 MB above its start", above, 60, "{:.0f}")


def _goal(what: str, reached: float, bound: float, form: str, *, least: bool = False) -> str:
    met = reached >= bound if least else reached <= bound
    return f"| {what} | {form.format(reached)} | {'met' if met else 'missed'} |"

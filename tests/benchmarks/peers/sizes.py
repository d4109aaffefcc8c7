"""How the default page sizes were chosen, and how cost grows: our extraction with other sizes and on larger Pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from tests.benchmarks.peers.competitors import Competitor
from tests.benchmarks.peers.measure import Result, measure
from tests.benchmarks.peers.shapes import E, Shape
from tests.benchmarks.peers.table import calls_per_thousand, markdown_table, messages_per_second

SKEWED = replace(E, name="skewed", about="2,000 conversations, 8.5 messages on average", threads=2_000, skewed=True)
HOURLY = replace(
    SKEWED,
    name="hourly",
    about="an hour of a Page with 5,000 conversations, 60 changed",
    fresh=60,
    incremental=True,
    threads=5_000,
)
QUIET = replace(HOURLY, name="quiet hour", about="the same with 2 changed", fresh=2)
SIZE_SHAPES = (SKEWED, E, HOURLY, QUIET)

OWN = "our own, adaptive"
SIZES: dict[str, tuple[int, int] | None] = {
    **{f"{c} x {n}": (c, n) for c, n in ((25, 25), (50, 25), (50, 100), (100, 50), (100, 100), (200, 25), (200, 100))},
    OWN: None,
}
GROWTH = {1_000: 100, 10_000: 1_000, 100_000: 10_000, 1_000_000: 100_000}
"""The approximate number of messages, and the number of conversations of the skewed Page that have them."""

COMPUTED = 10_000_000


def size_study() -> Iterator[dict[str, Any]]:
    """The cost of each of the sizes on each Page."""
    for shape in SIZE_SHAPES:
        for name, sizes in SIZES.items():
            options: dict[str, Any] = {"format": "ndjson"} | ({} if sizes is None else {"sizes": sizes})
            yield _row(measure(Competitor(name, "ours", None, options), shape))


def growth() -> Iterator[dict[str, Any]]:
    """The cost of adaptive sizes on skewed Pages of growing size, from the first message."""
    for about, threads in GROWTH.items():
        for file_format in ("ndjson", "parquet"):
            shape: Shape = replace(SKEWED, name=f"{about:,}", threads=threads)
            competitor = Competitor(file_format, "ours", None, {"format": file_format})
            yield _row(measure(competitor, shape))


def _row(result: Result) -> dict[str, Any]:
    if result.failure or result.missing or result.repeated:
        raise RuntimeError(f"{result.competitor} on {result.shape}: {result.failure or 'ids are missing or repeated'}")
    return asdict(result)


def size_tables(rows: list[dict[str, Any]]) -> str:
    """A table for each Page, with the cost of each of the sizes."""
    found = {(row["shape"], row["competitor"]): row for row in rows}
    header = ("sizes", "calls", "MB", "largest", "above start")
    parts = []
    for shape in SIZE_SHAPES:
        lines = [_size_line(found[shape.name, name]) for name in SIZES if (shape.name, name) in found]
        parts.append(f"**{shape.name}: {shape.about}**\n\n{markdown_table(header, lines)}")
    return "\n\n".join(parts)


def _size_line(row: dict[str, Any]) -> list[str]:
    return [
        row["competitor"].removeprefix("our own, ").replace(" x ", "x"),
        f"{row['calls']:,}",
        f"{row['megabytes']:.1f}",
        f"{row['largest_answer_mb']:.1f}",
        f"{row['peak_mb'] - row['base_mb']:.0f}",
    ]


def growth_table(rows: list[dict[str, Any]]) -> str:
    """The cost of an extraction by the size of the Page."""
    header = ("format", "messages", "calls", "per 1,000", "at 2 calls/s", "own seconds", "messages/s", "MB above start")
    lines = [
        [
            row["competitor"],
            f"{row['messages']:,}",
            f"{row['calls']:,}",
            f"{calls_per_thousand(row):.1f}",
            f"{row['calls'] / 2 / 60:.1f} min",
            f"{row['seconds']:.1f}",
            f"{messages_per_second(row):,.0f}",
            f"{row['peak_mb'] - row['base_mb']:.0f}",
        ]
        for row in rows
    ]
    lines += [_computed(list(rows), file_format) for file_format in ("ndjson", "parquet") if rows]
    return markdown_table(header, lines)


def _computed(rows: list[dict[str, Any]], file_format: str) -> list[str]:
    """Ten million messages, extrapolated from the last two rows: calls and time in proportion, memory linearly."""
    less, more = [row for row in rows if row["competitor"] == file_format][-2:]
    above = [row["peak_mb"] - row["base_mb"] for row in (less, more)]
    slope = (above[1] - above[0]) / (more["messages"] - less["messages"])
    factor = COMPUTED / more["messages"]
    calls, seconds = more["calls"] * factor, more["seconds"] * factor
    return [
        f"{file_format}, extrapolated",
        f"{COMPUTED:,}",
        f"{calls:,.0f}",
        f"{calls_per_thousand(more):.1f}",
        f"{calls / 2 / 3600:.1f} h",
        f"{seconds:,.0f}",
        f"{messages_per_second(more):,.0f}",
        f"{above[1] + slope * (COMPUTED - more['messages']):,.0f}",
    ]

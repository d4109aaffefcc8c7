"""The results as an SVG chart: a row for each competitor, a column of bars for each figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from xml.sax.saxutils import escape

from tests.benchmarks.peers.table import NONE, Figures, Results, calls_per_thousand, messages_per_second

ROWS = (
    "metaconv, its own sizes, NDJSON",
    "metaconv, NDJSON",
    "metaconv, Parquet",
    "bare requests, 1 thread",
    "bare requests, 8 threads",
    "facebook-business",
    "python-facebook-api",
    "airbyte-cdk, 10 workers",
    "dlt rest_api → DuckDB",
    "dlt rest_api → Parquet → DuckDB",
)
NAMES_WIDTH, COLUMN_WIDTH, BAR_WIDTH, ROW_HEIGHT, TOP, BOTTOM = 268, 196, 110, 26, 104, 72
FONTS = "system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"
OURS, BASELINE, PEER, INK, FAINT = "#2563eb", "#cbd5e1", "#94a3b8", "#1e293b", "#64748b"


@dataclass(frozen=True, slots=True)
class Panel:
    """One column: two heading lines, whether more or less is better, and the figure of a run."""

    title: str
    about: str
    better: str
    shape: str
    latency_ms: int
    value: Callable[[Figures], float]
    form: str


PANELS = (
    Panel("Calls per 1,000 messages", "1,000 conversations of 8", "fewer", "D", 40, calls_per_thousand, "{:,.1f}"),
    Panel("Seconds, 40 ms a call", "1,000 conversations of 8", "less", "D", 40, lambda r: r["seconds"], "{:,.1f}"),
    Panel("Seconds, 0 ms a call", "1,000 conversations of 8", "less", "D", 0, lambda r: r["seconds"], "{:,.1f}"),
    Panel("Seconds, 40 ms a call", "100 conversations of 60", "less", "B", 40, lambda r: r["seconds"], "{:,.1f}"),
    Panel("Messages a second", "60,000 messages, 0 ms", "more", "E", 0, messages_per_second, "{:,.0f}"),
    Panel("Peak memory, MB", "60,000 messages", "less", "E", 0, lambda r: r["peak_mb"], "{:,.0f}"),
)


def chart(results: Results, caption: list[str]) -> str:
    """The chart as SVG; a dash means not measured."""
    width = NAMES_WIDTH + COLUMN_WIDTH * len(PANELS) + 16
    height = TOP + ROW_HEIGHT * len(ROWS) + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="{FONTS}" role="img">',
        "<title>Calls, time, speed and memory of this provider beside other libraries</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>',
        _text(16, 30, "Reading a Page's conversations: this provider and its peers", 17, INK, bold=True),
    ]
    for number, name in enumerate(ROWS):
        y = TOP + ROW_HEIGHT * number
        if number % 2 == 0:
            parts.append(f'<rect x="8" y="{y}" width="{width - 16}" height="{ROW_HEIGHT}" fill="#f8fafc"/>')
        parts.append(_text(16, y + 17, name, 12.5, OURS if _is_ours(name) else INK, bold=_is_ours(name)))
    for number, panel in enumerate(PANELS):
        parts += _panel(results, panel, NAMES_WIDTH + COLUMN_WIDTH * number)
    bottom = TOP + ROW_HEIGHT * len(ROWS) + 24
    parts += [_text(16, bottom + 17 * number, line, 11, FAINT) for number, line in enumerate(caption)]
    return "\n".join([*parts, "</svg>", ""])


def _panel(results: Results, panel: Panel, x: int) -> list[str]:
    values: list[float | None] = []
    for name in ROWS:
        row = results.find(panel.shape, name, panel.latency_ms)
        values.append(None if row is None else panel.value(row))
    longest = max((value for value in values if value is not None), default=1.0)
    parts = [
        _text(x, 58, panel.title, 12.5, INK, bold=True),
        _text(x, 74, panel.about, 11, FAINT),
        _text(x, 90, f"{panel.better} is better", 11, FAINT),
    ]
    for number, (name, value) in enumerate(zip(ROWS, values, strict=True)):
        y = TOP + ROW_HEIGHT * number
        if value is None:
            parts.append(_text(x, y + 17, NONE, 12, FAINT))
            continue
        length = max(1.5, BAR_WIDTH * value / longest)
        colour = OURS if _is_ours(name) else BASELINE if name.startswith("bare") else PEER
        parts.append(f'<rect x="{x}" y="{y + 5}" width="{length:.1f}" height="16" rx="2" fill="{colour}"/>')
        parts.append(_text(x + length + 6, y + 17, panel.form.format(value), 12, INK))
    return parts


def _is_ours(name: str) -> bool:
    return name.startswith("metaconv")


def _text(x: float, y: float, text: str, size: float, colour: str, *, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}"{weight}>{escape(text)}</text>'

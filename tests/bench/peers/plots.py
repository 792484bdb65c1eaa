"""Bar charts as SVG. Pure.

Not by matplotlib: with numpy it is larger than everything else that development needs, for three charts of bars.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, LABELS, NOTES, MARGIN = 860, 245, 190, 20
BAR, BETWEEN, ROW = 11, 2, 12
TOP, BOTTOM = 74, 40
INK, QUIET, LINE, BACK = "#1f2328", "#57606a", "#d0d7de", "#f6f8fa"
OURS, OTHERS = ("#0550ae", "#54aeff"), ("#6e7781", "#afb8c1")
"""Colours of the first and the second bar of a row."""

TICKS = 5


@dataclass(frozen=True)
class Bar:
    """One value with the lowest and highest of its rounds; `note` stands behind it."""

    median: float
    low: float
    high: float
    note: str


@dataclass(frozen=True)
class BarRow:
    """The bars of one subject, one for each series; None where it has no value."""

    label: str
    bars: Sequence[Bar | None]
    ours: bool


def bars(title: str, axis: str, series: Sequence[str], rows: Sequence[BarRow]) -> str:
    """Return a chart of horizontal bars with lines from the lowest to the highest round."""
    top = _ceiling(max(bar.high for row in rows for bar in row.bars if bar))
    heights = [len(row.bars) * (BAR + BETWEEN) - BETWEEN for row in rows]
    height = TOP + sum(heights) + ROW * len(rows) + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" rx="10" fill="{BACK}"/>',
        _text(MARGIN, 30, title, weight="bold", size=14),
        *_legend(series, spread=any(bar.high > bar.low for row in rows for bar in row.bars if bar)),
        *_axis(axis, top, height),
    ]
    y = TOP + ROW / 2
    for row, tall in zip(rows, heights, strict=True):
        parts += _row(row, y, tall, top)
        y += tall + ROW
    return "\n".join([*parts, "</svg>", ""])


def _ceiling(value: float) -> float:
    """Return the next larger number that `TICKS` divides into round ones."""
    power = 10 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(step * power for step in (1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10) if step * power >= value)


def _x(value: float, top: float) -> float:
    return LABELS + (WIDTH - LABELS - NOTES - MARGIN) * min(1.0, value / top)


def _row(row: BarRow, y: float, tall: float, top: float) -> list[str]:
    weight = "bold" if row.ours else "normal"
    found = [_text(LABELS - 10, y + tall / 2 + 4, row.label, anchor="end", weight=weight)]
    for colour, bar in zip(OURS if row.ours else OTHERS, row.bars, strict=False):
        if bar:
            found += _bar(bar, y, colour, top)
        y += BAR + BETWEEN
    return found


def _bar(bar: Bar, y: float, colour: str, top: float) -> list[str]:
    low, middle, high = (_x(value, top) for value in (bar.low, bar.median, bar.high))
    mid = y + BAR / 2
    found = [f'<rect x="{LABELS}" y="{y:g}" width="{max(1.0, middle - LABELS):.1f}" height="{BAR}" fill="{colour}"/>']
    if high - low > 1:
        path = f"M{low:.1f} {mid:g}H{high:.1f}M{low:.1f} {mid - 3:g}v6M{high:.1f} {mid - 3:g}v6"
        found.append(f'<path d="{path}" stroke="{INK}" fill="none"/>')
    return [*found, _text(max(middle, high) + 6, y + BAR - 1, bar.note, size=11)]


def _legend(series: Sequence[str], *, spread: bool) -> list[str]:
    found, x = [], float(MARGIN)
    for name, mine, others in zip(series, OURS, OTHERS, strict=False):
        found.append(f'<rect x="{x:g}" y="42" width="10" height="10" fill="{mine}"/>')
        found.append(f'<rect x="{x + 12:g}" y="42" width="10" height="10" fill="{others}"/>')
        found.append(_text(x + 28, 51, name, fill=QUIET))
        x += 50 + 6.5 * len(name)
    return [*found, _text(x, 51, "line: lowest to highest round", fill=QUIET)] if spread else found


def _axis(axis: str, top: float, height: float) -> list[str]:
    found = []
    for tick in range(TICKS + 1):
        value = top * tick / TICKS
        x = _x(value, top)
        found.append(f'<path d="M{x:.1f} {TOP - 6}V{height - BOTTOM}" stroke="{LINE}"/>')
        found.append(_text(x, height - BOTTOM + 16, f"{value:g}", anchor="middle", fill=QUIET))
    middle = (LABELS + WIDTH - NOTES - MARGIN) / 2
    return [*found, _text(middle, height - 8, axis, anchor="middle", fill=QUIET)]


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal", size: int = 12, fill: str = INK
) -> str:
    style = f'text-anchor="{anchor}" font-weight="{weight}" font-size="{size}" fill="{fill}"'
    return f'<text x="{x:.1f}" y="{y:g}" {style}>{escape(text)}</text>'

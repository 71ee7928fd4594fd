"""Curves and bars as SVG, for pages that must open without a server or a plotting library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from studio.metrics.intervals import Interval
from studio.metrics.score import Metric

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 240, 64, 16, 34, 40
COLOURS = ("#0f766e", "#b45309", "#4338ca", "#be123c", "#4d7c0f", "#64748b")  # told apart in grey and by most eyes
DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 2")
TICKS = 4


def curves(metric: Metric, series: Mapping[str, Sequence[float | int | None]]) -> str:
    """A line per clip over its frames; a gap where a frame has no number."""
    known = [value for values in series.values() for value in values if value is not None]
    low, high = _span(known, metric)
    frames = max((len(values) for values in series.values()), default=1)
    across = (WIDTH - LEFT - RIGHT) / max(1, frames - 1)
    parts = [_frame(metric, low, high), _words(WIDTH / 2, HEIGHT - 8, "frame", "middle")]
    for index, (name, values) in enumerate(series.items()):
        points, path = [(LEFT + frame * across, value) for frame, value in enumerate(values)], ""
        for before, (x, value) in zip([None, *(value for _, value in points)], points, strict=False):
            if value is not None:
                path += f"{'M' if before is None else 'L'}{x:.1f} {_height(value, low, high):.1f}"
        style = f'stroke="{COLOURS[index % len(COLOURS)]}" stroke-dasharray="{DASHES[index % len(DASHES)]}"'
        parts.append(f'<path d="{path}" fill="none" stroke-width="2" {style}><title>{escape(name)}</title></path>')
        x = LEFT + 110 * (index % 4)
        parts.append(f'<path d="M{x} 26h18" stroke-width="2" {style}/>{_words(x + 22, 30, name[:14])}')
    return _svg(f"{metric.title} by frame", parts)


def bars(metric: Metric, values: Mapping[str, Interval]) -> str:
    """A bar per row with its 95% interval; an interval without bounds is left out."""
    ends = [end for value in values.values() for end in (value.value, value.low, value.high) if math.isfinite(end)]
    low, high = _span([*ends, 0.0] if metric.lowest == 0 else ends, metric)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(values))
    parts = [_frame(metric, low, high)]
    for index, (name, value) in enumerate(values.items()):
        middle, top = LEFT + (index + 0.5) * step, _height(value.value, low, high)
        base, half = _height(low, low, high), min(28.0, step / 3)
        parts.append(
            f'<rect x="{middle - half:.1f}" y="{top:.1f}" width="{2 * half:.1f}" height="{max(base - top, 0):.1f}" '
            f'fill="{COLOURS[index % len(COLOURS)]}"><title>{escape(name)}: {value.value:.3g}</title></rect>'
        )
        if math.isfinite(value.low) and math.isfinite(value.high):
            lower, upper = _height(value.low, low, high), _height(value.high, low, high)
            left = middle - 6
            mark = f"M{left:.1f} {upper:.1f}h12M{middle:.1f} {upper:.1f}V{lower:.1f}M{left:.1f} {lower:.1f}h12"
            parts.append(f'<path d="{mark}" stroke="currentColor" stroke-width="1.5" fill="none"/>')
        parts.append(_words(middle, HEIGHT - 22, name[:16], "middle"))
        parts.append(_words(middle, HEIGHT - 8, f"n = {value.count}", "middle"))
    return _svg(f"{metric.title}, means with 95% intervals", parts)


def _span(known: Sequence[float | int], metric: Metric) -> tuple[float, float]:
    """What the axis shows: the numbers with a little air, within the metric's range."""
    low, high = (min(known), max(known)) if known else (metric.lowest or 0.0, metric.highest or 1.0)
    air = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - air, high + air
    return (low if metric.lowest is None else max(low, metric.lowest)), high


def _height(value: float | int, low: float | int, high: float | int) -> float:
    return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)


def _frame(metric: Metric, low: float | int, high: float | int) -> str:
    better = {"higher": ", higher is better", "lower": ", lower is better"}.get(metric.better, "")
    parts = [_words(LEFT, 14, f"{metric.title} ({metric.unit}{better})")]
    for tick in range(TICKS + 1):
        value = low + (high - low) * tick / TICKS
        y = _height(value, low, high)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="currentColor" stroke-opacity="0.15"/>')
        parts.append(_words(LEFT - 6, y + 4, f"{value:.3g}", "end"))
    return "".join(parts)


def _words(x: float | int, y: float | int, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">{escape(words)}</text>'


def _svg(title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )

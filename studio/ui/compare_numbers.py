"""Numbers beside the videos: a table of every metric and clip, and the curves that follow the playhead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from studio.compare import CellState, Comparison
from studio.metrics import METRICS, Metric, Score
from studio.metrics.intervals import mean
from studio.ui.player import Curve

MOST_CURVES = 3
DIRECTIONS = {"higher": "higher is better", "lower": "lower is better", "neither": "more is not better"}
CURVES = {METRICS[n].title: n for n in ("flicker", "consistency", "motion", "sharpness", "identity", "subject")}
Scores = Mapping[str, Score]  # of one clip, by metric


def tables(comparison: Comparison, states: Sequence[CellState], scores: Mapping[int, Sequence[Scores] | None]) -> str:
    """Every number of a comparison; `scores` by a cell's place, of each of its clips. "" where there is none."""
    labels, rows, clips = [], [], []
    for index, found in scores.items():
        for number, clip in enumerate(found or []):
            several = f" · {number + 1}" if len(found or []) > 1 else ""
            labels.append(states[index].member.label + several)
            rows.append(states[index].member.row)
            clips.append(clip)
    return table(labels, clips) + by_seed(comparison.rows, rows, clips) if clips else ""


def table(labels: Sequence[str], scores: Sequence[Scores]) -> str:
    """Metrics down, clips across. A number that cannot be compared is a dash with its reason beneath."""
    head = "".join(f'<th scope="col">{escape(label)}</th>' for label in labels)
    lines, absent = parts(scores)
    rows = "".join(f"<tr>{heading(METRICS[name])}{cells}</tr>" for name, cells in lines.items())
    return (
        '<div class="q-numbers" tabindex="0" role="region" aria-label="Numbers"><table>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table></div>{absent}"
    )


def parts(scores: Sequence[Scores]) -> tuple[dict[str, str], str]:
    """By metric the cells of its line, in order, and why the other metrics have none: HTML."""
    known = [metric for metric in METRICS.values() if any(metric.name in clip for clip in scores)]
    shown = [metric for metric in known if any(_value(clip, metric) is not None for clip in scores)]
    lines = {metric.name: "".join(_cell(clip.get(metric.name), metric) for clip in scores) for metric in shown}
    return lines, _reasons([metric for metric in known if metric not in shown], scores)


def heading(metric: Metric) -> str:
    """The first cell of a metric's line."""
    name, help = escape(metric.title), escape(metric.help)
    return f'<th scope="row" title="{help}">{name}<small>{escape(span_of(metric))}</small></th>'


def by_seed(rows: Sequence[str], places: Sequence[int], scores: Sequence[Scores]) -> str:
    """Means over seeds with their 95% intervals: a line per row of the comparison. `places`: each clip's row."""
    counts = [places.count(row) for row in range(len(rows))]
    if max(counts, default=0) < 2:
        return ""
    metrics = [m for m in METRICS.values() if any(_value(clip, m) is not None for clip in scores)]
    head = "".join(f'<th scope="col">{escape(metric.title)}</th>' for metric in metrics)
    lines = []
    for row, label in enumerate(rows):
        clips = [clip for clip, place in zip(scores, places, strict=True) if place == row]
        cells = "".join(f"<td>{_mean(metric, clips)}</td>" for metric in metrics)
        lines.append(f'<tr><th scope="row">{escape(label)}</th>{cells}</tr>')
    return (
        '<div class="q-numbers" tabindex="0" role="region" aria-label="Means over seeds"><table>'
        f"<caption>Mean over seeds, 95% interval</caption><thead><tr><td></td>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def curves(scores: Sequence[Scores], names: Sequence[str]) -> tuple[Curve, ...]:
    """Curves of these metrics for the player, the metric that belongs beside one always with it."""
    wanted = list(dict.fromkeys(name for first in names for name in (first, METRICS[first].beside) if name))
    return tuple(curve for name in wanted[:MOST_CURVES] if (curve := curve_of(METRICS[name], scores)))


def curve_of(metric: Metric, scores: Sequence[Scores]) -> Curve | None:
    """A line per clip; None when no clip has one."""
    lines = tuple(_line(clip, metric) for clip in scores)
    values = [value for line in lines for value in line or () if value is not None]
    if not values:
        return None
    low, high = min(values), max(values)
    room = 0.05 * (high - low) or 0.5
    return Curve(metric.title, low - room, high + room, lines, span_of(metric))


def _cell(score: Score | None, metric: Metric) -> str:
    if score is None:
        return "<td>…</td>"
    if score.value is None:
        return f'<td>–<small class="q-why">{escape(score.reason)}</small></td>'
    word = f' <small data-word="{score.word}">{score.word}</small>' if score.word else ""
    return f'<td title="{escape(score.note)}">{_number(score.value)}{word}</td>'


def _reasons(missing: Sequence[Metric], scores: Sequence[Scores]) -> str:
    """Why a metric has no number in any clip."""
    lines = []
    for metric in missing:
        reason = next(clip[metric.name].reason for clip in scores if metric.name in clip)
        lines.append(f"<li><b>{escape(metric.title)}</b> {escape(reason)}</li>")
    if not lines:
        return ""
    summary = f"{len(lines)} not comparable here"
    return f'<details class="q-absent"><summary>{summary}</summary><ul>{"".join(lines)}</ul></details>'


def _mean(metric: Metric, clips: Sequence[Scores]) -> str:
    values = [value for clip in clips if (value := _value(clip, metric)) is not None]
    if not values:
        return "–"
    found = mean(values)
    if len(values) < 2:
        return _number(found.value)
    return f"{_number(found.value)} <small>{_number(found.low)} to {_number(found.high)}</small>"


def span_of(metric: Metric) -> str:
    """Unit, range and direction: "cosine, -1 to 1; higher is better"."""
    low, high = metric.lowest, metric.highest
    span = f"{low:g} to {high:g}" if low is not None and high is not None else (
        f"{low:g} and up" if low is not None else "any number"
    )  # fmt: skip
    return ", ".join(filter(None, (metric.unit, span))) + f"; {DIRECTIONS[metric.better]}"


def _value(clip: Scores, metric: Metric) -> float | None:
    score = clip.get(metric.name)
    return score.value if score else None


def _line(clip: Scores, metric: Metric) -> tuple[float | None, ...] | None:
    score = clip.get(metric.name)
    return score.curve or None if score else None


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"

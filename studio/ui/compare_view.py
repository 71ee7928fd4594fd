"""The HTML of the compare tab: who can take the brief, what it will cost, how every cell stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from html import escape

from studio.compare import CellState, Comparison, Cost, Fit, Plan
from studio.compare.record import State
from studio.events import Loading, Progress, Waiting
from studio.ui import cards, stage
from studio.ui.media import data_uri, file_url
from studio.ui.moments import time_left

GIGABYTE_MB = 1000
OVER: Mapping[State, str] = {"stopped": "stopped", "failed": "failed", "impossible": "not possible"}


def matrix(found: Mapping[str, Fit], costs: Mapping[str, Cost], chosen: Collection[str]) -> str:
    """A line per method and idea: ticked, possible, or greyed with the reason. Absent weights are folded away."""
    whole = {fit.variant.preset.key: fit for fit in found.values() if not fit.variant.ablation}
    here = "".join(
        _line(key, fit, costs.get(key, Cost()), key in chosen, whole[fit.variant.preset.key])
        for key, fit in found.items()
        if fit.here
    )
    away = [fit for fit in whole.values() if not fit.here]
    heading = '<h2 class="q-heading" id="q-methods">Methods and their ideas</h2>'
    lines = f'<div class="q-matrix" role="group" aria-labelledby="q-methods">{here}</div>'
    return heading + lines + (_absent(away) if away else "")


def _line(key: str, fit: Fit, cost: Cost, ticked: bool, whole: Fit) -> str:
    variant, first = fit.variant, fit is whole
    words = variant.label if first else variant.idea.capitalize()
    state = ("" if fit.possible else " disabled") + (" checked" if ticked and fit.possible else "")
    pair = (
        cards.button("pair", key, "On and off") if first and fit.possible and variant.preset.method.ablations else ""
    )
    price = "" if fit.reason else escape(cost_words(cost))
    return (
        f'<div class="q-fit" data-idea="{"no" if first else "yes"}" data-possible="{"yes" if fit.possible else "no"}">'
        f'<label><input type="checkbox" value="{escape(key)}"{state}><span><b>{escape(words)}</b>'
        f"<small>{escape(_remark(fit, whole))}</small></span></label>"
        f'<span class="q-price">{price}</span>{pair}</div>'
    )


def _remark(fit: Fit, whole: Fit) -> str:
    if fit.reason:
        return fit.reason if fit is whole or fit.reason != whole.reason else ""
    idea = fit.variant.ablation
    says = idea.help if idea else "takes " + ", ".join(fit.takes)
    return " · ".join(filter(None, (says, f"does not see {', '.join(fit.ignores)}" if fit.ignores else "")))


def _absent(away: Sequence[Fit]) -> str:
    """Methods to fetch first; their tabs say how."""
    names = "".join(f"<li><b>{escape(fit.variant.label)}</b> <small>{escape(fit.reason)}</small></li>" for fit in away)
    count = f"{len(away)} more once {'its' if len(away) == 1 else 'their'} weights are here"
    return f'<details class="q-absent"><summary>{count}</summary><ul>{names}</ul></details>'


def plan_words(plan: Plan) -> str:
    """What pressing the button will take."""
    count, refused = len(plan.possible), len(plan.cells) - len(plan.possible)
    parts = [f"{count} video{'' if count == 1 else 's'}", cost_words(plan.cost, plan.unknown) if count else ""]
    parts.append(f"{refused} cannot be made" if refused else "")
    why = next((cell.reason for cell in plan.cells if cell.reason), "")
    return told(" · ".join(filter(None, parts)), why if refused else "")


def told(line: str, aside: str = "") -> str:
    more = f" <span>{escape(aside)}</span>" if aside else ""
    return f'<p class="q-plan">{escape(line)}{more}</p>'


def cost_words(cost: Cost, unknown: int = 0) -> str:
    """Seconds and memory; says so where nothing alike was made yet. `unknown`: videos that `cost` leaves out."""
    if cost.seconds is None:
        return "time not known yet"
    seconds = f"{cost.seconds:.1f} s" if cost.seconds < 10 else f"{cost.seconds:.0f} s"
    if cost.seconds >= 100:
        seconds = f"{cost.seconds / 60:.0f} min"
    seconds = f"at least {seconds}, {unknown} not known yet" if unknown else f"about {seconds}"
    return " · ".join(filter(None, (seconds, memory_words(cost.memory_mb))))


def memory_words(megabytes: int | None) -> str:
    return f"{megabytes / GIGABYTE_MB:.1f} GB" if megabytes else ""


def grid(comparison: Comparison, states: Sequence[CellState], shown: Collection[int]) -> str:
    """The cells as a table whose headings stay in view. A single column lies down: it reads better as a row."""
    lying = len(comparison.columns) == 1
    across = comparison.rows if lying else comparison.columns
    down = ("",) if lying else comparison.rows
    placed = {}
    for index, state in enumerate(states):
        member = state.member
        where = (0, member.row) if lying else (member.row, member.column)
        placed[where] = _cell(index, state, index in shown)
    head = "".join(f'<th scope="col">{escape(label)}</th>' for label in across)
    corner = "" if lying else "<td></td>"
    rows = []
    for row, label in enumerate(down):
        side = "" if lying else f'<th scope="row">{escape(label)}</th>'
        cells = "".join(f"<td>{placed.get((row, column), '')}</td>" for column in range(len(across)))
        rows.append(f"<tr>{side}{cells}</tr>")
    return (
        f'<div class="q-grid" tabindex="0" role="region" aria-label="All videos"><table><thead><tr>{corner}{head}</tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div>"
        f'<p class="q-said" role="status" aria-live="polite">{escape(standing(states))}</p>'
    )


def standing(states: Sequence[CellState]) -> str:
    """How many videos are ready, and what became of those that are over without one."""
    counts = Counter(state.state for state in states)
    parts = [f"{counts['finished']} of {len(states)} videos ready"]
    parts += [f"{counts[state]} {words}" for state, words in OVER.items() if counts[state]]
    return ", ".join(parts) + (", all done" if counts["finished"] == len(states) else "")


def blank(states: Sequence[CellState]) -> str:
    """What stands where the player would be while it holds no video."""
    found = {state.state for state in states}
    if not found:
        lines = ("Nothing to compare yet", "Press Compare. Every video appears here as soon as it is made.")
    elif "finished" in found:
        lines = ("No video is in the player", "Press In player below one.")
    elif "running" in found:
        lines = ("The first video is being made", "Every video appears here as soon as it is made.")
    elif "waiting" in found:
        lines = ("The first video waits its turn", "Every video appears here as soon as it is made.")
    else:
        lines = ("No video was made", standing(states) + ".")
    return f'<div class="q-screen q-blank">{stage.words(*lines)}</div>'


def _cell(index: int, state: CellState, shown: bool) -> str:
    buttons = ""
    if state.state in ("waiting", "running"):
        buttons = cards.button("stop", str(index), "Stop")
    elif state.state == "finished":
        pressed = "true" if shown else "false"
        buttons = cards.button("show", str(index), "In player").replace(
            "data-action", f'aria-pressed="{pressed}" data-action'
        )
    elif state.member.request:
        buttons = cards.button("retry", str(index), "Try again")
    return (
        f'<div class="q-cell" data-state="{state.state}"><div class="q-cell-picture">{_picture(state)}</div>'
        f'<p>{escape(_standing(state))}</p><div class="q-actions">{buttons}</div></div>'
    )


def _picture(state: CellState) -> str:
    if state.preview:
        return f'<img src="{data_uri(state.preview)}" alt="" decoding="sync">'
    if state.state == "finished":
        clip = file_url(state.paths[0]) if state.paths else None
        return cards.thumbnail(clip, file_url(state.poster))
    return '<div class="q-nothing"></div>'


def _standing(state: CellState) -> str:
    event = state.event
    if state.state == "finished":
        gone = "" if state.paths and state.paths[0].is_file() else "The file was moved or deleted."
        return gone or (f"{state.seconds:.1f} s" if state.seconds else "Ready")
    if isinstance(event, Waiting):
        return f"Waiting, {event.position} ahead" if event.position else "Next in line"
    if isinstance(event, Loading):
        return f"Loading {event.stage.replace('_', ' ')}"
    if isinstance(event, Progress):
        line = f"Step {event.index} of {event.total}" if event.stage == "denoise" else event.stage.capitalize()
        return " · ".join(filter(None, (line, time_left(event.seconds_left))))
    return state.message or {"running": "Starting", "waiting": "Waiting", "stopped": "Stopped"}.get(state.state, "")

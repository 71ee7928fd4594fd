"""A comparison as one page that needs neither server nor network: clips inside, the same player."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from studio.compare import CellState, Comparison
from studio.compare.numbers import ClipScores
from studio.presets import Preset
from studio.ui import compare_numbers, given, player
from studio.ui.media import data_uri
from studio.ui.moments import facts

STYLE = """
:root { color-scheme: light dark; --q-ink: #16211f; --q-quiet: #55625f; --q-line-colour: #d9dfdd; --q-paper: #fff;
  --q-sunk: #f0f3f2; --q-accent: #0f766e; --body-background-fill: #fbfcfc; }
@media (prefers-color-scheme: dark) { :root { --q-ink: #e6ecea; --q-quiet: #9aa8a5; --q-line-colour: #2c3837;
  --q-paper: #161d1e; --q-sunk: #1c2526; --q-accent: #2dd4bf; --body-background-fill: #0e1314; } }
body { max-width: 1100px; margin: 24px auto; padding: 0 16px; font: 15px/1.5 system-ui, sans-serif;
  color: var(--q-ink); background: var(--body-background-fill); }
h1 { font-size: 20px; line-height: 1.3; } quintet-player { margin-bottom: 28px; }
.given img { width: 96px; margin-right: 12px; border-radius: 8px; }
table { width: 100%; border-collapse: collapse; font-size: 13px; } .wide { overflow-x: auto; }
th, td { padding: 4px 10px 4px 0; text-align: start; vertical-align: top; }
tr { border-bottom: 1px solid var(--q-line-colour); }
footer { margin-top: 24px; font-size: 13px; color: var(--q-quiet); }
"""

# Beside STYLE, which other pages use too.
NUMBERS_STYLE = """
.q-numbers { margin-bottom: 28px; overflow-x: auto; } .q-numbers caption { text-align: start; }
.q-numbers small { display: block; font-weight: 400; color: var(--q-quiet); }
.q-absent { margin-bottom: 28px; font-size: 13px; }
"""


def page(
    comparison: Comparison, states: Sequence[CellState], presets: Mapping[str, Preset],
    scores: Mapping[int, list[ClipScores] | None] | None = None, pictures: Mapping[str, Path] | None = None,
) -> str:  # fmt: skip
    """HTML. Six clips to a player; their numbers, if there are any, and a table of what made each of them.

    `scores` by a cell's place, of each of its clips; `pictures` of person and subject, when they go with it.
    """
    shown = [(state, path) for state in states for path in state.paths if path.is_file()]
    players = "".join(_player(group, presets) for group in _batched(shown, player.MOST_CLIPS))
    numbers = compare_numbers.tables(comparison, states, scores or {})
    rows = "".join(_row(state) for state in states)
    title = escape(comparison.title)
    seen = given.draw(pictures or given.pictures(comparison, presets), lambda path: data_uri(path.read_bytes()))
    shown_pictures = f'<p class="given">{seen}</p>' if seen else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}{NUMBERS_STYLE}</style></head><body><main><h1>{title}</h1>{shown_pictures}{players}{numbers}"
        f'<div class="wide"><table><thead><tr><th>Video</th><th>Settings</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></main><footer>AI-generated videos, compared with Quintet.</footer>"
        f"{player.head()}</body></html>"
    )


def _player(group: Sequence[tuple[CellState, Path]], presets: Mapping[str, Preset]) -> str:
    lines = []
    for state, _ in group:
        preset = presets.get(state.member.preset)
        lines.append(facts(preset.method if preset else None, state.member.request, state.seconds))
    options = player.Options(facts=tuple(lines))
    return player.draw([path for _, path in group], [state.member.label for state, _ in group], options, _inside)


def _row(state: CellState) -> str:
    told = [f"{name}={value}" for name, value in state.member.request.items() if name != "prompt"]
    settings = ", ".join(told) if state.state == "finished" else state.message or state.state
    return f"<tr><th>{escape(state.member.label)}</th><td>{escape(settings)}</td></tr>"


def _inside(path: Path) -> str:
    return "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _batched(shown: Sequence[tuple[CellState, Path]], size: int) -> list[Sequence[tuple[CellState, Path]]]:
    return [shown[start : start + size] for start in range(0, len(shown), size)]

"""Blind rounds over a comparison: two clips, sides shuffled and names hidden until a vote is cast."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from studio.compare import CellState, Votes
from studio.compare.votes import Tally, Vote
from studio.ui import player

SIDES = ("Left", "Right")
CHOICES: dict[str, Vote] = {"Left is better": "a", "Right is better": "b", "Equal": "tie", "Both bad": "bad"}


@dataclass(frozen=True)
class Round:
    """Two cells by their place in the comparison, as they are shown. Kept on the server, not in the page."""

    left: int
    right: int


def new_round(states: Sequence[CellState], before: Round | None = None) -> Round | None:
    """A pair of finished clips of different methods or ideas, another than before if there is one; sides by lot."""
    ready = [index for index, state in enumerate(states) if state.state == "finished" and _clip(state)]
    names = _names(states)
    pairs = [(a, b) for a, b in itertools.combinations(ready, 2) if names[a] != names[b]]
    alike = [pair for pair in pairs if states[pair[0]].member.column == states[pair[1]].member.column]
    pairs = alike or pairs
    last = {before.left, before.right} if before else set()
    fresh = [pair for pair in pairs if set(pair) != last] or pairs
    if not fresh:
        return None
    pair = list(secrets.choice(fresh))
    if secrets.randbelow(2):
        pair.reverse()
    return Round(*pair)


def draw(turn: Round, states: Sequence[CellState]) -> str:
    """A player that names nobody: neither in words nor in the addresses of its clips."""
    paths = [path for index in (turn.left, turn.right) if (path := _clip(states[index]))]
    return player.draw(paths, SIDES[: len(paths)], player.Options(name="Blind comparison"), address=_unnamed_url)


def cast(votes: Votes, owner: str, turn: Round, states: Sequence[CellState], choice: str) -> str:
    """Record a vote and reveal who was who, with the tally of this pair."""
    a, b = states[turn.left], states[turn.right]
    names = _names(states)
    votes.add(owner, names[turn.left], names[turn.right], CHOICES[choice])
    return reveal(votes.tally(owner, names[turn.left], names[turn.right]), a.member.label, b.member.label)


def reveal(tally: Tally, left: str, right: str) -> str:
    """Who was who, and how sure the votes are by now."""
    counts = f"{tally.a} for {left}, {tally.b} for {right}, {tally.tie} equal, {tally.bad} both bad"
    share = tally.interval
    decided = tally.a + tally.b
    verdict = tally.verdict(left, right)
    spread = f"{left}: {share.value:.0%} of {decided} decided, 95% interval {share.low:.0%} to {share.high:.0%}. "
    return (
        f'<div class="q-reveal" role="status"><p><b>Left</b> was {escape(left)}. <b>Right</b> was {escape(right)}. '
        "They are in the player now; In player below a video adds it.</p>"
        f"<p>Your votes: {escape(counts)}. {escape(spread if decided else '')}{escape(verdict)}</p></div>"
    )


def _names(states: Sequence[CellState]) -> list[str]:
    """What is voted on: the methods; where they are all one method, what sets its cells apart."""
    variants = {state.member.variant for state in states}
    return [state.member.variant if len(variants) > 1 else state.member.label for state in states]


def _clip(state: CellState) -> Path | None:
    return next((path for path in state.paths if path.is_file()), None)


def _unnamed_url(path: Path) -> str:
    """An address that does not tell the method as the file's name does."""
    copy = save_bytes_to_cache(path.read_bytes(), "clip.mp4", cache_dir=get_upload_folder())
    return "gradio_api/file=" + quote(str(copy))

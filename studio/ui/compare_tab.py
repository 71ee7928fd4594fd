"""The compare tab: a brief becomes a grid of videos that are looked at frame by frame, openly or blind.

The page holds the id of its comparison; a timer asks how its cells stand, so a reload finds them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from studio.compare import CellState, Comparison, Comparisons, Costs, Votes, pair
from studio.compare.record import RUNNING
from studio.events import StudioError
from studio.history import History
from studio.jobs import JobQueue
from studio.presets import Preset
from studio.ui import cards, compare_blind, compare_view, player, stage
from studio.ui.compare_brief import QUIET, BriefForm
from studio.ui.compare_bundle import BundleBox
from studio.ui.moments import clip_names, facts
from studio.ui.visitor import visitor_name

TICK_SECONDS = 0.7
# On a narrow page the result lies below the methods; whoever asked for it is taken there.
TO_RESULT = """() => {
  if (innerWidth <= 900) document.querySelector(".q-outcome").scrollIntoView({ behavior: "smooth" });
}"""
Updates = dict[Any, Any]
NOTHING = stage.words("Nothing to compare yet", "Press Compare. Every video appears here as soon as it is made.")


class CompareTab:
    """The components of the tab and what happens when they are used."""

    def __init__(
        self, presets: Mapping[str, Preset], jobs: JobQueue, history: History, visitor: gr.BrowserState
    ) -> None:
        folder = history.path.parent
        self.presets, self.visitor = presets, visitor
        self.made = Comparisons(folder / "comparisons", jobs, history, presets)
        self.votes = Votes(folder / "votes.jsonl")
        self.costs, self.history = Costs(history), history
        with gr.Tab("Compare", id="compare") as self.tab, gr.Row(elem_classes="q-compare"):
            with gr.Column(elem_classes="q-brief"):
                self.form = BriefForm(presets, self.costs)
            with gr.Column(elem_classes="q-outcome"):
                self._draw_outcome()

    def _draw_outcome(self) -> None:
        self.comparison = gr.State(None)  # its id
        self.shown = gr.State(None)  # places of the cells in the player; None takes the first that are ready
        self.round = gr.State(None)
        self.drawn = gr.State(None)  # what was on the page at the last look, so that nothing is sent twice
        self.timer = gr.Timer(TICK_SECONDS, active=False)
        self.player = gr.HTML(_empty(), apply_default_css=False)
        with gr.Row(visible=False, elem_classes="q-votes") as self.ballot:
            self.choices = [gr.Button(words, size="sm") for words in compare_blind.CHOICES]
        self.reveal = gr.HTML("", apply_default_css=False)
        with gr.Row(elem_classes="q-after"):
            self.blind = gr.Button("Blind round", size="sm", visible=False)
            self.open = gr.Button("Show names", size="sm", visible=False)
        self.grid = gr.HTML("", js_on_load=cards.SCRIPT, apply_default_css=False)
        self.bundle = BundleBox(self.made, self.history)

    @property
    def outputs(self) -> list[Any]:
        """Everything a handler of this tab may change."""
        return [
            self.visitor, self.comparison, self.shown, self.round, self.drawn, self.timer, self.player, self.ballot,
            self.reveal, self.blind, self.open, self.grid, self.bundle.said, self.form.run, self.form.stop,
            *self.form.outputs,
        ]  # fmt: skip

    def connect(self, known: Any) -> None:
        """Wire the buttons; `known` is the event after which the visitor has a name."""
        self.form.connect(self.tab)
        held = [self.visitor, self.comparison, self.shown, self.round, self.drawn]
        self.form.run.click(self.on_run, [self.visitor, *self.form.inputs], self.outputs, **QUIET)
        self.form.run.click(None, None, None, js=TO_RESULT)
        self.form.methods.click(self.on_methods, [self.visitor, *self.form.inputs], self.outputs, **QUIET)
        self.form.stop.click(self.on_stop, held[:2], None, **QUIET)
        self.timer.tick(self.on_tick, held, self.outputs, **QUIET)
        self.grid.click(self.on_cell, held, self.outputs, **QUIET)
        self.blind.click(self.on_blind, held, self.outputs, **QUIET)
        self.open.click(self.on_open, held, self.outputs, **QUIET)
        for choice, button in zip(compare_blind.CHOICES, self.choices, strict=True):
            button.click(self._voter(choice), held, self.outputs, **QUIET)
        pictures = [self.bundle.pictures, self.form.person, self.form.subject]
        self.bundle.save.click(self.on_save, [*held[:2], *pictures], self.bundle.said, **QUIET)
        self.bundle.load.upload(self.on_bundle, [self.visitor, self.bundle.load], self.outputs, **QUIET)
        known.then(self.on_load, self.visitor, self.outputs, **QUIET)

    def on_load(self, owner: str) -> Updates:
        """A page was opened: this visitor's newest comparison, followed if it still runs."""
        newest = self.made.newest(owner, 1)
        return self.opened(newest[0], owner) if newest else {self.comparison: None}

    def on_methods(self, click: gr.EventData, stored: Any, *shown: Any) -> Updates:
        """A tick in the list of methods, or a pair that is compared at once."""
        if getattr(click, "action", "") == "pair":
            key = str(getattr(click, "id", ""))
            both = list(pair(self.form.known, key)) if key in self.form.known else []
            return self._run(stored, [both, *shown[1:]])
        ticked = [str(key) for key in getattr(click, "keys", []) or [] if key in self.form.known]
        return self.form.drawn(ticked, shown)

    def on_run(self, stored: Any, *shown: Any) -> Updates:
        return self._run(stored, shown)

    def on_stop(self, owner: str | None, id: str | None) -> None:
        comparison = self._find(owner, id)
        if comparison is not None and owner:
            self.made.stop(comparison, owner)

    def on_tick(self, owner: str | None, id: str | None, shown: Any, turn: Any, drawn: Any) -> Updates:
        comparison = self._find(owner, id)
        if comparison is None or owner is None:
            return {self.timer: gr.Timer(active=False)}
        return self._draw(comparison, owner, shown, turn, drawn)

    def on_cell(
        self, owner: str | None, id: str | None, shown: Any, turn: Any, drawn: Any, click: gr.EventData
    ) -> Updates:
        """Stop a cell, make it again, or take it in or out of the player."""
        comparison = self._find(owner, id)
        words = str(getattr(click, "id", ""))
        if comparison is None or owner is None or not words.isdigit() or int(words) >= len(comparison.members):
            return {self.drawn: None}
        index, action = int(words), getattr(click, "action", "")
        if action == "stop":
            self.made.stop(comparison, owner, index)
        elif action == "retry":
            try:
                comparison = self.made.retry(comparison, owner, index)
            except (ValueError, StudioError) as error:
                return {self.form.alert: _alert(str(error))}
        elif action == "show":
            shown = self._toggled(comparison, owner, shown, index)
        return {self.shown: shown} | self._draw(comparison, owner, shown, turn, None)

    def on_blind(self, owner: str | None, id: str | None, shown: Any, turn: Any, drawn: Any) -> Updates:
        comparison = self._find(owner, id)
        if comparison is None or owner is None:
            return {self.round: None}
        states = self.made.states(comparison, owner)
        fresh = compare_blind.new_round(states, turn)
        if fresh is None:
            return {self.reveal: '<p class="q-told">A blind round needs two finished videos that differ.</p>'}
        return {
            self.round: fresh,
            self.player: compare_blind.draw(fresh, states),
            self.ballot: gr.Row(visible=True),
            self.reveal: "",
            self.grid: "",
            self.blind: gr.Button(visible=False),
            self.open: gr.Button(visible=True),
            self.drawn: None,
        }

    def on_open(self, owner: str | None, id: str | None, shown: Any, turn: Any, drawn: Any) -> Updates:
        """Leave the blind round without a vote."""
        comparison = self._find(owner, id)
        return {self.round: None} if comparison is None or owner is None else self.opened(comparison, owner, shown)

    def on_save(self, owner: str | None, id: str | None, inside: bool, person: str | None, subject: str | None) -> str:
        pictures = {"person": person, "subject": subject} if inside else {}
        found = {name: Path(path) for name, path in pictures.items() if path and Path(path).is_file()}
        return self.bundle.saved(self._find(owner, id), owner, found)

    def on_bundle(self, stored: Any, file: Any) -> Updates:
        owner = visitor_name(stored)
        found = self.bundle.opened(file, owner)
        if isinstance(found, str):
            return {self.bundle.said: found}
        return {self.visitor: owner, self.bundle.said: ""} | self.opened(found, owner)

    def opened(self, comparison: Comparison, owner: str, shown: Any = None) -> Updates:
        """A comparison on the page, names and all."""
        start: Updates = {self.comparison: comparison.id, self.shown: shown, self.round: None, self.reveal: ""}
        return start | {self.ballot: gr.Row(visible=False)} | self._draw(comparison, owner, shown, None, None)

    def _voter(self, choice: str) -> Any:
        def vote(owner: str | None, id: str | None, shown: Any, turn: Any, drawn: Any) -> Updates:
            comparison = self._find(owner, id)
            if comparison is None or owner is None or turn is None:
                return {self.round: None}
            told = compare_blind.cast(self.votes, owner, turn, self.made.states(comparison, owner), choice)
            after = self.opened(comparison, owner, shown)
            pair = [turn.left, turn.right]
            return after | self._draw(comparison, owner, pair, None, None) | {self.reveal: told, self.shown: pair}

        return vote

    def _run(self, stored: Any, shown: Sequence[Any]) -> Updates:
        owner = visitor_name(stored)
        try:
            comparison = self.made.start(self.form.plan(shown), owner)
        except (ValueError, StudioError) as error:
            return {self.form.alert: _alert(str(error))}
        return {self.visitor: owner} | self.form.drawn(shown[0], shown) | self.opened(comparison, owner)

    def _find(self, owner: str | None, id: str | None) -> Comparison | None:
        return self.made.get(id, owner) if owner and id else None

    def _draw(self, comparison: Comparison, owner: str, shown: Any, turn: Any, drawn: Any) -> Updates:
        states = self.made.states(comparison, owner)
        running = any(state.state in RUNNING for state in states)
        now = [(state.state, repr(state.event)[:200], id(state.preview)) for state in states]
        if now == drawn:
            return {self.timer: gr.Timer(active=running)}
        updates: Updates = {
            self.drawn: now,
            self.timer: gr.Timer(active=running),
            self.form.run: gr.Button(interactive=not running),
            self.form.stop: gr.Button(interactive=running),
        }
        if turn is not None:  # a blind round stays closed while other cells go on
            return updates
        places = self._places(states, shown)
        ready = sum(state.state == "finished" for state in states)
        return updates | {
            self.player: self._player(comparison, states, places),
            self.grid: compare_view.grid(comparison, states, places),
            self.blind: gr.Button(visible=ready > 1),
            self.open: gr.Button(visible=False),
        }

    def _places(self, states: Sequence[CellState], shown: Any) -> list[int]:
        """Cells in the player, as many as it can hold."""
        ready = [index for index, state in enumerate(states) if state.state == "finished"]
        wanted = ready if shown is None else [index for index in shown if index in ready]
        kept, clips = [], 0
        for index in wanted:
            clips += len(states[index].paths)
            if clips <= player.MOST_CLIPS:
                kept.append(index)
        return kept

    def _toggled(self, comparison: Comparison, owner: str, shown: Any, index: int) -> list[int]:
        """Out of the player if it was in; when there is no room, in for the one that came first."""
        states = self.made.states(comparison, owner)
        places = self._places(states, shown)
        if index in places:
            return [place for place in places if place != index]
        places.append(index)
        while len(places) > 1 and sum(len(states[place].paths) for place in places) > player.MOST_CLIPS:
            places.pop(0)
        return places

    def _player(self, comparison: Comparison, states: Sequence[CellState], places: Sequence[int]) -> str:
        paths, labels, lines = [], [], []
        for state in (states[place] for place in places):
            names = clip_names(state.paths) if len(state.paths) > 1 else [""]
            preset = self.presets.get(state.member.preset)
            line = facts(preset.method if preset else None, state.member.request, state.seconds)
            paths += state.paths
            labels += [" · ".join(filter(None, (state.member.label, name))) for name in names]
            lines += [line] * len(state.paths)
        if not paths:
            return _empty()
        return f'<p class="q-prompt">{escape(comparison.title)}</p>' + player.draw(
            paths, labels, player.Options(facts=tuple(lines), name=f"Comparison: {comparison.title}")
        )


def _empty() -> str:
    return f'<div class="q-screen q-blank">{NOTHING}</div>'


def _alert(message: str) -> str:
    return f'<p class="q-alert" role="alert">{escape(message)}</p>'

"""The compare tab: a brief becomes a grid of videos that are looked at frame by frame, openly or blind.

The page holds the id of its comparison; a timer asks how its cells stand, so a reload finds them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from studio.compare import CellState, Comparison, Comparisons, Costs, Numbers, Votes, pair
from studio.compare.record import COMPARISONS, RUNNING
from studio.events import Progress, StudioError
from studio.history import History
from studio.jobs import JobQueue
from studio.metrics import METRICS
from studio.presets import Preset
from studio.ui import cards, compare_blind, compare_numbers, compare_view, given, player, stage
from studio.ui.compare_brief import QUIET, TICKED, BriefForm
from studio.ui.compare_bundle import BundleBox
from studio.ui.compare_numbers import CURVES
from studio.ui.compare_recorded import RecordedBox
from studio.ui.media import file_url
from studio.ui.moments import clip_names, facts
from studio.ui.own_pictures import OwnPictures
from studio.ui.visitor import visitor_name

TICK_SECONDS = 0.7
# On a narrow page the result lies below the methods; whoever asked for it is taken there.
TO_RESULT = """() => {
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth";
  if (innerWidth <= 900) document.querySelector(".q-outcome").scrollIntoView({ behavior });
}"""
Updates = dict[Any, Any]
FIRST_CURVE = next(iter(CURVES))
OFFERED = CURVES | {METRICS[name].title: name for name in ("cross_view", "camera")}  # the last for clips with cameras
MEASURING = '<p class="q-told" role="status">Measuring the clips …</p>'


class CompareTab:
    """The components of the tab and what happens when they are used."""

    def __init__(
        self, presets: Mapping[str, Preset], jobs: JobQueue, history: History, visitor: gr.BrowserState,
        own: OwnPictures, certificates: Path | None = None,
    ) -> None:  # fmt: skip
        folder = history.path.parent
        self.presets, self.visitor, self.own = presets, visitor, own
        self.made = Comparisons(folder / COMPARISONS, jobs, history, presets)
        self.votes = Votes(folder / "votes.jsonl")
        self.costs, self.history, self.numbers = Costs(history), history, Numbers()
        self.recorded = RecordedBox(presets)
        with gr.Tab("Compare", id="compare") as self.tab, gr.Row(elem_classes="q-compare"):
            with gr.Column(elem_classes="q-brief"):
                self.form = BriefForm(presets, self.costs)
            with gr.Column(elem_classes="q-outcome"):
                self._draw_outcome(own, certificates)

    def _draw_outcome(self, own: OwnPictures, certificates: Path | None) -> None:
        self.comparison = gr.State(None)  # its id
        self.shown = gr.State(None)  # places of the cells in the player; None takes the first that are ready
        self.round = gr.State(None)
        self.drawn = gr.State(None)  # what was on the page at the last look, so that nothing is sent twice
        self.learned = gr.State([])  # jobs of a comparison that is over: the next will cost about as much
        self.timer = gr.Timer(TICK_SECONDS, active=False)
        self.recorded.draw_bar()
        self.player = gr.HTML(compare_view.blank(()), apply_default_css=False)
        with gr.Row(visible=False, elem_classes="q-votes") as self.ballot:
            self.choices = [gr.Button(words, size="sm") for words in compare_blind.CHOICES]
        self.reveal = gr.HTML("", apply_default_css=False)
        with gr.Row(elem_classes="q-after"):
            self.blind = gr.Button("Blind round", size="sm", visible=False)
            self.open = gr.Button("Show names", size="sm", visible=False)
        self.grid = gr.HTML("", js_on_load=cards.SCRIPT, apply_default_css=False)
        with gr.Accordion("Numbers", open=True, visible=False) as self.figures:
            self.curve = gr.Dropdown(list(OFFERED), value=FIRST_CURVE, label="Curve under the player")
            self.table = gr.HTML("", apply_default_css=False)
        self.bundle = BundleBox(self.made, self.history, own, certificates)
        self.recorded.draw_list()

    @property
    def outputs(self) -> list[Any]:
        """Everything a handler of this tab may change."""
        return [
            self.visitor, self.comparison, self.shown, self.round, self.drawn, self.learned, self.timer, self.player,
            self.ballot, self.reveal, self.blind, self.open, self.grid, self.figures, self.table, self.bundle.said,
            self.recorded.bar, self.recorded.told,
            self.form.run, self.form.stop, *self.form.outputs,
        ]  # fmt: skip

    def connect(self, known: Any) -> None:
        """Wire the buttons; `known` is the event after which the visitor has a name."""
        self.form.connect(self.tab)
        for picture in self.form.pictures:
            picture.change(self.own.note, [self.visitor, picture], None, **QUIET)
        held = [self.visitor, self.comparison, self.shown, self.round, self.drawn, self.curve]
        self.form.run.click(self.on_run, [self.visitor, *self.form.inputs], self.outputs, js=TICKED, **QUIET)
        self.form.run.click(None, None, None, js=TO_RESULT)
        self.form.methods.click(self.on_methods, [self.visitor, *self.form.inputs], self.outputs, **QUIET)
        self.form.stop.click(self.on_stop, held[:2], None, **QUIET)
        learned = [part for part in self.form.outputs if part is not self.form.alert]
        self.learned.change(self.form.on_learned, self.form.inputs, learned, **QUIET)
        self.timer.tick(self.on_tick, held, self.outputs, **QUIET)
        self.grid.click(self.on_cell, held, self.outputs, **QUIET)
        self.curve.change(self.on_curve, held, self.outputs, **QUIET)
        self.blind.click(self.on_blind, held, self.outputs, **QUIET)
        self.open.click(self.on_open, held, self.outputs, **QUIET)
        for choice, button in zip(compare_blind.CHOICES, self.choices, strict=True):
            button.click(self._voter(choice), held, self.outputs, **QUIET)
        pictures = [self.bundle.pictures, self.form.person, self.form.subject]
        self.bundle.save.click(self.on_save, [*held[:2], *pictures], self.bundle.said, **QUIET)
        self.bundle.load.upload(
            self.on_bundle, [self.visitor, self.bundle.load], [*self.outputs, *self.form.pictures], **QUIET
        )
        self.recorded.list.input(self.on_recorded, [self.visitor, self.recorded.list], self.outputs, **QUIET)
        filled = list(dict.fromkeys([*self.outputs, *self.form.inputs]))
        self.recorded.use.click(self.on_use, held[1:2], filled, **QUIET)
        self.recorded.anew.click(self.on_anew, held[:2], filled, **QUIET)
        known.then(self.on_load, self.visitor, self.outputs, **QUIET)

    def on_load(self, owner: str) -> Updates:
        """A page was opened: this visitor's newest comparison, followed if it still runs; else a recorded one."""
        found = next(iter(self.made.newest(owner, 1)), self.recorded.first)
        return self.opened(found, owner) if found else {self.comparison: None}

    def on_recorded(self, stored: Any, id: Any) -> Updates:
        recording, owner = self.recorded.get(id), visitor_name(stored)
        return {self.visitor: owner} | (self.opened(recording.comparison, owner) if recording else {})

    def on_use(self, id: str | None) -> Updates:
        """The form filled with what a recording was asked."""
        recording = self.recorded.get(id)
        return self.recorded.asked(recording, self.form)[0] if recording else {self.form.alert: ""}

    def on_anew(self, stored: Any, id: str | None) -> Updates:
        recording = self.recorded.get(id)
        if recording is None:
            return {self.form.alert: ""}
        filled, values = self.recorded.asked(recording, self.form)
        return filled | self._run(stored, values)

    def on_methods(self, click: gr.EventData, stored: Any, *shown: Any) -> Updates:
        """A tick in the list of methods, or a pair that is compared at once."""
        if getattr(click, "action", "") == "pair":
            key = str(getattr(click, "id", ""))
            both = list(pair(self.form.known, key)) if key in self.form.known else []
            return self._run(stored, [both, *shown[1:]])
        ticked = [str(key) for key in getattr(click, "keys", []) or [] if key in self.form.known]
        return self.form.ticked(ticked, shown)

    def on_run(self, stored: Any, *shown: Any) -> Updates:
        return self._run(stored, shown)

    def on_stop(self, owner: str | None, id: str | None) -> None:
        comparison = self._find(owner, id)
        if comparison is not None and owner:
            self.made.stop(comparison, owner)

    def on_tick(self, owner: str | None, id: str | None, shown: Any, turn: Any, drawn: Any, curve: str) -> Updates:
        comparison = self._find(owner, id)
        if comparison is None or owner is None:
            return {self.timer: gr.Timer(active=False)}
        return self._draw(comparison, owner, shown, turn, drawn, curve)

    def on_curve(self, owner: str | None, id: str | None, shown: Any, turn: Any, drawn: Any, curve: str) -> Updates:
        comparison = self._find(owner, id)
        if comparison is None or owner is None:
            return {self.drawn: None}
        return self._draw(comparison, owner, shown, turn, None, curve)

    def on_cell(
        self, owner: str | None, id: str | None, shown: Any, turn: Any, drawn: Any, curve: str, click: gr.EventData
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
                return {self.form.alert: stage.alert(str(error))}
        elif action == "show":
            shown = self._toggled(comparison, owner, shown, index)
        return {self.shown: shown} | self._draw(comparison, owner, shown, turn, None, curve)

    def on_blind(self, owner: str | None, id: str | None, shown: Any, turn: Any, drawn: Any, curve: str) -> Updates:
        comparison = self._find(owner, id)
        if comparison is None or owner is None:
            return {self.round: None}
        states = self._states(comparison, owner)
        fresh = compare_blind.new_round(states, turn)
        if fresh is None:
            return {self.reveal: '<p class="q-told">A blind round needs two finished videos that differ.</p>'}
        return {
            self.round: fresh,
            self.player: compare_blind.draw(fresh, states),
            self.ballot: gr.Row(visible=True),
            self.reveal: "",
            self.grid: "",
            self.figures: gr.Accordion(visible=False),
            self.blind: gr.Button(visible=False),
            self.open: gr.Button(visible=True),
            self.drawn: None,
            **self.recorded.shown(None),
        }

    def on_open(self, owner: str | None, id: str | None, shown: Any, turn: Any, drawn: Any, curve: str) -> Updates:
        """Leave the blind round without a vote."""
        comparison = self._find(owner, id)
        return (
            {self.round: None} if comparison is None or owner is None else self.opened(comparison, owner, shown, curve)
        )

    def on_save(self, owner: str | None, id: str | None, inside: bool, person: str | None, subject: str | None) -> str:
        pictures = {"person": person, "subject": subject} if inside else {}
        found = {name: Path(path) for name, path in pictures.items() if path and Path(path).is_file()}
        comparison = self._find(owner, id)
        states = self._states(comparison, owner) if comparison and owner else []
        scores = self._scores(comparison, states) if comparison else {}
        return self.bundle.saved(comparison, states, owner, found, scores)

    def _states(self, comparison: Comparison, owner: str) -> list[CellState]:
        recording = self.recorded.get(comparison.id)
        return list(recording.states) if recording else self.made.states(comparison, owner)

    def _scores(self, comparison: Comparison, states: Sequence[CellState]) -> dict[int, list[Any] | None]:
        """By a cell's place; None while they are computed. None are asked for while videos are made: the cores belong
        to them."""
        recording = self.recorded.get(comparison.id)
        if recording:
            return dict(enumerate(recording.scores))
        if any(state.state in RUNNING for state in states):
            return {}
        return {index: self.numbers.of(state, self.presets) for index, state in enumerate(states)}

    def on_bundle(self, stored: Any, file: Any) -> Updates:
        owner = visitor_name(stored)
        found, pictures, said = self.bundle.opened(file, owner)
        if found is None:
            return {self.bundle.said: said}
        shown = {getattr(self.form, role): str(picture) for role, picture in pictures.items()}
        return {self.visitor: owner} | self.opened(found, owner) | {self.bundle.said: said} | shown

    def opened(self, comparison: Comparison, owner: str, shown: Any = None, curve: str = FIRST_CURVE) -> Updates:
        """A comparison on the page, names and all."""
        start: Updates = {self.comparison: comparison.id, self.shown: shown, self.round: None, self.reveal: ""}
        return start | {self.ballot: gr.Row(visible=False)} | self._draw(comparison, owner, shown, None, None, curve)

    def _voter(self, choice: str) -> Any:
        def vote(owner: str | None, id: str | None, shown: Any, turn: Any, drawn: Any, curve: str) -> Updates:
            comparison = self._find(owner, id)
            if comparison is None or owner is None or turn is None:
                return {self.round: None}
            told = compare_blind.cast(self.votes, owner, turn, self._states(comparison, owner), choice)
            after = self.opened(comparison, owner, shown, curve)
            pair = [turn.left, turn.right]
            return (
                after | self._draw(comparison, owner, pair, None, None, curve) | {self.reveal: told, self.shown: pair}
            )

        return vote

    def _run(self, stored: Any, shown: Sequence[Any]) -> Updates:
        owner = visitor_name(stored)
        try:
            comparison = self.made.start(self.form.plan(shown), owner)
        except (ValueError, StudioError) as error:
            return self.form.refused(str(error))
        return {self.visitor: owner} | self.form.drawn(shown[0], shown) | self.opened(comparison, owner)

    def _find(self, owner: str | None, id: str | None) -> Comparison | None:
        recording = self.recorded.get(id)
        return recording.comparison if recording else self.made.get(id, owner) if owner and id else None

    def _draw(self, comparison: Comparison, owner: str, shown: Any, turn: Any, drawn: Any, curve: str) -> Updates:
        states = self._states(comparison, owner)
        running = any(state.state in RUNNING for state in states)
        scores = self._scores(comparison, states)
        pending = any(found is None for found in scores.values())
        now = [[_mark(state) for state in states], [index for index, found in scores.items() if found]]
        timer = gr.Timer(active=running or pending)
        if now == drawn:
            return {self.timer: timer}
        updates: Updates = {
            self.drawn: now,
            self.timer: timer,
            self.form.run: gr.Button(interactive=not running),
            self.form.stop: gr.Button(interactive=running),
            self.learned: [] if running else [s.member.job for s in states if s.state == "finished" and s.member.job],
            **self.recorded.shown(comparison if turn is None else None),
        }
        if turn is not None:  # a blind round stays closed while other cells go on
            return updates | {self.figures: gr.Accordion(visible=False)}
        places = self._places(states, shown)
        ready = sum(state.state == "finished" for state in states)
        return updates | {
            self.player: self._player(comparison, states, places, scores, curve),
            self.grid: compare_view.grid(comparison, states, places),
            self.table: (MEASURING if pending else "") + compare_numbers.tables(comparison, states, scores),
            self.figures: gr.Accordion(visible=ready > 0 and not running),
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
        states = self._states(comparison, owner)
        places = self._places(states, shown)
        if index in places:
            return [place for place in places if place != index]
        places.append(index)
        while len(places) > 1 and sum(len(states[place].paths) for place in places) > player.MOST_CLIPS:
            places.pop(0)
        return places

    def _player(
        self, comparison: Comparison, states: Sequence[CellState], places: Sequence[int], scores: Mapping[int, Any],
        curve: str,
    ) -> str:  # fmt: skip
        paths, labels, lines = [], [], []
        for state in (states[place] for place in places):
            names = clip_names(state.paths) if len(state.paths) > 1 else [""]
            preset = self.presets.get(state.member.preset)
            line = facts(preset.method if preset else None, state.member.request, state.seconds)
            paths += state.paths
            labels += [" · ".join(filter(None, (state.member.label, name))) for name in names]
            lines += [line] * len(state.paths)
        if not paths:
            return compare_view.blank(states)
        measured = [clip for place in places for clip in scores.get(place) or []]
        drawn = compare_numbers.curves(measured, [OFFERED[curve]]) if len(measured) == len(paths) else ()
        options = player.Options(facts=tuple(lines), curves=drawn, name=f"Comparison: {comparison.title}")
        pictures = given.draw(given.pictures(comparison, self.presets), file_url)
        heading = f'{pictures}<p class="q-prompt">{escape(comparison.title)}</p>'
        return f'<div class="q-given">{heading}</div>' + player.draw(paths, labels, options)


def _mark(state: CellState) -> tuple[Any, ...]:
    """What of a cell is on the page, small enough to compare at every tick."""
    event = state.event
    told = (event.stage, event.index, bool(event.preview)) if isinstance(event, Progress) else repr(event)
    return state.state, state.member.job, told

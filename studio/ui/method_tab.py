"""Any preset as a tab: prompt and buttons, result, settings, examples. The page holds a job's id and nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from studio.events import StudioError, request_values
from studio.jobs import Job, JobQueue
from studio.presets import Preset
from studio.ui import cards, examples, stage
from studio.ui.camera_rig import CameraRig
from studio.ui.controls import Form
from studio.ui.enclosing import EncloseBox
from studio.ui.lineups import LineupButtons
from studio.ui.moments import follow
from studio.ui.own_pictures import OwnPictures
from studio.ui.picture import PictureField
from studio.ui.restoring import DropPlace
from studio.ui.stage import Moment
from studio.ui.visitor import visitor_name
from studio.ui.weights_panel import WeightsPanel
from studio.weights.downloads import Downloads

STAGE_SCRIPT = Path(__file__).with_name("stage.js").read_text(encoding="utf-8")
DRAWN_SEEDS = 1_000_000  # short enough to read aloud; a longer one can be typed
Updates = dict[Any, Any]


class MethodTab:
    """The components of one tab and what happens when they are used."""

    def __init__(
        self, preset: Preset, jobs: JobQueue, visitor: gr.BrowserState, own: OwnPictures,
        downloads: Downloads | None = None, certificates: Path | None = None,
    ) -> None:  # fmt: skip
        self.preset, self.jobs, self.visitor, self.downloads = preset, jobs, visitor, downloads
        self.own, self.certificates = own, certificates
        choices = preset.method.choices(preset.weights) if preset.method.choices else None
        self.form = Form(preset.method, examples.opening_request(preset), choices)
        with gr.Tab(preset.title, id=preset.key) as self.tab:
            self._draw()

    def _draw(self) -> None:
        method = self.preset.method
        self.job_id = gr.State(None)
        self.last_seed = gr.State(None)
        with gr.Row(elem_classes="q-work"):
            about = _introduction(method.summary, method.paper, method.note)
            gr.HTML(about, apply_default_css=False, elem_classes="q-about")
            with gr.Column(elem_classes="q-ask"):
                self.weights = WeightsPanel(self.preset, self.downloads)
                self.pictures = [
                    PictureField(name, self.form, self.preset, self.jobs, self.visitor, self.own)
                    for name in self.form.pictures
                ]
                self.form.draw(self.form.prompt)
                with gr.Row(elem_classes="q-buttons"):
                    self.generate = gr.Button("Generate", variant="primary", elem_classes="q-generate")
                    self.stop = gr.Button("Stop", interactive=False, elem_classes="q-stop")
                self.alert = gr.HTML(stage.alert(""), apply_default_css=False)
                self.lineups = LineupButtons(self.preset)
            with gr.Column(elem_classes="q-result"):
                start = stage.draw(examples.opening(self.preset))
                self.stage = gr.HTML(start, js_on_load=STAGE_SCRIPT, apply_default_css=False)
                self.enclosing = EncloseBox(self.jobs, self.own, self.certificates)
            with gr.Column(elem_classes="q-settings"):
                self._draw_settings()
                self.place = DropPlace()
        self.examples = gr.HTML(
            examples.example_cards(self.preset),
            js_on_load=cards.SCRIPT,
            apply_default_css=False,
            visible=bool(self.preset.examples),
        )

    def _draw_settings(self) -> None:
        self.form.draw(*self.form.ideas)
        self.rigs = [CameraRig(name, self.form, self.preset) for name in self.form.rigs]
        self.form.draw(*self.form.main)
        with gr.Row(elem_classes="q-seed"):
            self.form.draw("seed")
            with gr.Column(elem_classes="q-seed-ways"):
                self.fresh = gr.Checkbox(True, label="New seed each time", elem_classes="q-fresh")
                self.reuse = gr.Button("Reuse last seed", size="sm", interactive=False, elem_classes="q-reuse")
        if self.form.advanced:
            with gr.Accordion("Advanced", open=False, elem_classes="q-advanced"):
                self.form.draw(*self.form.advanced)

    def connect(self) -> None:
        """Wire the buttons. Our own queue orders the work, so no handler waits for another."""
        quiet: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
        asked = [self.generate.click, self.form.components[self.form.prompt].submit]
        self.generated = gr.on(asked, self.on_generate, [self.visitor, self.fresh, *self.asked], self.outputs, **quiet)
        for picture in self.pictures:
            picture.connect(self.tab)
        for rig in self.rigs:
            rig.connect()
        self.stop.click(self.on_stop, [self.visitor, self.job_id], None, **quiet)
        self.reuse.click(self.on_reuse, [self.last_seed], [self.form.components["seed"], self.fresh], **quiet)
        self.enclosing.button.click(self.enclosing.on_click, [self.visitor, self.job_id], self.enclosing.said, **quiet)
        self.examples.click(self.on_example, [self.visitor, self.job_id], self.outputs, **quiet)

    @property
    def asked(self) -> list[Any]:
        """What `read` takes: how each picture stands, then the fields."""
        return [*(part for picture in self.pictures for part in picture.standing), *self.form.inputs]

    def read(self, shown: Sequence[Any]) -> dict[str, Any]:
        """The request's values. ValueError for a picture that may not or cannot be used."""
        fields = len(self.form.fields)
        values = self.form.values(shown[-fields:])
        standing = iter(shown[:-fields])
        for picture in self.pictures:
            values[picture.name] = picture.origin(values[picture.name])
            picture.check(values[picture.name], agreed=next(standing), fault=next(standing))
        return values

    @property
    def outputs(self) -> list[Any]:
        """Everything a handler of this tab may change."""
        own = [self.visitor, self.job_id, self.last_seed, self.stage, self.alert, self.generate, self.stop]
        return [*own, self.reuse, self.fresh, self.enclosing.button, self.enclosing.said, *self.form.inputs]

    def on_generate(self, stored: Any, fresh: bool, *shown: Any) -> Iterator[Updates]:
        """`shown` as `asked`."""
        owner = visitor_name(stored)
        try:
            values = self.read(shown)
        except ValueError as error:
            yield {self.alert: stage.alert(str(error))}
            return
        if fresh and "seed" in values:
            values["seed"] = self._draw_seed()
        if self.is_running(owner):
            yield {self.alert: stage.alert("A video of this tab is being made already. Stop it or wait for it.")}
            return
        try:
            job = self.jobs.submit(self.preset, self.form.request(values), owner)
        except (ValueError, StudioError) as error:
            yield {self.alert: stage.alert(str(error))}
            return
        yield {self.visitor: owner, **self.started(job)}
        yield from self._followed(job)

    def on_stop(self, owner: Any, job_id: str | None) -> None:
        if job_id and owner:
            self.jobs.stop(job_id, owner)

    def on_reuse(self, last_seed: int | None) -> tuple[Any, Any]:
        return (gr.skip(), gr.skip()) if last_seed is None else (last_seed, False)

    def on_example(self, owner: Any, job_id: str | None, click: gr.EventData) -> Updates:
        example = examples.example_named(self.preset, getattr(click, "id", None))
        if example is None:
            return {self.alert: stage.alert("")}
        if owner and self.is_running(owner):
            return {self.alert: stage.alert("A video is being made. Stop it or wait for it, then open an example.")}
        return self.use(request_values(example.request)) | self.show(examples.shown(self.preset.method, example))

    def on_load(self, owner: str) -> Iterator[Updates]:
        """A page was opened or reloaded: show this visitor's newest job of this tab again, and follow it."""
        mine = [job for job in self.jobs.jobs(owner) if job.preset_name == self.preset.key]
        if not mine:
            yield {self.job_id: None}  # a generator that yields nothing would empty every field
            return
        yield self.started(mine[-1]) | self.form.fill(request_values(mine[-1].request))
        yield from self._followed(mine[-1])

    def _followed(self, job: Job) -> Iterator[Updates]:
        """Its moments until the end; the buttons come with the first and the last alone."""
        shown = ""
        for moment in follow(self.preset.method, job):
            yield {self.stage: stage.draw(moment)} if moment.state == shown else self.show(moment, job)
            shown = moment.state

    def started(self, job: Job) -> Updates:
        """A job is under way: its id, its seed, and Stop in place of Generate."""
        updates: Updates = {self.job_id: job.id, self.alert: stage.alert("")}
        seed = request_values(job.request).get("seed")
        if seed is not None:
            updates |= {
                self.last_seed: seed,
                self.form.components["seed"]: seed,
                self.reuse: gr.update(interactive=True),
            }
        return updates

    def use(self, values: Mapping[str, Any]) -> Updates:
        """Fill the form; the seed stays as filled."""
        return self.form.fill(values) | {self.fresh: False, self.alert: stage.alert("")}

    def show(self, moment: Moment, job: Job | None = None) -> Updates:
        """`job`: the one that the moment is of, if it is this page's."""
        running = moment.state == "running"
        return {
            self.stage: stage.draw(moment),
            self.generate: gr.update(interactive=not running),
            self.stop: gr.update(interactive=running),
            **self.enclosing.shown(job),
        }

    def is_running(self, owner: str) -> bool:
        return any(job.preset_name == self.preset.key and not job.done for job in self.jobs.jobs(owner))

    def _draw_seed(self) -> int:
        highest = self.form.fields["seed"].maximum
        return secrets.randbelow(DRAWN_SEEDS if highest is None else min(DRAWN_SEEDS, int(highest) + 1))


def _introduction(summary: str, paper: str, note: str) -> str:
    address = paper.replace("arXiv:", "https://arxiv.org/abs/", 1)
    source = escape(address.replace("https://arxiv.org/abs/", "arXiv:", 1))
    if address.startswith("https://"):
        source = f'<a href="{escape(address)}" target="_blank" rel="noopener">{source}</a>'
    remark = f" <span>{escape(note)}</span>" if note else ""
    return f"<p>{escape(summary)} {source}{remark}</p>"

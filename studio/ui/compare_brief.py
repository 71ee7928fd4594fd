"""The asking side of the compare tab: one brief, who can take it, what to vary, and what it will cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from models.method import request_fields
from studio.compare import (
    METHOD,
    ONE,
    Axis,
    Brief,
    Costs,
    Fit,
    Plan,
    Role,
    Variant,
    axis_fields,
    fits,
    make_plan,
    parse_axis,
    variants,
    weights_here,
)
from studio.compare.brief import PICTURES, is_picture, roles
from studio.events import request_values
from studio.presets import Preset, shipped_pictures
from studio.ui import cards, compare_view, stage
from studio.ui.controls import check_uploads
from studio.ui.media import cached, file_url
from studio.ui.uploads import Picture

SCRIPT = Path(__file__).with_name("compare.js").read_text(encoding="utf-8")
# What is ticked when the button is pressed counts, also while an earlier tick is still on its way. Where nothing is,
# what was chosen and has become impossible: then the reason of that is told, not that nothing is chosen.
TICKED = """(visitor, chosen, ...rest) => {
  const boxes = [...document.querySelectorAll(".q-matrix input")];
  const ticked = boxes.filter((box) => box.checked);
  const greyed = boxes.filter((box) => box.disabled && (chosen ?? []).includes(box.value));
  return [visitor, (ticked.length ? ticked : greyed).map((box) => box.value), ...rest];
}"""
LONGEST_SEED = 40  # digits; which seeds are too large, each method says
AT_FIRST = 2  # ticked when the page opens, so that one press compares
QUIET: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}


class BriefForm:
    """The components that make a plan. Draw once, inside a Gradio context."""

    def __init__(self, presets: Mapping[str, Preset], costs: Costs) -> None:
        self.known = variants(presets.values())
        self.costs = costs
        self.shelves = {role: shipped(presets.values(), role) for role in PICTURES}
        self.start = self._easiest(list(presets.values())).request
        self.prompt = gr.Textbox(
            str(getattr(self.start, "prompt", "")), label="Prompt", lines=3, max_lines=8, info="The same for everyone."
        )
        with gr.Row(elem_classes="q-buttons"):
            self.run = gr.Button("Compare", variant="primary", elem_classes="q-generate")
            self.stop = gr.Button("Stop all", interactive=False, elem_classes="q-stop")
        self.alert = gr.HTML("", apply_default_css=False)
        self.chosen = gr.JSON(list(self._first_choice()), visible=False)
        self.cost = gr.HTML(compare_view.told(" "), apply_default_css=False)
        self.methods = gr.HTML(self._matrix(self._opening(), self._first_choice()), js_on_load=SCRIPT,
                               apply_default_css=False)  # fmt: skip
        self._draw_references()
        self._draw_grid()

    def _draw_references(self) -> None:
        with gr.Accordion("Person, subject, cameras", open=False):
            self.person = self._picture("person", "A person, the face large and seen from the front.")
            self.consent = gr.Checkbox(False, label=self._consent_words(), visible=False)
            self.subject = self._picture("subject", "One thing, alone in the picture.")
            cameras = "For methods that take camera paths, for example orbit left."
            self.cameras = gr.Textbox("", label="Cameras", info=cameras, lines=1)

    def _picture(self, role: Role, help: str) -> Any:
        picture = Picture(None, label=f"{role.capitalize()}: {help}", type="filepath", format="png", height=200,
                           sources=["upload", "clipboard"], buttons=[])  # fmt: skip
        shelf = self.shelves[role]
        offered = gr.HTML(_shelf(shelf), js_on_load=cards.SCRIPT, apply_default_css=False, visible=bool(shelf))
        offered.click(_take(shelf), None, picture, **QUIET)
        return picture

    def _draw_grid(self) -> None:
        fields = {label: name for name, label in axis_fields(list(self.known.values())).items()}
        choices = [(label, name) for label, name in sorted(fields.items())]
        with gr.Accordion("Seeds and grids", open=False):
            self.seeds = gr.Textbox(
                str(getattr(self.start, "seed", 42)),
                label="Seeds",
                info="Several, between commas, make a grid.",
                lines=1,
            )
            self.negative = gr.Textbox("", label="Negative prompt", lines=2, info="Empty: each method's own.")
            self.rows = gr.Dropdown(
                [("Methods and ideas", METHOD), *choices], value=METHOD, label="Rows",
                info="A field varies the first ticked method.",
            )  # fmt: skip
            self.row_values = gr.Textbox("", label="Values of the rows", info="Between commas, or one per line.",
                                         visible=False)  # fmt: skip
            self.columns = gr.Dropdown([("Nothing", ""), *choices], value="", label="Columns")
            self.column_values = gr.Textbox("", label="Values of the columns", visible=False,
                                            info="Between commas, or one per line.")  # fmt: skip

    @property
    def inputs(self) -> list[Any]:
        return [
            self.chosen, self.prompt, self.negative, self.seeds, self.person, self.subject, self.cameras,
            self.rows, self.row_values, self.columns, self.column_values, self.consent,
        ]  # fmt: skip

    @property
    def pictures(self) -> list[Any]:
        return [self.person, self.subject]

    @property
    def outputs(self) -> list[Any]:
        """What a change of the brief redraws."""
        return [self.chosen, self.methods, self.cost, self.alert]

    def connect(self, tab: gr.Tab) -> None:
        words = [self.prompt, self.negative, self.seeds, self.cameras, self.row_values, self.column_values]
        picked = [self.rows, self.columns, self.person, self.subject]
        changed = [tab.select, *(box.blur for box in words), *(part.change for part in picked)]
        gr.on(changed, self.on_change, self.inputs, self.outputs, trigger_mode="always_last", **QUIET)
        self.rows.change(lambda name: gr.update(visible=name != METHOD), self.rows, self.row_values, **QUIET)
        self.columns.change(lambda name: gr.update(visible=bool(name)), self.columns, self.column_values, **QUIET)
        self.person.change(self.on_person, self.person, self.consent, **QUIET)

    def on_change(self, *shown: Any) -> dict[Any, Any]:
        """Redraw who can take the brief and what the plan costs."""
        return self.drawn(shown[0] or [], shown)

    def on_learned(self, *shown: Any) -> dict[Any, Any]:
        """Videos were made, so more is known of what others cost; what was said meanwhile stays."""
        updates = self.on_change(*shown)
        updates.pop(self.alert, None)
        return updates

    def ticked(self, chosen: Sequence[str], shown: Sequence[Any]) -> dict[Any, Any]:
        """After a tick: the cost; the list itself shows the tick already."""
        updates = self.drawn(chosen, shown)
        updates.pop(self.methods, None)
        return updates

    def drawn(self, chosen: Sequence[str], shown: Sequence[Any]) -> dict[Any, Any]:
        try:
            brief = self.brief(shown)
        except ValueError as error:  # its reason alone: those of an earlier brief go
            line, brief = compare_view.told(str(error)), self._without_faults(shown)
            methods = self._matrix(brief, chosen)
            return {self.cost: line, self.chosen: list(chosen), self.methods: methods, self.alert: ""}
        updates = {self.chosen: list(chosen), self.methods: self._matrix(brief, chosen), self.alert: ""}
        try:
            line = compare_view.plan_words(self.plan([list(chosen), *shown[1:]]))
        except ValueError as error:
            line = compare_view.told(str(error))
        return updates | {self.cost: line}

    def refused(self, message: str) -> dict[Any, Any]:
        """What pressing the button in vain shows: the reason, once."""
        return {self.alert: stage.alert(message), self.cost: compare_view.told(" ")}

    def on_person(self, picture: str | None) -> Any:
        return gr.update(visible=self._is_own(picture))  # agreed once, for the whole visit

    def brief(self, shown: Sequence[Any]) -> Brief:
        _, prompt, negative, seeds, person, subject, cameras, *_ = shown
        check_uploads(cameras or "")
        return Brief(
            prompt or "", negative or "", parse_seeds(seeds or ""), _path(person), _path(subject), cameras or ""
        )

    def plan(self, shown: Sequence[Any]) -> Plan:
        """What pressing the button would make. ValueError says what is missing."""
        chosen, row_name, row_words, column_name, column_words, consent = shown[0], *shown[7:12]
        brief = self.brief(shown)  # what is wrong with it comes before what is wrong with the ticks
        ticked = [key for key in self.known if key in (chosen or [])]
        used = any("person" in roles(self.known[key].preset.method.request) for key in ticked)
        if used and self._is_own(shown[4]) and not consent:
            raise ValueError("A face of your own needs the tick below it: you have the right to use it.")
        if not ticked:
            raise ValueError("Nothing is chosen. Tick at least one method.")
        owners = [self.known[key] for key in ticked]
        rows = Axis(METHOD, tuple(ticked)) if row_name == METHOD else _axis(row_name, row_words or "", owners)
        columns = _axis(column_name, column_words or "", owners) if column_name else ONE
        return make_plan(brief, self.known, rows, columns, ticked[0], weights_here, self.costs)

    def _without_faults(self, shown: Sequence[Any]) -> Brief:
        """The brief as far as it can be used, for who could take it if the rest were right."""
        _, prompt, negative, _, person, subject, *_ = shown
        opening = self._opening()
        return replace(
            opening,
            prompt=(prompt or "").strip() or opening.prompt,
            negative_prompt=negative or "",
            person=_path(person),
            subject=_path(subject),
        )

    def _opening(self) -> Brief:
        return Brief(str(getattr(self.start, "prompt", "")) or "a video")

    def _easiest(self, presets: Sequence[Preset]) -> Preset:
        """The first that makes its own prompt from words alone: its prompt opens the tab."""
        for preset in presets:
            wish = Brief(str(getattr(preset.request, "prompt", "")) or "a video")
            if self._fits(wish)[preset.key].possible:
                return preset
        return presets[0]

    def _first_choice(self) -> tuple[str, ...]:
        """Two that can run at once: different methods if there are two, else one with its idea on and off."""
        able = [fit.variant for fit in self._fits(self._opening()).values() if fit.possible]
        methods: dict[str, Variant] = {}
        for variant in able:
            if not variant.ablation:
                methods.setdefault(variant.preset.method.name, variant)
        wholes = [variant.preset.key for variant in methods.values()]
        ideas = [variant for variant in able if variant.ablation and variant.preset.key in wholes]
        return tuple(variant.key for variant in [*methods.values(), *ideas][:AT_FIRST])

    def _fits(self, brief: Brief) -> dict[str, Fit]:
        return fits(self.known.values(), brief, weights_here)

    def _matrix(self, brief: Brief, chosen: Sequence[str]) -> str:
        found = self._fits(brief)
        costs = {
            key: self.costs.of(fit.variant.preset.key, request_values(fit.variant.request(brief)))
            for key, fit in found.items()
            if fit.possible
        }
        return compare_view.matrix(found, costs, chosen)

    def _consent_words(self) -> str:
        infos = [info for v in self.known.values() for info in request_fields(v.preset.method.request).values()]
        return next((info.consent for info in infos if info.consent), "I have the right to use this face.")

    def _is_own(self, picture: str | None) -> bool:
        """A picture, and not one of the studio's own."""
        if not picture or not Path(picture).is_file() or not is_picture(Path(picture)):
            return False
        content = Path(picture).read_bytes()
        return all(path.read_bytes() != content for path in self.shelves["person"])


def _axis(name: str, words: str, owners: Sequence[Variant]) -> Axis:
    """Values from the page; ValueError when one is a path of this machine."""
    infos = [request_fields(variant.preset.method.request).get(name) for variant in owners]
    axis = parse_axis(name, words, owners)
    if any(info is not None and info.kind == "camera_path" for info in infos):
        for value in axis.values:
            check_uploads(str(value))
    return axis


def parse_seeds(words: str) -> tuple[int, ...]:
    """Whole numbers between commas. ValueError names the one that is none."""
    parts = [part for part in words.replace(",", " ").split() if part]
    for part in parts:
        if not (part.isdecimal() and len(part) <= LONGEST_SEED):
            raise ValueError(f"{part!r:.40} is not a seed. Seeds are whole numbers, for example 42.")
    return tuple(dict.fromkeys(int(part) for part in parts))


def shipped(presets: Any, role: Role) -> tuple[Path, ...]:
    """The pictures of this role that presets and their examples name."""
    found: list[Path] = []
    for preset in presets:
        name = roles(preset.method.request).get(role)
        found += shipped_pictures(preset, name) if name is not None else ()
    return tuple(dict.fromkeys(found))


def _take(shelf: Sequence[Path]) -> Any:
    def take(click: gr.EventData) -> Any:
        index = str(getattr(click, "id", ""))
        return cached(shelf[int(index)]) if index.isdigit() and int(index) < len(shelf) else gr.skip()

    return take


def _shelf(pictures: Sequence[Path]) -> str:
    buttons = "".join(
        f'<button type="button" class="q-face" data-action="take" data-id="{index}" aria-label="{escape(path.stem)}">'
        f'<img src="{escape(file_url(path) or "")}" alt=""></button>'
        for index, path in enumerate(pictures)
    )
    return f'<div class="q-faces" role="group" aria-label="Pictures to try">{buttons}</div>'


def _path(value: str | None) -> Path | None:
    return Path(value) if value else None

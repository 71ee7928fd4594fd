"""The camera paths of a request: a pattern for all views or a path for each, drawn before anything is generated."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from models.method import Camera, is_camera_file, label_of, path_entries
from studio.presets import Preset
from studio.ui import stage
from studio.ui.controls import Form

EACH = "each"  # in place of a pattern's name
DIGITS = 4  # of the numbers that are drawn
QUIET: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
Updates = dict[Any, Any]


@dataclass(frozen=True)
class Look:
    """What the rig shows. `views`: the chosen path of each view; empty when a pattern holds for all."""

    pattern: str
    views: tuple[str, ...]
    choices: list[tuple[str, str]]
    told: str = ""
    plot: str = ""


class CameraRig:
    """One camera_path field of a tab with its number of views. The field itself is hidden and holds the words."""

    def __init__(self, name: str, form: Form, preset: Preset) -> None:
        self.name, self.form, self.preset = name, form, preset
        self.info = form.fields[name]
        with gr.Column(elem_classes="q-rig"):
            self._draw(self.look([], dataclasses.asdict(form.start)))

    def _draw(self, look: Look) -> None:
        self.form.draw(self.name)
        self.words.visible = "hidden"
        self.files = gr.State([])  # camera files that were added
        patterns = [*((name.capitalize(), name) for name in self.info.choices), ("A path for each view", EACH)]
        label = label_of(self.name, self.info)
        self.pattern = gr.Dropdown(
            patterns, value=look.pattern, label=label, info=self.info.help, elem_classes="q-rig-pattern"
        )
        self.form.draw(self.info.views)
        with gr.Row(visible=bool(look.views), elem_classes="q-rig-views") as self.row:
            chosen = [*look.views, *[None] * self.most][: self.most]
            self.views = [
                gr.Dropdown(look.choices, value=path, label=f"View {number}", visible=path is not None, min_width=140)
                for number, path in enumerate(chosen, 1)
            ]
        self.add = gr.UploadButton(
            "Add RealEstate10K files", file_count="multiple", file_types=[".txt"], size="sm", elem_classes="q-rig-add"
        )
        self.plot = gr.HTML(look.plot, apply_default_css=False)
        self.told = gr.HTML(look.told, apply_default_css=False)

    @property
    def words(self) -> Any:
        return self.form.components[self.name]

    @property
    def count(self) -> Any:
        return self.form.components[self.info.views]

    @property
    def most(self) -> int:
        return int(self.form.fields[self.info.views].maximum or 1)

    @property
    def _asked(self) -> list[str]:
        """The fields that cameras may depend on: the paths and what is set by a slider."""
        return [name for name, info in self.form.fields.items() if info.kind in ("slider", "camera_path")]

    def connect(self) -> None:
        """What a person chooses becomes words; whatever changes the words or a slider draws anew."""
        asked = [self.form.components[name] for name in self._asked]
        self.pattern.input(self.on_pattern, [self.pattern, self.words, self.count], self.words, **QUIET)
        gr.on([view.input for view in self.views], self.on_views, [self.count, *self.views], self.words, **QUIET)
        self.count.change(self.on_count, [self.words, self.count], self.words, trigger_mode="always_last", **QUIET)
        added = [self.files, self.words, self.count, self.told]
        self.add.upload(self.on_files, [self.add, self.files, *asked], added, **QUIET)
        shown = [self.pattern, self.row, *self.views, self.told, self.plot]
        moves = [part.change for name, part in self.form.components.items() if name in self._asked]
        gr.on(moves, self.on_change, [self.files, *asked], shown, trigger_mode="always_last", **QUIET)

    def on_pattern(self, pattern: str, words: str, count: float) -> str:
        if pattern != EACH:
            return pattern
        return self._filled([] if words in self.info.choices else path_entries(words), count)

    def on_views(self, count: float, *views: str | None) -> str:
        return self._filled([view or "" for view in views], count)

    def on_count(self, words: str, count: float) -> str:
        """A path for each view stays so with more views, or fewer."""
        return words if words in self.info.choices else self._filled(path_entries(words), count)

    def on_files(self, added: Sequence[str], files: Sequence[str], *shown: Any) -> Updates:
        """A file to each view from the first; more files than views make more views. A bad file changes nothing."""
        added = [str(path) for path in added or []][: self.most]
        values = dict(zip(self._asked, shown, strict=True))
        words = str(values[self.name])
        before = [] if words in self.info.choices else path_entries(words)
        count = max(int(values[self.info.views] or 1), len(added))
        words = self._filled([*added, *before[len(added) :]], count)
        try:
            self._cameras(values | {self.name: words, self.info.views: count})
        except ValueError as error:
            return {self.told: stage.alert(str(error))}
        return {self.files: [*files, *added], self.words: words, self.count: count, self.told: ""}

    def on_change(self, files: Sequence[str], *shown: Any) -> Updates:
        look = self.look(files, dict(zip(self._asked, shown, strict=True)))
        updates: Updates = {
            self.pattern: look.pattern,
            self.row: gr.update(visible=bool(look.views)),
            self.told: look.told,
            self.plot: look.plot,
        }
        for view, path in zip(self.views, [*look.views, *[None] * self.most], strict=False):
            updates[view] = gr.update(choices=look.choices, value=path, visible=path is not None)
        return updates

    def look(self, files: Sequence[str], values: Mapping[str, Any]) -> Look:
        """The choices and the drawing of what the form holds."""
        words = str(values[self.name])
        single = words not in self.info.choices
        paths = path_entries(words) if single else []
        known = dict.fromkeys([*self.info.each, *files, *paths])
        start = Look(EACH if single else words, tuple(paths[: self.most]), [(_title(path), path) for path in known])
        try:
            cameras = self._cameras(values)
        except ValueError as error:
            return dataclasses.replace(start, told=stage.alert(str(error)))
        return dataclasses.replace(start, plot=plot(cameras, [_title(path) for path in paths]))

    def _filled(self, paths: Sequence[str], count: float) -> str:
        """As many paths as views; a view without one gets a name that no other has yet."""
        number = int(count or 1)
        spare = [name for name in self.info.each[1:] if name not in paths]
        given = [*paths, *[""] * number][:number]
        return "; ".join(path or (spare.pop(0) if spare else self.info.each[0]) for path in given)

    def _cameras(self, values: Mapping[str, Any]) -> tuple[tuple[Camera, ...], ...]:
        """ValueError in words for paths that cannot be used."""
        assert self.preset.method.cameras is not None, "a method with camera paths tells its cameras"
        typed = {name: self.form.typed(name, values[name]) for name in self._asked}
        return self.preset.method.cameras(self.form.request(dataclasses.asdict(self.form.start) | typed))


def plot(cameras: Sequence[Sequence[Camera]], paths: Sequence[str]) -> str:
    """All views in one drawing that a drag turns (player/cameras.js)."""
    named = [*paths, *[""] * len(cameras)]
    views = [
        {
            "label": f"View {number}",
            "path": named[number - 1],
            "frames": [[round(value, DIGITS) for value in (*camera.pose[:12], *camera.lens)] for camera in view],
        }
        for number, view in enumerate(cameras, 1)
    ]
    return f'<quintet-cameras data-views="{escape(json.dumps(views))}"></quintet-cameras>'


def _title(path: str) -> str:
    return Path(path).stem if is_camera_file(path) else path.capitalize()

"""A request dataclass drawn as a form: field kind -> Gradio component, and the values back to a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import gradio as gr

from models.method import (
    FieldInfo,
    Method,
    Request,
    is_camera_file,
    label_of,
    path_entries,
    request_fields,
    request_from,
)
from studio.ui.media import cached, is_upload
from studio.ui.uploads import Picture


def draw_field(name: str, info: FieldInfo, value: Any) -> Any:
    """One component."""
    label = label_of(name, info)
    classes = [f"q-field-{name}"]
    if info.kind == "text":
        # No maxlength: a longer paste is answered with a sentence instead of being cut in silence.
        return gr.Textbox(value, label=label, info=info.help, lines=info.lines, max_lines=8, elem_classes=classes)
    if _offers_few(info):
        return gr.Radio(list(info.choices), value=value, label=label, info=info.help, elem_classes=classes)
    if info.kind == "number":
        # No precision: 1.5 for a whole number is answered with a sentence instead of being rounded in silence.
        return gr.Number(value, label=label, info=info.help, elem_classes=classes)
    if info.kind == "slider":
        low, high = info.minimum or 0, info.maximum or 0
        return gr.Slider(low, high, value, step=info.step, label=label, info=info.help, elem_classes=classes)
    if info.kind == "switch":
        return gr.Checkbox(value, label=label, info=info.help, elem_classes=classes)
    if info.kind == "image":
        return Picture(
            value, label=f"{label}: {info.help}", type="filepath", format="png", height=240,
            sources=["upload", "clipboard"], buttons=[], elem_classes=classes,
        )  # fmt: skip
    return gr.Textbox(value, label=label, info=info.help, lines=1, elem_classes=classes)  # camera_path


def _offers_few(info: FieldInfo) -> bool:
    """A choice, or a number of which the weights know a few values."""
    return info.kind in ("choice", "number", "slider") and bool(info.choices)


def check_uploads(cameras: str) -> None:
    """ValueError when camera paths name a file of this machine that no visitor gave."""
    for path in map(Path, filter(is_camera_file, path_entries(cameras))):
        if not is_upload(path):
            raise ValueError(f"There is no camera file at {path.name!r}. Add the file again.")


class Form:
    """The components of one request type, by field name. Draw each group once, inside a Gradio context."""

    def __init__(self, method: Method, start: Request, choices: Mapping[str, tuple[Any, ...]] | None = None) -> None:
        """`choices`: what the weights leave of a field's choices."""
        self.method = method
        self.start = start
        self.fields = {
            name: replace(info, choices=(choices or {}).get(name, info.choices))
            for name, info in request_fields(method.request).items()
        }
        self.components: dict[str, Any] = {}
        self._types = get_type_hints(method.request)
        ideas = {name for ablation in method.ablations for name in ablation.off}
        words = [name for name, info in self.fields.items() if info.kind == "text" and not info.advanced]
        self.prompt = words[0] if words else next(iter(self.fields))
        self.pictures = [name for name, info in self.fields.items() if info.kind == "image"]
        self.rigs = [name for name, info in self.fields.items() if info.kind == "camera_path" and info.views]
        counts = [self.fields[name].views for name in self.rigs]
        self.chosen = [self.fields[name].chooses for name in self.pictures if self.fields[name].chooses]
        elsewhere = (self.prompt, "seed", *self.pictures, *self.chosen, *self.rigs, *counts)
        shown = [name for name in self.fields if name not in elsewhere]
        self.ideas = [name for name in shown if name in ideas]
        self.main = [name for name in shown if name not in ideas and not self.fields[name].advanced]
        self.advanced = [name for name in shown if name not in ideas and self.fields[name].advanced]

    def draw(self, *names: str) -> None:
        for name in names:
            value = getattr(self.start, name)
            component = draw_field(name, self.fields[name], value)
            if name in self.chosen or self._is_settled(name):
                component.visible = "hidden"  # filled by a click on a picture, or nothing to choose
            self.components[name] = component

    @property
    def inputs(self) -> list[Any]:
        """The components in the order of the fields; every field has been drawn."""
        return [self.components[name] for name in self.fields]

    def values(self, shown: Sequence[Any]) -> dict[str, Any]:
        """What the components hold, by field name and in the field's own type."""
        return {name: self.typed(name, value) for name, value in zip(self.fields, shown, strict=True)}

    def request(self, values: Mapping[str, Any]) -> Request:
        """A checked request. ValueError carries the sentence for the person who typed."""
        for name, value in values.items():
            info = self.fields[name]
            if value is None and info.kind in ("number", "slider"):
                raise ValueError(
                    f"{label_of(name, info)} is empty. Type a number, for example {getattr(self.start, name)}."
                )
            if info.kind in ("number", "slider") and isinstance(value, float) and self._is_whole(name):
                raise ValueError(f"{label_of(name, info)} must be a whole number, got {value:g}.")
            if info.kind == "camera_path":
                check_uploads(str(value))
        return request_from(self.method.request, values)

    def fill(self, values: Mapping[str, Any]) -> dict[Any, Any]:
        """Component -> value, for a Gradio handler. Left out: fields it lacks, values it does not offer."""
        shown = {name: self._shown(name, value) for name, value in values.items() if name in self.fields}
        return {
            self.components[name]: value
            for name, value in shown.items()
            if name in self.components and self._is_offered(name, value)
        }

    def _is_offered(self, name: str, value: Any) -> bool:
        """Whether the field can show it: these weights may leave fewer choices than those of a file."""
        return not _offers_few(self.fields[name]) or value in self.fields[name].choices

    def _is_settled(self, name: str) -> bool:
        """The weights leave one choice."""
        return _offers_few(self.fields[name]) and len(self.fields[name].choices) == 1

    def _shown(self, name: str, value: Any) -> Any:
        """A picture as a copy in Gradio's cache, from where the page may load it; one that is gone is left out."""
        if self.fields[name].kind == "image" and value is not None:
            return cached(Path(value))
        return str(value) if isinstance(value, Path) else value

    def _is_whole(self, name: str) -> bool:
        kind = self._types.get(name)
        return kind is int or int in get_args(kind)

    def typed(self, name: str, value: Any) -> Any:
        """What a component holds, in the type of its field."""
        if isinstance(value, float) and value.is_integer() and self._is_whole(name):
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool) and self._types.get(name) is float:
            return float(value)
        if isinstance(value, str) and self.fields[name].kind == "image":
            return Path(value)
        return value

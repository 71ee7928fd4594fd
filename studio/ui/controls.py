"""A request dataclass drawn as a form: field kind -> Gradio component, and the values back to a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

import gradio as gr

from models.method import FieldInfo, Method, Request, request_fields, request_from


def draw_field(name: str, info: FieldInfo, value: Any, whole: bool) -> Any:
    """One component. `whole` numbers are shown without decimals."""
    label = info.label or name.replace("_", " ").capitalize()
    classes = [f"q-field-{name}"]
    if info.kind == "text":
        # No maxlength: a longer paste is answered with a sentence instead of being cut in silence.
        return gr.Textbox(value, label=label, info=info.help, lines=info.lines, max_lines=8, elem_classes=classes)
    if info.kind == "number":
        precision = 0 if whole else None
        return gr.Number(value, label=label, info=info.help, precision=precision, elem_classes=classes)
    if info.kind == "slider":
        low, high = info.minimum or 0, info.maximum or 0
        return gr.Slider(low, high, value, step=info.step, label=label, info=info.help, elem_classes=classes)
    if info.kind == "choice":
        return gr.Radio(list(info.choices), value=value, label=label, info=info.help, elem_classes=classes)
    if info.kind == "switch":
        return gr.Checkbox(value, label=label, info=info.help, elem_classes=classes)
    if info.kind == "image":
        return gr.Image(value, label=f"{label}: {info.help}", type="filepath", elem_classes=classes)
    return gr.Textbox(value, label=label, info=info.help, lines=1, elem_classes=classes)  # camera_path


class Form:
    """The components of one request type, by field name. Draw each group once, inside a Gradio context."""

    def __init__(self, method: Method, start: Request) -> None:
        self.method = method
        self.start = start
        self.fields = request_fields(method.request)
        self.components: dict[str, Any] = {}
        self._types = get_type_hints(method.request)
        ideas = {name for ablation in method.ablations for name in ablation.off}
        words = [name for name, info in self.fields.items() if info.kind == "text" and not info.advanced]
        self.prompt = words[0] if words else next(iter(self.fields))
        shown = [name for name in self.fields if name not in (self.prompt, "seed")]
        self.ideas = [name for name in shown if name in ideas]
        self.main = [name for name in shown if name not in ideas and not self.fields[name].advanced]
        self.advanced = [name for name in shown if name not in ideas and self.fields[name].advanced]

    def draw(self, *names: str) -> None:
        for name in names:
            value = getattr(self.start, name)
            self.components[name] = draw_field(name, self.fields[name], value, self._is_whole(name))

    @property
    def inputs(self) -> list[Any]:
        """The components in the order of the fields; every field has been drawn."""
        return [self.components[name] for name in self.fields]

    def values(self, shown: Sequence[Any]) -> dict[str, Any]:
        """What the components hold, by field name and in the field's own type."""
        return {name: self._typed(name, value) for name, value in zip(self.fields, shown, strict=True)}

    def request(self, values: Mapping[str, Any]) -> Request:
        """A checked request. ValueError carries the sentence for the person who typed."""
        for name, value in values.items():
            info = self.fields[name]
            if value is None and info.kind in ("number", "slider"):
                raise ValueError(
                    f"{info.label or name} is empty. Type a number, for example {getattr(self.start, name)}."
                )
        return request_from(self.method.request, values)

    def fill(self, values: Mapping[str, Any]) -> dict[Any, Any]:
        """Component -> value, for a Gradio handler. Values of fields that this form lacks are left out."""
        shown = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
        return {self.components[name]: value for name, value in shown.items() if name in self.components}

    def _is_whole(self, name: str) -> bool:
        kind = self._types.get(name)
        return kind is int or int in get_args(kind)

    def _typed(self, name: str, value: Any) -> Any:
        if isinstance(value, float) and value.is_integer() and self._is_whole(name):
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool) and self._types.get(name) is float:
            return float(value)
        if isinstance(value, str) and self.fields[name].kind == "image":
            return Path(value)
        return value

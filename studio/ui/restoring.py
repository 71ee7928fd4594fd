"""A video made here, dropped anywhere, back into the form it came from."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from studio.enclosed import enclosed
from studio.outputs import read_settings
from studio.presets import Preset
from studio.restored import Restored, restored
from studio.ui.media import cached_bytes
from studio.ui.own_pictures import OwnPictures
from studio.ui.stage import alert
from studio.ui.uploads import OneFile

if TYPE_CHECKING:
    from studio.ui.method_tab import MethodTab

READING: dict[str, Any] = {  # files are read in the page's own process: two at one time, others wait
    "concurrency_limit": 2, "concurrency_id": "inspect", "show_progress": "minimal", "api_visibility": "private",
}  # fmt: skip
LABEL = "Drop a video made here to restore its settings"
Updates = dict[Any, Any]


class DropPlace:
    """Where a video is dropped on a method's tab, and what is said about it."""

    def __init__(self) -> None:
        self.file = OneFile(
            label=LABEL, file_count="single", file_types=[".mp4"], type="filepath", height=52, elem_classes="q-drop"
        )
        self.said = gr.HTML("", apply_default_css=False)

    def connect(self, restorer: Restorer, here: MethodTab, visitor: gr.BrowserState) -> None:
        def on_drop(owner: str | None, path: str | None) -> Updates:
            return {self.file: None} | restorer.open(path, owner, here)

        self.file.upload(on_drop, [visitor, self.file], [self.file, *restorer.outputs], **READING)


class Restorer:
    """Fills the form that a video's settings belong to; `methods` by preset."""

    def __init__(self, tabs: gr.Tabs, methods: Mapping[str, MethodTab], own: OwnPictures) -> None:
        self._tabs, self._methods, self._own = tabs, methods, own
        self._presets: dict[str, Preset] = {key: method.preset for key, method in methods.items()}

    @property
    def outputs(self) -> list[Any]:
        """Everything that `open` may change; two methods may share components, and an output is named once only."""
        parts = (part for method in self._methods.values() for part in (*method.outputs, method.place.said))
        return list(dict.fromkeys([self._tabs, *parts]))

    def known(self, settings: Mapping[str, Any]) -> Restored:
        """What a form of this page would show. ValueError when none can."""
        return restored(settings, self._presets)

    def open(self, path: str | None, owner: str | None, here: MethodTab | None = None) -> Updates:
        """The form filled and its tab in front; `here` is where the video was dropped and hears what is wrong."""
        try:
            if path is None:
                raise ValueError("There is no file.")
            found = self._read(Path(path), owner)
        except ValueError as error:
            if here is None:
                gr.Warning(escape(str(error)))
                return {self._tabs: gr.skip()}
            return {here.place.said: alert(str(error))}
        there = self._methods[found.preset.key]
        words = f"The settings of {Path(path).name} are in the form."
        if here is not None and there is not here:
            words += f" It was made with {found.preset.title}, so this tab was opened."
        return {
            self._tabs: gr.Tabs(selected=found.preset.key),
            **there.use(found.values),
            there.place.said: told(words, found.remarks),
        }

    def _read(self, path: Path, owner: str | None) -> Restored:
        """The settings, and the files inside as uploads of this visitor."""
        settings = read_settings(path)
        inside: dict[str, list[Path]] = {}
        for file in enclosed(path):
            copy = cached_bytes(file.content, f"restored{file.suffix}")
            inside.setdefault(file.field, []).append(copy)
            self._own.note(owner, copy)
            self._own.note(owner, path, "file with pictures inside")
        return restored(settings, self._presets, inside)


def told(words: str, remarks: tuple[str, ...] = ()) -> str:
    """What happened, announced, and a line for each thing that could not be restored."""
    listed = "".join(f"<li>{escape(remark)}</li>" for remark in remarks)
    more = f'<ul class="q-remarks">{listed}</ul>' if listed else ""
    return f'<div role="status"><p class="q-told">{escape(words)}</p>{more}</div>'

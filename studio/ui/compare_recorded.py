"""Recorded comparisons in the compare tab: what a newcomer sees before anything is made, and how to make it anew."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from studio.compare import Comparison
from studio.compare.atlas import ATLAS, Recording, read
from studio.compare.plan import METHOD
from studio.presets import Preset
from studio.ui.compare_brief import BriefForm
from studio.ui.media import cached

logger = logging.getLogger(__name__)


class RecordedBox:
    """The recordings of the methods on this page, a bar above one that is shown, and a list of all of them.

    A folder that is not there, or damaged, leaves the tab without them.
    """

    def __init__(self, presets: Mapping[str, Preset], folder: Path = ATLAS) -> None:
        known = [each for each in _read(folder) if all(m.preset in presets for m in each.comparison.members)]
        self._known = {recording.id: recording for recording in known}
        self._titles = {key: preset.title for key, preset in presets.items()}

    def draw_bar(self) -> None:
        """Above the player, seen while a recording is shown."""
        with gr.Row(visible=False, elem_classes="q-after q-recorded-bar") as self.bar:
            self.told = gr.HTML("", apply_default_css=False)
            self.anew = gr.Button("Make it anew", size="sm")
            self.use = gr.Button("Use these settings", size="sm")

    def draw_list(self) -> None:
        choices = [(self._line(recording), recording.id) for recording in self._known.values()]
        with gr.Accordion("Recorded comparisons", open=False, visible=bool(choices)):
            self.list = gr.Dropdown(choices, value=None, label="Show", info="Made earlier; nothing is computed.")

    @property
    def first(self) -> Comparison | None:
        return next((recording.comparison for recording in self._known.values()), None)

    def get(self, id: object) -> Recording | None:
        return self._known.get(str(id))

    def shown(self, comparison: Comparison | None) -> dict[Any, Any]:
        """The bar over this comparison: there for a recording, gone for a visitor's own."""
        recording = self.get(comparison.id) if comparison else None
        if recording is None:
            return {self.bar: gr.Row(visible=False)}
        return {self.bar: gr.Row(visible=True), self.told: _told(recording)}

    def asked(self, recording: Recording, form: BriefForm) -> tuple[dict[Any, Any], list[Any]]:
        """The form filled with what was asked: its updates, and its values in the order of its inputs."""
        brief = recording.brief
        person, subject = (cached(path) if path else None for path in (brief.person, brief.subject))
        values = [
            recording.keys, brief.prompt, brief.negative_prompt, ", ".join(map(str, brief.seeds)), person, subject,
            brief.cameras, METHOD, "", "", "", False,
        ]  # fmt: skip
        fields = form.inputs[1:-1]  # not the ticks, which are drawn, nor the consent, which is the visitor's
        return dict(zip(fields, values[1:-1], strict=True)) | form.drawn(recording.keys, values), values

    def _line(self, recording: Recording) -> str:
        title = self._titles[recording.comparison.members[0].preset]
        return f"{title} · {recording.brief.prompt} · seed {recording.brief.seeds[0]}"


def _told(recording: Recording) -> str:
    return f'<p class="q-recorded"><b>Recorded</b> {escape(f"{recording.day}, {recording.machine}")}</p>'


def _read(folder: Path) -> list[Recording]:
    try:
        return read(folder)
    except ValueError as error:
        logger.warning("%s", error)
        return []

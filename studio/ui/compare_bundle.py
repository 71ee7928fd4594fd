"""Saving a comparison as a zip and opening one again, from the compare tab."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from studio.compare import CellState, Comparison, Comparisons, bundle
from studio.compare.numbers import ClipScores, written
from studio.history import History
from studio.ui import offline
from studio.ui.media import cached, cached_bytes, file_url
from studio.ui.own_pictures import OwnPictures
from studio.ui.uploads import OneFileButton

NAME = "quintet-comparison.zip"


class BundleBox:
    """Two buttons and a line for what they say. Draw once, inside a Gradio context."""

    def __init__(self, made: Comparisons, history: History, own: OwnPictures, certificates: Path | None) -> None:
        self.made, self.history, self.own, self.certificates = made, history, own, certificates
        with gr.Accordion("Save or open", open=False):
            with gr.Row(elem_classes="q-after"):
                self.save = gr.Button("Save as a bundle", size="sm")
                self.load = OneFileButton("Open a bundle", size="sm", file_types=[".zip"], file_count="single")
            self.pictures = gr.Checkbox(False, label="With the pictures of person and subject")
            self.said = gr.HTML("", apply_default_css=False)

    def saved(
        self, comparison: Comparison | None, states: Sequence[CellState], owner: str | None,
        pictures: dict[str, Path], scores: Mapping[int, list[ClipScores] | None],
    ) -> str:  # fmt: skip
        """A link to the zip and what it lacks, or why there is none. `scores` by a cell's place."""
        if comparison is None or owner is None:
            return _said("There is nothing to save yet. Press Compare first.")
        page = offline.page(comparison, states, self.made.presets, scores, pictures)
        numbers = written({states[index].member.label: found for index, found in scores.items()})
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = bundle.write(
                    comparison, states, page, Path(folder) / NAME, numbers, pictures, self.certificates
                )
            except bundle.BundleError as error:
                return _said(str(error))
            size = path.stat().st_size / 1_000_000
            address = file_url(path)
            if pictures:
                self.own.note(owner, cached(path), "file with pictures inside")
        link = f'<a href="{escape(address or "")}" download="{NAME}">{NAME}</a> {size:.1f} MB'
        return f'<p class="q-told" role="status">{link}. {_lacking(states, scores)}</p>'

    def opened(self, file: Any, owner: str) -> tuple[Comparison | None, dict[str, Path], str]:
        """The comparison in an uploaded zip, its pictures of person and subject, and what there is to say."""
        try:
            found = bundle.restore(
                Path(str(file)), owner, self.history.path.parent, self.made, self.history, self.made.presets
            )
        except bundle.BundleError as error:
            return None, {}, _said(str(error))
        pictures = {Path(name).stem: cached_bytes(content, name) for name, content in found.pictures.items()}
        for picture in pictures.values():  # as they were sent: only a worker decodes them
            self.own.note(owner, picture)
            self.own.note(owner, Path(str(file)), "file with pictures inside")
        return found.comparison, pictures, ""


def _lacking(states: Sequence[CellState], scores: Mapping[int, list[ClipScores] | None]) -> str:
    """What of the numbers is still being measured, or waits for the videos; "" when all are inside."""
    ready = [index for index, state in enumerate(states) if state.state == "finished"]
    lacking = sum(scores.get(index) is None for index in ready)
    if not lacking:
        return ""
    whose = "" if lacking == len(ready) else f" of {lacking} of {len(ready)} videos"
    return f"The numbers{whose} are not ready yet and are not inside; save again when they are."


def _said(words: str) -> str:
    return f'<p class="q-alert" role="alert">{escape(words)}</p>'

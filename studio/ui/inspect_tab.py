"""Drop any video or picture: what marks it carries, what each proves, its settings back into a form, a clean copy."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from studio import provenance
from studio.foreign import foreign_values
from studio.presets import Preset
from studio.provenance import Findings
from studio.provenance.report import lines, summary
from studio.ui.media import cached
from studio.ui.method_tab import MethodTab
from studio.ui.uploads import OneFile

QUIET: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
READERS = 2  # files decoded at one time; others wait
ABOUT = (
    '<p class="q-about">Every video of this studio is marked as generated in three ways. Drop a video or a picture '
    "from anywhere to see which marks it still carries. It is read on this machine and not kept.</p>"
)
CLEAN = "A clean copy leaves out the prompt and all settings. The marks stay."


class InspectTab:
    """A file in, words out."""

    def __init__(self, presets: Mapping[str, Preset], certificates: Path) -> None:
        self.presets, self.certificates = presets, certificates
        with gr.Tab("Inspect", id="inspect") as self.tab, gr.Column(elem_classes="q-inspect"):
            gr.HTML(ABOUT, apply_default_css=False)
            self.file = OneFile(label="Video or picture", file_count="single", type="filepath", height=140)
            self.found = gr.HTML("", apply_default_css=False)
            self.settings = gr.State(None)
            with gr.Row(elem_classes="q-actions"):
                self.use = gr.Button("Use these settings", size="sm", visible=False)
                self.clean = gr.DownloadButton("Clean copy", size="sm", visible=False)

    def connect(self, tabs: gr.Tabs, methods: Mapping[str, MethodTab]) -> None:
        """Wire the file and the buttons; `methods` by preset."""
        self.tabs, self.methods = tabs, methods
        shown = [self.found, self.settings, self.use, self.clean]
        busy = QUIET | {"concurrency_limit": READERS, "concurrency_id": "inspect", "show_progress": "minimal"}
        self.file.change(self.on_file, self.file, shown, **busy)
        # a dictionary: two methods may share components, and an output may be named once only
        others = dict.fromkeys(component for method in methods.values() for component in method.outputs)
        self.use.click(self.on_use, self.settings, list(dict.fromkeys([tabs, *others])), **QUIET)

    def on_file(self, path: str | None) -> tuple[Any, ...]:
        """Read the file's marks; a file that cannot be read is answered in a sentence."""
        hidden = gr.update(visible=False)
        if path is None:
            return "", None, hidden, hidden
        try:
            findings = provenance.inspect(Path(path), self.certificates)
        except ValueError as error:
            return _alert(str(error)), None, hidden, hidden
        settings = findings.settings
        known = settings is not None and self._request(settings) is not None
        copy = self._clean_copy(Path(path)) if settings is not None else None
        button = gr.DownloadButton(value=copy, visible=True) if copy else gr.DownloadButton(visible=False)
        return told(findings), settings, gr.update(visible=known), button

    def on_use(self, settings: Any) -> dict[Any, Any]:
        """The file's preset with its settings; pictures are the visitor's to add."""
        values = self._request(settings) if isinstance(settings, dict) else None
        if values is None:
            return {self.tabs: gr.skip()}
        method = self.methods[settings["preset"]]
        return {self.tabs: gr.Tabs(selected=method.preset.key)} | method.use(values)

    def _request(self, settings: Mapping[str, Any]) -> dict[str, Any] | None:
        """The fields of a file that a form of this page can show; None when they belong to none."""
        preset = self.presets.get(str(settings.get("preset")))
        request = settings.get("request")
        return foreign_values(preset, request) if preset is not None and isinstance(request, dict) else None

    def _clean_copy(self, path: Path) -> str | None:
        with tempfile.TemporaryDirectory(prefix="quintet-clean-") as folder:
            copy = Path(folder) / f"{path.stem}-clean.mp4"
            try:
                provenance.clean_copy(path, copy, self.certificates)
            except (ValueError, OSError):  # no copy is offered of what cannot be copied
                return None
            return cached(copy)


def _alert(words: str) -> str:
    return f'<p class="q-alert" role="alert">{escape(words)}</p>'


def told(findings: Findings) -> str:
    """The findings as a list, everything from the file escaped."""
    entries = "".join(
        f"<dt>{escape(title)}</dt><dd>{escape(words)}<small>{escape(proof)}</small></dd>"
        for title, words, proof in lines(findings)
    )
    clean = f'<p class="q-about">{CLEAN}</p>' if findings.settings is not None else ""
    return (
        f'<section aria-live="polite"><p class="q-told"><strong>{escape(summary(findings))}</strong></p>'
        f'<dl class="q-marks">{entries}</dl>{clean}</section>'
    )

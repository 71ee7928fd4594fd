"""Drop any video or picture: what marks it carries, what each proves, its settings back into a form, a clean copy."""

from __future__ import annotations

import tempfile
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from studio import provenance
from studio.provenance import Findings
from studio.provenance.report import lines, summary
from studio.ui.media import cached
from studio.ui.own_pictures import OwnPictures
from studio.ui.restoring import READING, Restorer
from studio.ui.stage import alert
from studio.ui.uploads import OneFile

QUIET: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
ABOUT = (
    '<p class="q-about">Every video of this studio is marked as generated in three ways. Drop a video or a picture '
    "from anywhere to see which marks it still carries. It is read on this machine and deleted within a day.</p>"
)
CLEAN = "A clean copy leaves out the prompt and all settings. The marks stay."


class InspectTab:
    """A file in, words out."""

    def __init__(self, certificates: Path, visitor: gr.BrowserState, own: OwnPictures) -> None:
        self.certificates, self.visitor, self.own = certificates, visitor, own
        with gr.Tab("Inspect", id="inspect") as self.tab, gr.Column(elem_classes="q-inspect"):
            gr.HTML(ABOUT, apply_default_css=False)
            self.file = OneFile(label="Video or picture", file_count="single", type="filepath", height=140)
            self.found = gr.HTML("", apply_default_css=False)
            with gr.Row(elem_classes="q-actions"):
                self.use = gr.Button("Use these settings", size="sm", visible=False)
                self.clean = gr.DownloadButton("Clean copy", size="sm", visible=False)

    def connect(self, restorer: Restorer) -> None:
        """Wire the file and the buttons."""
        self.restorer = restorer
        asked = [self.visitor, self.file]
        self.file.change(self.on_file, asked, [self.found, self.use, self.clean], **READING)
        self.use.click(self.on_use, asked, restorer.outputs, **QUIET)

    def on_file(self, owner: str | None, path: str | None) -> tuple[Any, ...]:
        """Read the file's marks; a file that cannot be read is answered in a sentence."""
        hidden = gr.update(visible=False)
        if path is None:
            return "", hidden, hidden
        self.own.note(owner, path, "inspected file")
        try:
            findings = provenance.inspect(Path(path), self.certificates)
        except ValueError as error:
            return alert(str(error)), hidden, hidden
        settings = findings.settings
        copy = self._clean_copy(Path(path)) if settings is not None else None
        button = gr.DownloadButton(value=copy, visible=True) if copy else gr.DownloadButton(visible=False)
        unusable = self._unusable(settings)
        words = told(findings) + (alert(unusable) if unusable else "")
        return words, gr.update(visible=settings is not None and not unusable), button

    def on_use(self, owner: str | None, path: str | None) -> dict[Any, Any]:
        """The file's settings in the form they belong to, and the pictures that are inside."""
        return self.restorer.open(path, owner)

    def _unusable(self, settings: dict[str, Any] | None) -> str:
        """Why no form of this page can show the settings; empty when one can, or when there are none."""
        try:
            if settings is not None:
                self.restorer.known(settings)
        except ValueError as error:
            return str(error)
        return ""

    def _clean_copy(self, path: Path) -> str | None:
        with tempfile.TemporaryDirectory(prefix="quintet-clean-") as folder:
            copy = Path(folder) / f"{path.stem}-clean.mp4"
            try:
                provenance.clean_copy(path, copy, self.certificates)
            except (ValueError, OSError):  # no copy is offered of what cannot be copied
                return None
            return cached(copy)


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

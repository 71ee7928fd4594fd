"""A tab whose weights are missing: what is fetched, from where, how large, under which terms; consent, progress."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from studio.presets import Preset
from studio.weights.downloads import Download, Downloads
from studio.weights.library import Part, Status
from studio.weights.terms import in_bytes

Updates = dict[Any, Any]


class WeightsPanel:
    """Drawn for a preset that lacks something when the page is built; gone once everything is here."""

    def __init__(self, preset: Preset, downloads: Downloads | None) -> None:
        self.preset, self.downloads = preset, downloads
        status = downloads.status(preset) if downloads else None
        self.drawn = status is not None and not status.ready
        if not self.drawn or status is None or downloads is None:
            return
        with gr.Column(elem_classes="q-weights") as self.box:
            self.words = gr.HTML(
                describe(status, downloads.allowed, downloads.library.published), apply_default_css=False
            )
            with gr.Column(visible=downloads.allowed and bool(status.to_fetch or status.to_make)):
                self.agreed = gr.Checkbox(False, label="I accept these terms", elem_classes="q-weights-terms")
                with gr.Row(elem_classes="q-buttons"):
                    self.fetch = gr.Button("Download", interactive=False, elem_classes="q-weights-fetch")
                    self.cancel = gr.Button("Cancel", interactive=False, elem_classes="q-weights-cancel")
                self.progress = gr.HTML("", apply_default_css=False)

    def connect(self, page: gr.Blocks) -> None:
        """Wire the buttons; a page that opens in the middle of a download follows it."""
        if not self.drawn:
            return
        quiet: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
        outputs = [self.box, self.words, self.fetch, self.cancel, self.progress]
        self.agreed.change(self.on_agreed, self.agreed, self.fetch, **quiet)
        self.fetch.click(self.on_fetch, self.agreed, outputs, **quiet)
        self.cancel.click(self.on_cancel, None, None, **quiet)
        page.load(self.on_load, self.agreed, outputs, **quiet)

    def on_agreed(self, agreed: bool) -> Any:
        download = self._downloads.state(self.preset)
        return gr.update(interactive=agreed and not (download and download.running))

    def on_fetch(self, agreed: bool) -> Iterator[Updates]:
        try:
            self._downloads.start(self.preset, agreed)
        except ValueError as error:
            yield {self.progress: _failure(str(error))}
            return
        yield from self.on_load(agreed)

    def on_cancel(self) -> None:
        self._downloads.stop(self.preset)

    def on_load(self, agreed: bool) -> Iterator[Updates]:
        """What is here now, and a running download until its end."""
        yield self._settled(agreed)
        running: Updates = {self.fetch: gr.update(interactive=False), self.cancel: gr.update(interactive=True)}
        for download in self._downloads.follow(self.preset):
            if download.running:
                yield running | {self.progress: progress(download)}
                running = {}  # once: a button that is drawn again under the pointer may lose its click
            else:
                yield self._settled(agreed) | {self.progress: _failure(download.failure)}

    def _settled(self, agreed: bool) -> Updates:
        """As it is between downloads; no box when nothing is missing."""
        status = self._downloads.status(self.preset)
        return {
            self.box: gr.update(visible=not status.ready),
            self.words: describe(status, self._downloads.allowed, self._downloads.library.published),
            self.fetch: gr.update(interactive=agreed),
            self.cancel: gr.update(interactive=False),
        }

    @property
    def _downloads(self) -> Downloads:
        assert self.downloads is not None, "only a drawn panel is connected"
        return self.downloads


def describe(status: Status, allowed: bool, published: Path) -> str:
    """The parts as a table, with what each licence asks; the command where the page may not download.

    `published`: the folder for files from a browser, told to those who may download.
    """
    missing = status.to_fetch
    size = f"{in_bytes(status.bytes_to_fetch)} are" if status.bytes_to_fetch else "They are"
    lines = [f"<p>These weights are not on this machine yet. {size} fetched once, from their publishers.</p>"]
    if missing:
        lines.append(f"<table>{''.join(map(_row, missing))}</table>")
    for part in missing:
        if part.by_hand:
            name = escape(part.need.place.partition(":")[2].partition("#")[0])
            place = f" Put it in {escape(str(published))} first." if allowed else ""  # a path is not for strangers
            lines.append(f"<p>{name} can only be fetched in a browser.{place}</p>")
    lost = escape(", ".join(status.missing))
    lines += [f"<p>{lost}: published by no one. Train it, or put your own there.</p>"] if lost else []
    if not allowed:
        command = f"python -m studio weights get {status.preset.key}"
        lines.append(f"<p>On the machine that runs this page: <code>{escape(command)}</code></p>")
    return f'<section aria-label="Weights to download">{"".join(lines)}</section>'


def progress(download: Download) -> str:
    """A bar and a line of words."""
    now = download.progress
    if now is None or not now.total:
        words = escape(now.what) if now else "Asking for the list of files"
        return f'<div class="q-weights-now" role="status"><progress></progress><p>{words}</p></div>'
    words = f"{in_bytes(now.done)} of {in_bytes(now.total)}. {escape(now.what)}"
    bar = f'<progress max="{now.total}" value="{now.done}"></progress>'
    return f'<div class="q-weights-now" role="status">{bar}<p>{words}</p></div>'


def _row(part: Part) -> str:
    terms = part.need.terms
    name = _link(part.need.name, terms.url if terms else "")
    licence = _link(terms.licence, terms.licence_url) if terms else "licence not stated"
    if terms and terms.non_commercial:
        licence += ", <strong>not for commercial use</strong>"
    notes = [licence, escape(terms.condition)] if terms and terms.condition else [licence]
    begun = f" ({in_bytes(part.have)} here)" if part.have else ""
    size = in_bytes(part.bytes) if part.bytes else "size not known"
    return f"<tr><td>{name}</td><td>{size}{begun}</td><td>{'. '.join(note.rstrip('.') for note in notes)}</td></tr>"


def _link(words: str, address: str) -> str:
    if not address.startswith("https://"):
        return escape(words)
    return f'<a href="{escape(address)}" target="_blank" rel="noopener">{escape(words)}</a>'


def _failure(words: str) -> str:
    return f'<p class="q-weights-failure" role="alert">{escape(words)}</p>'

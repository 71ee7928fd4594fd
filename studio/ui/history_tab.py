"""This browser's past results: clip, prompt, settings; back into a form with one click."""

from __future__ import annotations

import time
from collections.abc import Mapping
from html import escape
from typing import Any

import gradio as gr

from studio.history import Entry, History
from studio.presets import Preset
from studio.ui import cards
from studio.ui.media import file_url
from studio.ui.method_tab import MethodTab
from studio.ui.moments import facts, failed, recorded

PAGE = 24
EMPTY = (
    '<p class="q-about">Nothing here yet. What you generate in this browser is listed here; nobody else sees it.</p>'
)
STATES = {"running": "Being made now", "stopped": "Stopped"}


class HistoryTab:
    """One list of cards, drawn anew whenever the tab is opened or a job ends."""

    def __init__(self, history: History, presets: Mapping[str, Preset], visitor: gr.BrowserState) -> None:
        self.history, self.presets, self.visitor = history, presets, visitor
        with gr.Tab("History", id="history") as self.tab:
            self.length = gr.State(PAGE)
            self.list = gr.HTML(EMPTY, js_on_load=cards.SCRIPT, apply_default_css=False)
            self.older = gr.Button("Show older", size="sm", visible=False, elem_classes="q-older")

    def connect(self, tabs: gr.Tabs, methods: Mapping[str, MethodTab]) -> None:
        self.tabs, self.methods = tabs, methods
        quiet: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
        shown = [self.list, self.older]
        self.tab.select(self.cards, [self.visitor, self.length], shown, **quiet)
        longer = self.older.click(lambda length: length + PAGE, self.length, self.length, **quiet)
        longer.then(self.cards, [self.visitor, self.length], shown, **quiet)
        # a dictionary: two methods may share components, and an output may be named once only
        outputs = list(dict.fromkeys(component for method in methods.values() for component in method.outputs))
        self.list.click(self.on_card, [self.visitor], [tabs, *outputs], **quiet)

    def cards(self, owner: str | None, length: int) -> tuple[str, Any]:
        entries = self.history.entries(owner, limit=length + 1) if owner else []
        shown = "".join(self._card(entry) for entry in entries[:length])
        return (f'<div class="q-history">{shown}</div>' if shown else EMPTY), gr.update(visible=len(entries) > length)

    def on_card(self, owner: str | None, click: gr.EventData) -> dict[Any, Any]:
        """Open the entry's tab with its settings, or with its seed alone."""
        entry = self.history.entry(str(getattr(click, "id", "")), owner) if owner else None
        method = self.methods.get(entry.preset) if entry else None
        if entry is None or method is None:
            gr.Warning("This result is no longer in the history.")
            return {self.tabs: gr.skip()}
        opened: dict[Any, Any] = {self.tabs: gr.Tabs(selected=entry.preset)}
        if getattr(click, "action", "") == "seed":
            return opened | method.use({"seed": entry.request["seed"]})
        opened |= method.use(entry.request)
        if method.is_running(entry.owner):  # the stage belongs to the running job
            return opened
        if entry.state == "finished":
            shown = recorded(
                method.preset.method, entry.paths, entry.poster, entry.request, entry.seconds, badge="From history"
            )
            opened |= method.show(shown)
        elif entry.state == "failed":
            opened |= method.show(failed(entry.message, entry.advice))
        return opened

    def _card(self, entry: Entry) -> str:
        preset = self.presets.get(entry.preset)
        title = preset.title if preset else entry.preset
        clip = file_url(entry.paths[0]) if entry.paths else None
        gone = "The file was moved or deleted." if entry.state == "finished" and clip is None else ""
        remark = " ".join(filter(None, (STATES.get(entry.state, ""), entry.message, entry.advice, gone)))
        buttons = ""
        if preset is not None:
            buttons = cards.button("settings", entry.id, "Use these settings")
            buttons += cards.button("seed", entry.id, "Use this seed") if "seed" in entry.request else ""
        method = preset.method if preset else None
        told = facts(method, entry.request, entry.seconds if entry.state == "finished" else None)
        return (
            f'<article class="q-card q-entry" data-state="{escape(entry.state)}">'
            f"<div>{cards.thumbnail(clip, file_url(entry.poster))}</div>"
            f'<div><p class="q-prompt">{escape(str(entry.request.get("prompt", "")))}</p>'
            f'<p class="q-facts">{escape(title)} · {escape(told)} · {_ago(entry.created)}</p>'
            + (f'<p class="q-told">{escape(remark)}</p>' if remark else "")
            + f'<div class="q-actions">{buttons}</div></div></article>'
        )


def _ago(moment: float) -> str:
    minutes = int((time.time() - moment) // 60)
    for size, unit in ((60 * 24, "d"), (60, "h"), (1, "min")):
        if minutes >= size:
            return f"{minutes // size} {unit} ago"
    return "just now"

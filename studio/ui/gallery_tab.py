"""This browser's past results: found by method, words and date; back into a form, beside others, or deleted."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import gradio as gr

from studio.history import Entry, History
from studio.presets import Preset
from studio.ui import cards
from studio.ui.compare_tab import CompareTab
from studio.ui.media import file_url, remove_result
from studio.ui.method_tab import MethodTab
from studio.ui.moments import facts, failed, recorded

PAGE = 24
COMPARISONS = 6
EMPTY = (
    '<p class="q-about">Nothing here yet. What you generate in this browser is listed here; nobody else sees it.</p>'
)
NONE_FOUND = '<p class="q-about">Nothing matches. Change the method, the words or the time.</p>'
STATES = {"running": "Being made now", "stopped": "Stopped"}
DAY_SECONDS = 24 * 3600
TIMES = {"Any time": None, "Last day": 1, "Last 7 days": 7, "Last 30 days": 30}  # days
QUIET: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}


class GalleryTab:
    """One list of cards, drawn anew whenever the tab is opened, a filter changes or a job ends."""

    def __init__(
        self, history: History, presets: Mapping[str, Preset], visitor: gr.BrowserState, keep_hours: float = 0.0
    ) -> None:
        self.history, self.presets, self.visitor = history, presets, visitor
        with gr.Tab("History", id="history") as self.tab:
            with gr.Row(elem_classes="q-filters"):
                choices = [("All", ""), *((preset.title, key) for key, preset in presets.items())]
                self.method = gr.Dropdown(choices, value="", label="Method")
                self.words = gr.Textbox("", label="Words of the prompt", lines=1)
                self.time = gr.Dropdown(list(TIMES), value="Any time", label="Time")
            gr.HTML(kept_for(keep_hours), apply_default_css=False, visible=bool(keep_hours))
            self.length = gr.State(PAGE)
            self.comparisons = gr.HTML("", js_on_load=cards.SCRIPT, apply_default_css=False)
            self.list = gr.HTML(EMPTY, js_on_load=cards.SCRIPT, apply_default_css=False)
            self.older = gr.Button("Show older", size="sm", visible=False, elem_classes="q-older")

    @property
    def asked(self) -> list[Any]:
        """Inputs of `cards`."""
        return [self.visitor, self.length, self.method, self.words, self.time]

    @property
    def shown(self) -> list[Any]:
        """Outputs of `cards`."""
        return [self.list, self.older, self.comparisons]

    def connect(self, tabs: gr.Tabs, methods: Mapping[str, MethodTab], compare: CompareTab) -> None:
        self.tabs, self.methods, self.compare = tabs, methods, compare
        self.tab.select(self.cards, self.asked, self.shown, **QUIET)
        longer = self.older.click(lambda length: length + PAGE, self.length, self.length, **QUIET)
        longer.then(self.cards, self.asked, self.shown, **QUIET)
        filters = [self.method.change, self.time.change, self.words.change]
        shorter = gr.on(filters, lambda: PAGE, None, self.length, trigger_mode="always_last", **QUIET)
        shorter.then(self.cards, self.asked, self.shown, **QUIET)
        # a dictionary: two methods may share components, and an output may be named once only
        others = (component for method in methods.values() for component in method.outputs)
        outputs = list(dict.fromkeys([tabs, *self.shown, *compare.outputs, *others]))
        held = [*self.asked, compare.comparison]
        self.list.click(self.on_card, held, outputs, **QUIET)
        self.comparisons.click(self.on_comparison, self.visitor, [tabs, *compare.outputs], **QUIET)

    def cards(self, owner: str | None, length: int, preset: str = "", words: str = "", span: str = "Any time") -> Any:
        """The list, whether there is more, and the newest comparisons."""
        days = TIMES.get(span)
        since = time.time() - days * DAY_SECONDS if days else None
        found = (
            self.history.entries(owner, length + 1, None, None, since, preset or None, words or "") if owner else []
        )
        shown = "".join(self._card(entry) for entry in found[:length])
        listed = f'<div class="q-history">{shown}</div>' if shown else NONE_FOUND if preset or words or days else EMPTY
        return listed, gr.update(visible=len(found) > length), self._comparisons(owner)

    def on_card(
        self, owner: str | None, length: int, preset: str, words: str, span: str, compared: str | None,
        click: gr.EventData,
    ) -> dict[Any, Any]:  # fmt: skip
        """What a button on a card does."""
        entry = self.history.entry(str(getattr(click, "id", "")), owner) if owner else None
        action = getattr(click, "action", "")
        if entry is None or owner is None:
            gr.Warning("This result is no longer in the history.")
            return {self.tabs: gr.skip()}
        if action == "delete":
            self._delete(entry)
            return dict(zip(self.shown, self.cards(owner, length, preset, words, span), strict=True))
        if action == "compare":
            return self._send(entry, owner, compared)
        return self._open(entry, action)

    def on_comparison(self, owner: str | None, click: gr.EventData) -> dict[Any, Any]:
        """Open a past comparison."""
        comparison = self.compare.made.get(str(getattr(click, "id", "")), owner) if owner else None
        if comparison is None or owner is None:
            return {self.tabs: gr.skip()}
        return {self.tabs: gr.Tabs(selected="compare")} | self.compare.opened(comparison, owner)

    def _open(self, entry: Entry, action: str) -> dict[Any, Any]:
        """The entry's tab with its settings, or with its seed alone."""
        method = self.methods.get(entry.preset)
        if method is None:
            gr.Warning("The method of this result is not part of this studio.")
            return {self.tabs: gr.skip()}
        opened: dict[Any, Any] = {self.tabs: gr.Tabs(selected=entry.preset)}
        if action == "seed":
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

    def _send(self, entry: Entry, owner: str, compared: str | None) -> dict[Any, Any]:
        """Beside what the compare tab shows already."""
        seed = f" · seed {entry.request['seed']}" if "seed" in entry.request else ""
        before = self.compare.made.get(compared, owner) if compared else None
        if before is not None and len(before.columns) > 1:  # a grid has no place for one more
            before = None
        comparison = self.compare.made.add(before, entry, self._title(entry) + seed, owner)
        return {self.tabs: gr.Tabs(selected="compare")} | self.compare.opened(comparison, owner)

    def _delete(self, entry: Entry) -> None:
        """The record, the files, and the copies that the page was given. Nothing outside the results' folder."""
        if self.history.remove(entry.id, entry.owner) is None:
            gr.Warning("This video is being made. Stop it first.")
            return
        remove_result(entry, self.history.path.parent)

    def _comparisons(self, owner: str | None) -> str:
        found = self.compare.made.newest(owner, COMPARISONS) if owner else []
        lines = "".join(
            f'<button type="button" class="q-small" data-action="comparison" data-id="{escape(comparison.id)}">'
            f"{escape(comparison.title[:60])} · {len(comparison.members)} · {_ago(comparison.created)}</button>"
            for comparison in found
        )
        heading = '<h2 class="q-heading">Comparisons</h2>'
        drawn = f'<section aria-label="Comparisons">{heading}<div class="q-actions">{lines}</div></section>'
        return drawn if lines else ""

    def _title(self, entry: Entry) -> str:
        preset = self.presets.get(entry.preset)
        return preset.title if preset else entry.preset

    def _card(self, entry: Entry) -> str:
        preset = self.presets.get(entry.preset)
        files = [(path.name, address) for path in entry.paths if (address := file_url(path)) is not None]
        clip = files[0][1] if files else None
        gone = "The file was moved or deleted." if entry.state == "finished" and clip is None else ""
        remark = " ".join(filter(None, (STATES.get(entry.state, ""), entry.message, entry.advice, gone)))
        buttons = ""
        if preset is not None:
            buttons = cards.button("settings", entry.id, "Use these settings")
            buttons += cards.button("seed", entry.id, "Use this seed") if "seed" in entry.request else ""
        if clip is not None:
            buttons += cards.button("compare", entry.id, "Send to compare")
            buttons += _downloads(files)
        if entry.state != "running":
            buttons += cards.button("delete", entry.id, "Delete", sure="Delete for good")
        method = preset.method if preset else None
        told = facts(method, entry.request, entry.seconds if entry.state == "finished" else None)
        return (
            f'<article class="q-card q-entry" data-state="{escape(entry.state)}">'
            f"<div>{cards.thumbnail(clip, file_url(entry.poster))}</div>"
            f'<div><p class="q-prompt">{escape(entry.prompt)}</p>'
            f'<p class="q-facts">{escape(self._title(entry))} · {escape(told)} · {_ago(entry.created)}</p>'
            + (f'<p class="q-told">{escape(remark)}</p>' if remark else "")
            + f'<div class="q-actions">{buttons}</div></div></article>'
        )


def _downloads(files: Sequence[tuple[str, str]]) -> str:
    """A link for each of these names and addresses."""
    return "".join(
        cards.download(address, name, f"Download {number}" if len(files) > 1 else "Download")
        for number, (name, address) in enumerate(files, 1)
    )


def kept_for(hours: float) -> str:
    """What the owner set, before it surprises."""
    return f'<p class="q-about">Videos are deleted {hours:g} hours after they were made. Download what you keep.</p>'


def _ago(moment: float) -> str:
    minutes = int((time.time() - moment) // 60)
    for size, unit in ((60 * 24, "d"), (60, "h"), (1, "min")):
        if minutes >= size:
            return f"{minutes // size} {unit} ago"
    return "just now"

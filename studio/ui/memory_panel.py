"""What is in memory, where, how large; and a button that frees what no job uses and says how much that was."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import gradio as gr

from studio.executors import Executor

REFRESH_SECONDS = 10  # calm: nothing here is urgent
PLACES = {
    "cpu": "in memory", "cuda": "on the GPU", "ram": "in this machine's memory", "loading": "loading",
    "streamed": "passing through block by block", "disk": "on disk",
}  # fmt: skip
STATES = {"absent": "no worker yet", "starting": "starting", "ready": "ready", "busy": "at work", "dead": "restarting"}


class MemoryPanel:
    """One line when folded; the list of components and the button inside."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        with gr.Accordion("Memory", open=False, elem_classes="q-memory"):
            self.shown = gr.HTML(describe(executor.status()), apply_default_css=False)
            self.unload = gr.Button("Unload what no job uses", size="sm", elem_classes="q-unload")
            self.said = gr.HTML("", apply_default_css=False)
        self.timer = gr.Timer(REFRESH_SECONDS)

    def connect(self, page: gr.Blocks) -> None:
        """Show the state when the page opens and from time to time; unload on request."""
        quiet: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
        gr.on([page.load, self.timer.tick], self.on_look, None, self.shown, **quiet)
        self.unload.click(self.on_unload, None, [self.shown, self.said], **quiet)

    def on_look(self) -> str:
        return describe(self._executor.status())

    def on_unload(self) -> tuple[str, str]:
        if self._executor.status()["state"] == "busy":
            words = "A job is running: what it uses stays. Unload when it is done."
        else:
            freed = self._executor.unload()
            words = f"Freed {gigabytes(freed)}." if freed else "There was nothing to free."
        return describe(self._executor.status()), f'<p class="q-freed" role="status">{words}</p>'


def describe(status: Mapping[str, Any]) -> str:
    """A line of sums, then a line per component."""
    budget, used = status.get("budget", 0), status["bytes"] + status.get("reserved", 0)
    of = f" of {gigabytes(budget)}" if budget else ""
    sums = (
        f"{escape(str(status['device']))}, {STATES.get(status['state'], status['state'])}: {gigabytes(used)}{of} used"
    )
    copies = status.get("host_bytes", 0)
    if copies:
        sums += f", {gigabytes(copies)} of copies in this machine's memory"
    rows = "".join(_row(component) for component in status["components"])
    table = f'<ul class="q-components">{rows}</ul>' if rows else ""
    return f'<p class="q-sums">{sums}.</p>{table}'


def gigabytes(size: int) -> str:
    """3.2 GB, or 4.1 MB below a tenth of that."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _row(component: Mapping[str, Any]) -> str:
    name = ", ".join(component["names"]).replace("_", " ") or "not used yet"
    methods = ", ".join(component["methods"])
    size = component["bytes"] or component.get("host_bytes", 0)
    place = PLACES[component["place"]] if component.get("place") in PLACES else "in memory"
    use = ", in use" if component["leased"] else ""
    whose = f" ({escape(methods)})" if methods else ""
    words = f"{escape(component['dtype'])}, {gigabytes(size)}, {escape(place)}{use}"
    return f"<li><b>{escape(name)}</b>{whose}: {words}</li>"

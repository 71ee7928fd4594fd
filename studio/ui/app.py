"""The whole page: a header, a tab per preset, this browser's history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from studio.executors import Executor
from studio.history import History
from studio.jobs import JobQueue
from studio.presets import Preset
from studio.settings import StudioSettings
from studio.ui.api import add_api
from studio.ui.api.endpoints import Endpoints
from studio.ui.compare_tab import CompareTab
from studio.ui.forget_panel import ForgetPanel
from studio.ui.gallery_tab import GalleryTab
from studio.ui.inspect_tab import InspectTab
from studio.ui.memory_panel import MemoryPanel
from studio.ui.method_tab import MethodTab
from studio.ui.own_pictures import OwnPictures
from studio.ui.page import Page
from studio.ui.restoring import Restorer
from studio.ui.visitor import visitor_name, visitor_state
from studio.weights.downloads import Downloads

TITLE = "Quintet"
LINE = "Describe a scene and watch the video appear, step by step."
HEADER = f'<header class="q-header"><h1>{TITLE}</h1><p>{LINE}</p></header>'
DEFAULT_CERTIFICATES = StudioSettings().certificate_dir
CACHE_SWEEP_SECONDS, CACHE_AGE_SECONDS = 3600, 24 * 3600  # copies that browsers load; the results themselves stay


def build_app(
    presets: Mapping[str, Preset],
    jobs: JobQueue,
    history: History,
    downloads: Downloads | None = None,
    executor: Executor | None = None,
    certificates: Path = DEFAULT_CERTIFICATES,
    keep_hours: float = 0.0,
) -> gr.Blocks:
    """The page over these presets. Nothing is computed here: jobs go to the queue.

    With an `executor` the page shows its memory and may empty it: for a page that no stranger reaches.
    """
    quiet: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
    with Page(title=TITLE, analytics_enabled=False, delete_cache=(CACHE_SWEEP_SECONDS, CACHE_AGE_SECONDS)) as page:
        visitor, own = visitor_state(), OwnPictures(jobs, presets.values())
        gr.HTML(HEADER, apply_default_css=False)
        with gr.Tabs(selected=next(iter(presets))) as tabs:
            compare = CompareTab(presets, jobs, history, visitor, own, certificates)
            parts: dict[str, Any] = {"own": own, "downloads": downloads, "certificates": certificates}
            drawn = partial(MethodTab, jobs=jobs, visitor=visitor, **parts)
            first = {preset.method.name: key for key, preset in reversed([*presets.items()])}.values()
            methods = {key: drawn(preset) for key, preset in presets.items() if key in first}
            past = GalleryTab(history, presets, visitor, keep_hours)
            inspect = InspectTab(certificates, visitor, own)
            # what does not fit into the bar goes behind its last button
            methods |= {key: drawn(preset) for key, preset in presets.items() if key not in first}
        past.connect(tabs, methods, compare)
        restorer = Restorer(tabs, methods, own)
        inspect.connect(restorer)
        forget = ForgetPanel(own)
        if executor is not None:
            MemoryPanel(executor).connect(page)
        known = page.load(visitor_name, visitor, visitor, **quiet)
        compare.connect(known)
        for method in methods.values():
            method.connect()
            method.place.connect(restorer, method, visitor)
            method.lineups.connect(method, tabs, compare)
            method.weights.connect(page)
            method.generated.then(past.cards, past.asked, past.shown, **quiet)
            known.then(partial(_restore, method), visitor, method.outputs, **quiet)
        fields = [picture for method in methods.values() for picture in method.pictures]
        lines = [compare.bundle.said, *(method.enclosing.said for method in methods.values())]
        copies = [method.enclosing.button for method in methods.values()]
        forget.connect(visitor, fields, compare.form.pictures, [compare.form.consent], lines, copies)
        for picture in next(iter(methods.values())).pictures:
            picture.look_after(known)
        add_api(Endpoints(presets, jobs, compare.made, compare.costs, compare.numbers, own, certificates))
    return page


def _restore(method: MethodTab, owner: str) -> Iterator[dict[Any, Any]]:
    yield from method.on_load(owner)

"""One press makes a request in several ways, side by side in the compare tab."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from models.method import Lineup
from studio.compare import lineup_plan, weights_here
from studio.events import StudioError
from studio.presets import Preset
from studio.ui import stage
from studio.ui.compare_tab import TO_RESULT, CompareTab
from studio.ui.visitor import visitor_name

if TYPE_CHECKING:
    from studio.ui.method_tab import MethodTab

QUIET: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
Updates = dict[Any, Any]


class LineupButtons:
    """A button for each lineup of a method."""

    def __init__(self, preset: Preset) -> None:
        self.preset = preset
        self.buttons = [self._draw(lineup) for lineup in preset.method.lineups]

    def _draw(self, lineup: Lineup) -> Any:
        button = gr.Button(lineup.label, elem_classes="q-lineup")
        gr.HTML(f'<p class="q-told">{escape(lineup.help)}</p>', apply_default_css=False)
        return button

    def connect(self, tab: MethodTab, tabs: gr.Tabs, compare: CompareTab) -> None:
        """`tab` is the method's, `tabs` all of the page."""
        for lineup, button in zip(self.preset.method.lineups, self.buttons, strict=True):
            press = self._presser(lineup, tab, tabs, compare)
            outputs = [tabs, tab.alert, compare.form.prompt, compare.form.seeds, *compare.outputs]
            button.click(press, [tab.visitor, *tab.asked], outputs, **QUIET).then(None, None, None, js=TO_RESULT)

    def _presser(
        self, lineup: Lineup, tab: MethodTab, tabs: gr.Tabs, compare: CompareTab
    ) -> Callable[..., Updates]:  # fmt: skip
        def press(stored: Any, *shown: Any) -> Updates:
            owner = visitor_name(stored)
            try:
                request = tab.form.request(tab.read(shown))
                plan = lineup_plan(self.preset, lineup, request, weights_here, compare.costs)
                comparison = compare.made.start(plan, owner)
            except (ValueError, StudioError) as error:
                return {tab.alert: stage.alert(str(error))}
            moved = {tabs: gr.Tabs(selected="compare"), tab.alert: stage.alert(""), compare.visitor: owner}
            asked = {compare.form.prompt: plan.brief.prompt, compare.form.seeds: str(plan.brief.seeds[0])}
            return moved | asked | compare.opened(comparison, owner)

        return press

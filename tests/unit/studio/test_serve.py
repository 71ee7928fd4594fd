"""What the owner of a studio decides before its page opens."""

from __future__ import annotations

import dataclasses
import importlib.util

import gradio as gr
import pytest

from studio.events import StudioError
from studio.presets import load_presets, offered
from studio.ui.serve import fetch_accepted, launch_options
from tests.unit.studio.conftest import PACKAGES, PRESETS


def test_only_offered_presets_are_on_the_page_in_the_order_named():
    known = load_presets(packages=PACKAGES)
    names = list(known)[:2][::-1]
    assert list(offered(known, names)) == names and offered(known, ()) == known
    with pytest.raises(ValueError, match="Did you mean 'repvideo/pocket'"):
        offered(known, ["repvideo/pocked"])


def test_a_preset_to_fetch_must_exist_and_one_that_is_whole_needs_nothing(settings):
    known = load_presets(PRESETS, PACKAGES)
    fetch_accepted(dataclasses.replace(settings, fetch=("sketch/pocket",)), known)
    with pytest.raises(ValueError, match="There is no preset"):
        fetch_accepted(dataclasses.replace(settings, fetch=("sketch/full",)), known)


def test_gradio_builds_no_table_of_events_for_a_dashboard_that_nobody_sees():
    with gr.Blocks(analytics_enabled=False) as page:
        pass
    queue = page._queue
    queue.events_recorded = 1000
    assert queue.compute_analytics_summary([{"function": "f", "status": "success"}]) == {"functions": {}}
    assert queue.ANALYTICS_MAX_EVENTS == 1


def test_agents_are_not_offered_what_cannot_be_served(settings):
    assert launch_options(settings)["mcp_server"] is False
    if importlib.util.find_spec("mcp") is not None:
        pytest.skip("mcp is installed")
    with pytest.raises(StudioError, match="mcp is not installed"):
        launch_options(dataclasses.replace(settings, mcp=True))

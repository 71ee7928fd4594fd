"""The whole page over the presets of the repository."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from studio.history import History
from studio.presets import load_presets
from studio.ui.app import build_app


def test_what_everybody_needs_comes_before_the_second_weights_of_a_method(tmp_path):
    history = History(tmp_path / "history.sqlite")
    presets = load_presets()
    jobs: Any = SimpleNamespace(history=history)  # nothing is asked of it while the page is drawn
    page = build_app(presets, jobs, history)
    history.close()
    tabs = [part["props"]["id"] for part in page.get_config_file()["components"] if part["type"] == "tabitem"]
    pocket = [key for key in presets if key.endswith("/pocket")]
    assert tabs[: 1 + len(pocket) + 2] == ["compare", *pocket, "history", "inspect"]
    assert sorted(tabs[len(pocket) + 3 :]) == sorted(set(presets) - set(pocket))

from __future__ import annotations

from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from models.method import Clip
from studio.events import JobSpec
from studio.outputs import save
from studio.ui.inspect_tab import InspectTab


@pytest.fixture
def tab(preset, tmp_path):
    with gr.Blocks(), gr.Tabs() as tabs:
        made = InspectTab({preset.key: preset}, tmp_path / "certificate")
    method = SimpleNamespace(preset=preset, outputs=[], use=lambda values: {"form": values})
    made.tabs = tabs
    made.methods = {preset.key: method}  # pyright: ignore[reportAttributeAccessIssue] -- stands in for a tab
    return made


@pytest.fixture
def video(preset, ask, tmp_path):
    request = ask(prompt="<script>alert(1)</script> a square", seed=9)
    spec = JobSpec("job", preset.key, preset.method.name, request, preset.recipe)
    frames = np.random.default_rng(0).integers(60, 200, (4, 64, 64, 3), np.uint8)
    return save([Clip(frames, 8)], spec, tmp_path / "out", None, tmp_path / "certificate").paths[0]


def test_a_video_of_the_studio_is_read_back_into_its_form(tab, video, preset):
    words, settings, use, clean = tab.on_file(str(video))
    assert "Made by a trained algorithm" in words and "this installation" in words and "Found" in words
    assert use["visible"] and clean.visible and clean.value
    opened = tab.on_use(settings)
    assert opened["form"]["seed"] == 9 and opened[tab.tabs].selected == preset.key


def test_nothing_of_the_file_reaches_the_page_unescaped(tab, video):
    words = tab.on_file(str(video))[0]
    assert "<script>" not in words and "&lt;script&gt;" in words


def test_a_foreign_file_is_answered_in_a_sentence(tab, tmp_path):
    (tmp_path / "words.mp4").write_text("no video")
    words, settings, use, _ = tab.on_file(str(tmp_path / "words.mp4"))
    assert "neither a video nor a picture" in words and settings is None and not use["visible"]
    Image.new("RGB", (80, 80), "green").save(tmp_path / "green.png")
    words, settings, use, _ = tab.on_file(str(tmp_path / "green.png"))
    assert "does not show that it was not generated" in words and settings is None and not use["visible"]


@pytest.mark.parametrize("settings", [None, {}, {"preset": "none/such"}, {"preset": 3}, {"preset": "sketch/pocket"}])
def test_settings_that_make_no_sense_fill_nothing(tab, settings):
    assert not tab.on_use(settings).get("form")

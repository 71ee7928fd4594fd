from __future__ import annotations

import json
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from models.method import Clip
from studio import provenance
from studio.events import JobSpec
from studio.outputs import read_settings, save
from studio.ui.inspect_tab import InspectTab
from studio.ui.method_tab import MethodTab
from studio.ui.own_pictures import OwnPictures
from studio.ui.restoring import Restorer
from tests.benchmark.fuzz_parsers import film

OWNER = "a visitor of this studio, by a long name"


@pytest.fixture
def page(preset, tmp_path, monkeypatch):
    """The tabs as the page makes them, over one method."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    jobs = SimpleNamespace(jobs=lambda owner: [], forget=lambda owner, files: 0)
    own, visitor = OwnPictures(jobs, [preset]), gr.BrowserState(None)  # type: ignore[arg-type]
    with gr.Blocks(), gr.Tabs() as tabs:
        method = MethodTab(preset, jobs, visitor, own)  # type: ignore[arg-type]
        inspect = InspectTab(tmp_path / "certificate", visitor, own)
        inspect.connect(Restorer(tabs, {preset.key: method}, own))
    return SimpleNamespace(inspect=inspect, method=method, tabs=tabs)


@pytest.fixture
def tab(page):
    return page.inspect


@pytest.fixture
def video(preset, ask, tmp_path):
    request = ask(prompt="<script>alert(1)</script> a square", seed=9)
    spec = JobSpec("job", preset.key, preset.method.name, request, preset.recipe)
    frames = np.random.default_rng(0).integers(60, 200, (4, 64, 64, 3), np.uint8)
    return save([Clip(frames, 8)], spec, tmp_path / "out", None, tmp_path / "certificate").paths[0]


def test_a_video_of_the_studio_is_read_back_into_its_form(page, video, preset):
    words, use, clean = page.inspect.on_file(OWNER, str(video))
    assert "Made by a trained algorithm" in words
    assert "this installation" in words
    assert "Found" in words
    assert use["visible"]
    assert clean.visible
    assert clean.value
    opened = page.inspect.on_use(OWNER, str(video))
    assert opened[page.method.form.components["seed"]] == 9
    assert opened[page.method.fresh] is False
    assert opened[page.tabs].selected == preset.key


def test_nothing_of_the_file_reaches_the_page_unescaped(tab, video):
    words = tab.on_file(OWNER, str(video))[0]
    assert "<script>" not in words
    assert "&lt;script&gt;" in words


def test_a_foreign_file_is_answered_in_a_sentence(tab, tmp_path):
    (tmp_path / "words.mp4").write_text("no video")
    words, use, _ = tab.on_file(OWNER, str(tmp_path / "words.mp4"))
    assert "neither a video nor a picture" in words
    assert not use["visible"]
    Image.new("RGB", (80, 80), "green").save(tmp_path / "green.png")
    words, use, _ = tab.on_file(OWNER, str(tmp_path / "green.png"))
    assert "does not show that it was not generated" in words
    assert not use["visible"]


def test_settings_of_a_method_that_is_not_here_are_told_and_fill_nothing(tab, tmp_path, video):
    settings = read_settings(video) | {"method": "weaver"}
    film(tmp_path / "other.mp4", json.dumps(settings))
    words, use, _ = tab.on_file(OWNER, str(tmp_path / "other.mp4"))
    assert "which is not part of this studio" in words
    assert not use["visible"]


def test_a_video_without_settings_dropped_on_a_tab_says_so_there(page, tmp_path, video):
    provenance.clean_copy(video, tmp_path / "clean.mp4", tmp_path / "certificate")
    said = page.inspect.restorer.open(str(tmp_path / "clean.mp4"), OWNER, page.method)
    assert list(said) == [page.method.place.said]
    assert "was not made by Quintet, or its settings were removed" in said[page.method.place.said]


def test_what_could_not_be_restored_is_listed_under_the_form(page, tmp_path, video):
    settings = read_settings(video)
    settings["request"] |= {"num_inference_steps": 5000, "<b>": 1}
    film(tmp_path / "other.mp4", json.dumps(settings))
    opened = page.inspect.restorer.open(str(tmp_path / "other.mp4"), OWNER, page.method)
    said = opened[page.method.place.said]
    assert "must be between 1 and 1000, got 5000" in said
    assert "&lt;b&gt;" in said
    assert opened[page.method.form.components["seed"]] == 9

"""A recording in the compare tab: shown first, told apart, asked again as it was; no atlas, no trace of it."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from models.method import Clip
from studio.compare import Brief, Comparison, Costs, variants
from studio.compare.atlas import Recording, write
from studio.compare.atlas.record import INDEX
from studio.compare.record import CellState, Member
from studio.events import JobSpec
from studio.history import History
from studio.metrics.score import Score
from studio.outputs import save
from studio.presets import load_presets
from studio.ui import given, offline
from studio.ui.compare_brief import BriefForm
from studio.ui.compare_recorded import RecordedBox
from studio.ui.media import file_url

KEYS = ["sketch/pocket", "sketch/pocket:trail"]


def recording(preset, folder, prompt, seed) -> Recording:
    """Both sides' clips written, no job behind them."""
    members, states = [], []
    for row, variant in enumerate(variants([preset]).values()):
        request = variant.request(Brief(prompt, seeds=(seed,)))
        output = folder / f"{prompt}-{seed}-{row}.mp4"
        spec = JobSpec(f"{seed}-{row}", preset.key, "sketch", request, preset.recipe, output)
        paths = save([Clip(np.zeros((4, 64, 64, 3), np.uint8), 8)], spec, folder).paths
        values = {"prompt": prompt, "seed": seed, "trail": not variant.ablation}
        members.append(Member(row, 0, variant.label, variant.key, preset.key, values))
        states.append(CellState(members[-1], "finished", "", None, paths, None, 1.5))
    labels = tuple(member.label for member in members)
    comparison = Comparison(f"sketch-{seed}", 0.0, prompt, labels, ("",), tuple(members))
    scores = tuple([{"flicker": Score("flicker", "", 0.5, (None, 0.25))}] for _ in members)
    return Recording(comparison, Brief(prompt, seeds=(seed,)), tuple(states), scores, "2026-11-02", "CPU, 2 cores")


@pytest.fixture
def atlas(preset, tmp_path):
    folder = tmp_path / "atlas"
    folder.mkdir()
    write([recording(preset, folder, "a <red> square", seed) for seed in (3, 4)], folder)
    return folder


@pytest.fixture
def drawn(preset, tmp_path):
    """drawn(folder): the box and the form of a tab over the sketch."""
    history = History(tmp_path / "history.sqlite")

    def draw(folder, presets=None):
        with gr.Blocks():
            form = BriefForm({preset.key: preset}, Costs(history))
            box = RecordedBox({preset.key: preset} if presets is None else presets, folder)
            box.draw_bar()
            box.draw_list()
        return box, form

    yield draw
    history.close()


def test_the_first_recording_is_shown_with_its_scores_and_says_that_it_is_recorded(drawn, atlas):
    box, _ = drawn(atlas)
    assert box.first and box.first.title == "a <red> square"
    kept = box.get(box.first.id)
    assert kept and kept.states[0].paths[0].parent == atlas
    assert kept.scores[0][0]["flicker"] == Score("flicker", "", 0.5, (None, 0.25))
    shown = box.shown(box.first)
    assert shown[box.bar].visible
    assert "<b>Recorded</b> 2 November 2026, CPU, 2 cores" in shown[box.told]
    assert [id for _, id in box.list.choices] == ["sketch-3", "sketch-4"]


def test_a_comparison_of_one_s_own_has_no_such_bar(drawn, atlas):
    box, _ = drawn(atlas)
    own = Comparison("00001795265055271890-1a2b3c4d", 0.0, "mine", (), ("",), ())
    assert not box.shown(own)[box.bar].visible and not box.shown(None)[box.bar].visible


def test_its_settings_fill_the_form_and_make_the_same_plan(drawn, atlas):
    box, form = drawn(atlas)
    filled, values = box.asked(box.get("sketch-4"), form)
    assert filled[form.prompt] == "a <red> square" and filled[form.seeds] == "4"
    assert filled[form.chosen] == KEYS and form.consent not in filled
    requests = [cell.request for cell in form.plan(values).cells]
    assert [(each.prompt, each.seed, each.trail) for each in requests] == [
        ("a <red> square", 4, True), ("a <red> square", 4, False)
    ]  # fmt: skip


def test_without_an_atlas_with_a_damaged_one_or_without_its_method_there_is_none(drawn, atlas, tmp_path):
    assert drawn(tmp_path / "none")[0].first is None
    assert drawn(atlas, presets={})[0].first is None
    (atlas / "a <red> square-3-0.mp4").unlink()
    assert drawn(atlas)[0].first.id == "sketch-4"
    (atlas / INDEX).write_text("[", encoding="utf-8")
    assert drawn(atlas)[0].first is None


def test_the_picture_of_a_recording_stands_beside_its_prompt(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    presets = load_presets()
    box = RecordedBox(presets)
    with_face, words_alone = box.get("echovideo-1-seed7"), box.get("repvideo-1-seed7")
    assert with_face and with_face.brief.person and words_alone
    pictures = given.pictures(with_face.comparison, presets)
    shown = given.draw(pictures, file_url)
    assert shown.count("<img") == 1 and 'alt="Face' in shown
    (address,) = re.findall(r'src="gradio_api/file=([^"]+)"', shown)
    assert Path(address).read_bytes() == with_face.brief.person.read_bytes()
    assert given.pictures(words_alone.comparison, presets) == {}
    offline_page = offline.page(with_face.comparison, with_face.states, presets)
    assert base64.b64encode(with_face.brief.person.read_bytes()).decode() in offline_page


def test_a_picture_outside_the_presets_is_never_read_whatever_a_bundle_names(tmp_path):
    presets = load_presets()
    recording = RecordedBox(presets).get("echovideo-1-seed7")
    assert recording
    for named in ("../secret.png", "/etc/passwd", "README.md", "presets/../README.md"):
        members = tuple(replace(m, request=m.request | {"face": named}) for m in recording.comparison.members)
        assert given.pictures(replace(recording.comparison, members=members), presets) == {}

"""The compare tab's answers, without a browser: what is saved, what is said while videos are made and after."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest
from PIL import Image

from studio.compare import METHOD, variants
from studio.events import Progress
from studio.metrics import Score
from studio.presets import load_presets, request_with
from studio.ui import compare_view
from studio.ui.compare_tab import FIRST_CURVE, CompareTab
from studio.ui.own_pictures import OwnPictures
from tests.unit.studio.test_compare_record import ME, Desk

SCORES = [{"flicker": Score("flicker", "", 0.51)}]


class Measured:
    """Numbers of which so many cells are known."""

    def __init__(self, known: int) -> None:
        self.known = known

    def of(self, state, presets):
        return SCORES if state.member.column < self.known else None


@pytest.fixture
def desk(settings, preset, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    made = Desk(settings, preset)
    yield made
    made.close()


def tab_of(desk, *presets) -> CompareTab:
    with gr.Blocks(), gr.Tabs():
        own = OwnPictures(desk.jobs, presets)
        return CompareTab({each.key: each for each in presets}, desk.jobs, desk.history, gr.BrowserState(), own)


@pytest.fixture
def tab(desk):
    return tab_of(desk, desk.preset)


@pytest.fixture
def whole(desk):
    """A tab over two of the studio's methods: one takes words alone, one needs a person. Nothing is made."""
    presets = load_presets()
    return tab_of(desk, presets["repvideo/pocket"], presets["echovideo/pocket"])


@pytest.fixture
def finished(desk):
    """Two videos, both made."""
    comparison = desk.made.start(desk.plan(), ME)
    desk.wait(comparison)
    return comparison


def saved(tab, comparison, folder: Path) -> tuple[str, zipfile.ZipFile]:
    """What is said beside the link, and the zip behind it."""
    said = tab.on_save(ME, comparison.id, False, None, None)
    (address,) = re.findall(r'href="gradio_api/file=([^"]+)"', said)
    return said, zipfile.ZipFile(address)


def test_a_bundle_holds_every_number_on_its_page_too(tab, finished, tmp_path):
    tab.numbers = Measured(2)
    said, archive = saved(tab, finished, tmp_path)
    assert "not ready" not in said
    page = archive.read("index.html").decode()
    assert "Flicker" in page and page.count('<td title="">0.51</td>') == 2
    assert len(json.loads(archive.read("metrics.json"))) == 2


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (0, "The numbers are not ready yet and are not inside; save again when they are."),
        (1, "The numbers of 1 of 2 videos are not ready yet and are not inside; save again when they are."),
    ],
)
def test_a_bundle_saved_while_clips_are_measured_says_what_it_lacks(tab, finished, tmp_path, known, told):
    tab.numbers = Measured(known)
    said, archive = saved(tab, finished, tmp_path)
    assert told in said
    assert len(json.loads(archive.read("metrics.json"))) == known


def asked(tab, **changes) -> list:
    """What the form sends: a prompt and what is ticked at first, with some fields changed."""
    form = tab.form
    values = [form.chosen.value, "a square", "", "42", None, None, "", METHOD, "", "", "", False]
    for name, value in changes.items():
        values[form.inputs.index(getattr(form, name))] = value
    return values


def test_what_is_no_seed_is_told_once_and_no_reason_of_an_earlier_seed_stays(whole):
    form = whole.form
    too_large = form.on_change(*asked(whole, seeds="9" * 14))
    assert "9" * 14 in too_large[form.methods]
    no_seed = form.on_change(*asked(whole, seeds="abc"))
    assert "&#x27;abc&#x27; is not a seed" in no_seed[form.cost]
    assert "9" * 14 not in no_seed[form.methods] and no_seed[form.methods].count(" checked") == 2
    pressed = whole.on_run(ME, *asked(whole, seeds="abc", chosen=[]))
    assert "&#x27;abc&#x27; is not a seed" in pressed[form.alert]
    assert "seed" not in pressed[form.cost]


def test_methods_that_a_brief_made_impossible_are_answered_with_the_reason(whole):
    pressed = whole.on_run(ME, *asked(whole, seeds="9" * 14))
    assert "None of these videos can be made." in pressed[whole.form.alert]
    assert "9" * 14 in pressed[whole.form.alert]
    assert whole.made.newest(ME) == []


def drawn(tab, comparison) -> dict:
    """What the page is told when it looks."""
    return tab.on_tick(ME, comparison.id, None, None, None, FIRST_CURVE)


def test_while_videos_are_made_and_after_all_are_stopped_the_page_says_how_they_stand(tab, desk, tmp_path):
    held = {"hold_at_step": 1, "release_file": str(tmp_path / "release")}
    desk.known = variants([replace(desk.preset, request=request_with(desk.preset.request, held))])
    comparison = desk.made.start(desk.plan(), ME)
    job = desk.jobs.get(comparison.members[0].job, ME)
    assert job and next(event for event in job.events() if isinstance(event, Progress))
    assert "The first video is being made" in drawn(tab, comparison)[tab.player]
    desk.made.stop(comparison, ME)
    desk.wait(comparison)
    over = drawn(tab, comparison)
    for part in (tab.grid, tab.player):
        assert "0 of 2 videos ready, 2 stopped" in over[part]
        assert "all done" not in over[part] and "Nothing to compare" not in over[part]
    assert over[tab.learned] == []


def test_once_videos_are_made_the_costs_are_told_without_a_reload(tab, finished):
    tab.numbers = Measured(2)
    form, after = tab.form, drawn(tab, finished)
    assert after[tab.learned] == [member.job for member in finished.members]
    updates = form.on_learned(*asked(tab))
    assert "2 videos · about" in updates[form.cost]
    assert "not known yet" not in updates[form.methods] and form.alert not in updates


def test_what_is_known_of_the_cost_is_told_though_something_is_not(desk):
    desk.wait(desk.made.start(desk.plan("on", "trail"), ME))
    plan = desk.plan()
    assert [cell.cost.seconds is None for cell in plan.cells] == [False, True]
    assert plan.cost.seconds == plan.cells[0].cost.seconds
    assert re.search(r"2 videos · at least [\d.]+ s, 1 not known yet", compare_view.plan_words(plan))


def test_a_file_that_is_no_picture_is_told_before_consent_and_stops_only_who_would_take_it(whole, tmp_path):
    form, text = whole.form, tmp_path / "me.png"
    text.write_text("not a picture")
    updates = form.on_change(*asked(whole, person=str(text)))
    assert updates[form.methods].count("The file of the person is not a picture") == 1
    assert 'value="repvideo/pocket" checked' in updates[form.methods]
    assert not form.on_person(str(text))["visible"]
    both = asked(whole, person=str(text), chosen=["repvideo/pocket", "echovideo/pocket"])
    assert [bool(cell.request) for cell in form.plan(both).cells] == [True, False]
    pressed = whole.on_run(ME, *asked(whole, person=str(text), chosen=["echovideo/pocket"]))
    assert "The file of the person is not a picture" in pressed[form.alert]


def test_a_face_of_one_s_own_needs_consent_for_methods_that_use_it_and_no_others(whole, tmp_path):
    face = tmp_path / "me.png"
    Image.new("RGB", (64, 64)).save(face)
    words_alone = asked(whole, person=str(face), chosen=["repvideo/pocket"])
    assert len(whole.form.plan(words_alone).possible) == 1
    with pytest.raises(ValueError, match="needs the tick below it"):
        whole.form.plan(asked(whole, person=str(face), chosen=["repvideo/pocket", "echovideo/pocket"]))

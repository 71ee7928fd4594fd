"""The compare tab's answers, without a browser: what is saved, what is said while videos are made and after."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import gradio as gr
import pytest

from studio.compare import METHOD
from studio.metrics import Score
from studio.presets import load_presets
from studio.ui.compare_tab import CompareTab
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

"""CustomVideoX with its pocket weights: a picture, what is seen of it, a video beside its attention, an idea off."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.steps import Tab, playing
from tests.browser.studio import ROOT, made

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SUBJECTS = ROOT / "presets/customvideox/examples"


@pytest.fixture
def tab(pocket_tab) -> Tab:
    return pocket_tab("CustomVideoX")


def test_a_subject_is_shown_kept_and_lost_when_the_picture_no_longer_takes_part(tab, pocket_studio, tmp_path):
    tab.panel.locator(".q-field-reference").get_by_role("button", name="Remove Image").click()
    own = Image.open(SUBJECTS / "purple-cube.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    own.save(tmp_path / "own.png")
    tab.panel.locator(".q-field-reference input[type=file]").set_input_files(tmp_path / "own.png")
    seen = tab.panel.locator(".q-seen img")
    seen.wait_for()
    seen.evaluate("picture => picture.decode()")

    tab.make("the object stands still on grass, blue sky", seed=5)
    # two clips in lock: the video, and where and when the picture acted
    tab.page.wait_for_function("document.querySelector('.q-stage quintet-player')?.state.tick > 2")
    assert tab.page.evaluate("document.querySelector('.q-stage quintet-player').clips.length") == 2
    tab.panel.get_by_label("Reference attention").uncheck()
    tab.finish()
    expect(tab.line).to_contain_text("reference attention off")
    assert playing(tab.page)

    clips = {settings["clip"]: frames for settings, frames in made(pocket_studio, "customvideox")}
    kept, attention, lost = clips["video"], clips["attention"], clips[""]
    assert kept.shape == lost.shape == (20, 64, 64, 3)
    assert attention.shape[0] == 20 and attention.shape[1] > 256
    assert np.abs(kept - lost).mean() > 1


def test_subject_words_that_are_not_in_the_prompt_are_answered_with_a_sentence(tab):
    tab.prompt.fill("the object bounces on grass")
    tab.panel.locator(".q-field-entity").get_by_role("textbox").fill("zebra")
    tab.generate.click()
    tab.wait_for("failed")
    expect(tab.stage).to_contain_text("'zebra' is not in the prompt")


def test_without_a_picture_the_page_says_what_is_missing(tab):
    tab.panel.locator(".q-field-reference").get_by_role("button", name="Remove Image").click()
    tab.generate.click()
    tab.alert.get_by_text("Reference picture is missing. Add one, or switch reference attention off.").wait_for()


def test_the_tab_says_that_nobody_published_code_or_weights(tab):
    expect(tab.panel.locator(".q-about p")).to_contain_text("published neither code nor weights")

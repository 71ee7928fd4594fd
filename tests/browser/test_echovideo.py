"""EchoVideo with its pocket weights: take a person, see the crop, generate, switch the idea off, compare."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.steps import Tab, playing
from tests.browser.studio import ROOT, made

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PEOPLE = ROOT / "presets/echovideo/examples"


@pytest.fixture
def tab(pocket_tab) -> Tab:
    return pocket_tab("EchoVideo")


def test_a_person_is_taken_seen_and_kept_and_the_idea_switched_off_shows_in_the_pair(tab, pocket_studio):
    tab.panel.get_by_role("button", name="Ivan", exact=True).click()
    seen = tab.panel.locator(".q-seen img")
    seen.wait_for()
    seen.evaluate("picture => picture.decode()")
    expect(tab.panel.get_by_label("I have the right to use this face.")).to_be_hidden()

    tab.make("a person with a green shirt smiles in front of a blue wall", seed=11)
    assert playing(tab.page)
    tab.panel.get_by_label("Identity fusion").uncheck()
    tab.finish()
    assert playing(tab.page)
    expect(tab.line).to_contain_text("identity fusion off")

    (settings_on, first), (settings_off, second) = made(pocket_studio, "echovideo")
    on, off = settings_on["request"], settings_off["request"]
    assert on["identity_fusion"] is True and off["identity_fusion"] is False
    assert {k: v for k, v in on.items() if k != "identity_fusion"} == {
        k: v for k, v in off.items() if k != "identity_fusion"
    }
    assert on["seed"] == 11 and on["face"] == "presets/echovideo/examples/ivan.png"
    assert first.shape == second.shape == (20, 64, 64, 3)
    assert np.abs(first - second).mean() > 1


def test_of_a_person_s_own_picture_every_face_is_shown_and_one_is_chosen(tab, tmp_path):
    Image.open(PEOPLE / "three-friends.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "own.png")
    tab.panel.locator(".q-field-face").get_by_role("button", name="Remove Image").click()
    tab.panel.locator(".q-field-face input[type=file]").set_input_files(tmp_path / "own.png")
    tab.panel.get_by_role("button", name="Face 3").wait_for()
    expect(tab.panel.locator(".q-seen img")).to_have_count(3)
    tab.panel.get_by_role("button", name="Face 2").click()
    tab.panel.locator(".q-seen [aria-pressed=true][aria-label='Face 2']").wait_for()
    tab.generate.click()
    tab.alert.get_by_text("I have the right to use this face.").wait_for()
    tab.panel.get_by_label("I have the right to use this face.").check()


def test_a_picture_without_a_face_says_what_to_do(tab, tmp_path):
    noise = np.random.default_rng(0).integers(0, 40, (80, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "nobody.png")
    tab.panel.locator(".q-field-face").get_by_role("button", name="Remove Image").click()
    tab.panel.locator(".q-field-face input[type=file]").set_input_files(tmp_path / "nobody.png")
    tab.panel.locator(".q-seen").get_by_text("No face was found. Use a picture where one face is large").wait_for()

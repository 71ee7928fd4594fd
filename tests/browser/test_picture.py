"""A picture in the form: taken from the shelf or uploaded, looked at, chosen from, agreed to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from playwright.sync_api import expect

from studio.outputs import read_settings
from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.steps import Tab, overflowing, ready
from tests.browser.studio import Studio, running_studio

pytestmark = pytest.mark.browser
CONSENT = "I may use this picture."
PATIENCE_MS = 90_000  # the first look waits for the worker to start


def squares(path: Path, *greys: int, height: int = 64) -> Path:
    """One square per grey, side by side; a tall picture without any when there are none."""
    pixels = np.zeros((height, len(greys) * height or height // 2, 3), np.uint8)
    for index, grey in enumerate(greys):
        pixels[:, index * height : (index + 1) * height] = grey
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def portrait_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("portrait")
    shipped = folder / "presets" / "portrait"
    shipped.mkdir(parents=True)
    squares(shipped / "ada.png", 90)
    squares(shipped / "two-friends.png", 60, 200)
    both = [{"title": "Two friends", "request": {"picture": "two-friends.png", "which": 2}}]
    preset = {"method": "portrait", "request": {"picture": "ada.png"}, "examples": both}
    (shipped / "pocket.yaml").write_text(yaml.safe_dump(preset), encoding="utf-8")
    with running_studio(folder, folder / "presets", "tests.fakes") as running:
        yield running


@pytest.fixture
def tab(chromium, portrait_studio) -> Iterator[Tab]:
    with chromium.new_context(viewport=DESKTOP) as context:
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.goto(portrait_studio.address)
        ready(page)
        yield Tab(page, "Portrait")


def upload(tab: Tab, picture: Path) -> None:
    tab.panel.locator(".q-field-picture input[type=file]").set_input_files(picture)


def made(studio: Studio) -> dict:
    newest = max(studio.outputs.glob("*.mp4"), key=lambda path: path.stat().st_mtime_ns)
    return read_settings(newest)["request"]


def clear(tab: Tab) -> None:
    tab.panel.locator(".q-field-picture").get_by_role("button", name="Remove Image").click()


def test_the_opening_picture_is_shown_as_the_model_sees_it(tab):
    tab.panel.locator(".q-seen img").wait_for()
    expect(tab.panel.locator(".q-seen").get_by_text("What the model sees")).to_be_visible()


def test_of_several_faces_one_is_chosen_by_a_click(tab, portrait_studio):
    tab.panel.get_by_role("button", name="Two friends").first.click()
    second = tab.panel.get_by_role("button", name="Face 2")
    second.wait_for()
    tab.panel.locator(".q-seen [aria-pressed=true][aria-label='Face 1']").wait_for()
    second.click()
    tab.panel.locator(".q-seen [aria-pressed=true][aria-label='Face 2']").wait_for()
    expect(tab.panel.get_by_label(CONSENT)).to_be_hidden()
    tab.finish()
    assert made(portrait_studio)["which"] == 2
    tab.panel.get_by_role("button", name="Ada").first.click()
    tab.panel.locator(".q-seen .q-face:not(button)").wait_for()
    tab.finish()  # the choice was of a face in another picture
    assert made(portrait_studio)["which"] == 0


def test_a_person_s_own_picture_needs_a_tick_and_is_written_nowhere(tab, portrait_studio, tmp_path):
    clear(tab)
    upload(tab, squares(tmp_path / "own.png", 10, 130, 250))
    tab.panel.get_by_role("button", name="Face 3").wait_for()
    agree = tab.panel.get_by_label(CONSENT)
    agree.wait_for()
    tab.generate.click()
    tab.alert.get_by_text(f'Tick "{CONSENT}" first').wait_for()
    agree.check()
    tab.finish()
    assert made(portrait_studio)["picture"] is None
    clear(tab)
    upload(tab, squares(tmp_path / "another.png", 70))
    tab.panel.locator(".q-seen .q-face:not(button)").wait_for()
    tab.finish()  # agreed once, for the whole visit


def test_a_forgotten_picture_is_gone_and_comes_back_only_from_the_file_that_the_person_kept(
    tab, portrait_studio, tmp_path
):
    clear(tab)
    upload(tab, squares(tmp_path / "own.png", 33, 177))
    tab.panel.get_by_role("button", name="Face 2").click()
    tab.panel.locator(".q-seen [aria-pressed=true][aria-label='Face 2']").wait_for()
    tab.panel.get_by_label(CONSENT).check()
    tab.prompt.fill("kept with its picture")
    tab.finish()
    tab.panel.get_by_role("button", name="Copy with my files inside").click()
    link = tab.panel.get_by_role("link", name="with-files.mp4")
    with tab.page.expect_download() as download:
        link.click()
    download.value.save_as(tmp_path / "kept.mp4")
    tab.panel.get_by_role("button", name="Forget my pictures").click()
    tab.panel.get_by_text("What remains of them here: nothing.").wait_for()
    tab.panel.locator(".q-seen img").wait_for(state="detached")
    link.wait_for(state="detached")
    own = (tmp_path / "own.png").read_bytes()
    assert not [f for f in (portrait_studio.outputs.parent / "gradio").rglob("*.*") if own in f.read_bytes()]
    tab.prompt.fill("another")
    tab.panel.locator(".q-drop input[type=file]").set_input_files(tmp_path / "kept.mp4")
    tab.panel.get_by_text("The settings of kept.mp4 are in the form.").wait_for()
    tab.panel.locator(".q-seen [aria-pressed=true][aria-label='Face 2']").wait_for()
    tab.page.wait_for_function("box => box.value === 'kept with its picture'", arg=tab.prompt.element_handle())
    tab.generate.click()
    tab.alert.get_by_text(f'Tick "{CONSENT}" first').wait_for()  # forgetting took the agreement away


def test_a_picture_without_a_face_is_answered_with_a_sentence(tab, tmp_path):
    clear(tab)
    upload(tab, squares(tmp_path / "none.png"))
    tab.panel.locator(".q-seen").get_by_text("No face was found. Use a wider picture.").wait_for()


def test_nothing_reaches_past_a_narrow_screen(chromium, portrait_studio):
    with chromium.new_context(viewport=PHONE) as context:
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.goto(portrait_studio.address)
        ready(page)
        tab = Tab(page, "Portrait")
        tab.panel.get_by_role("button", name="Two friends").first.click()
        tab.panel.get_by_role("button", name="Face 2").wait_for()
        assert overflowing(page) == []

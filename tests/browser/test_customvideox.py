"""CustomVideoX with its pocket weights: a picture, what is seen of it, a video beside its attention, an idea off."""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np
import pytest
from PIL import Image

from studio.outputs import read_settings
from tests.browser.conftest import DESKTOP, ready
from tests.browser.steps import Tab, playing
from tests.browser.studio import ROOT, Studio, running_studio

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WEIGHTS = ROOT / "models/pocket/weights/customvideox/lora"
SUBJECTS = ROOT / "presets/customvideox/examples"
MINUTES_MS = 300_000  # other work may share the cores


@pytest.fixture(scope="module")
def pocket_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    if not any(WEIGHTS.glob("*.safetensors")):
        pytest.skip("the pocket weights of CustomVideoX are not in this checkout")
    with running_studio(tmp_path_factory.mktemp("customvideox"), ROOT / "presets") as studio:
        yield studio


@pytest.fixture
def tab(chromium, pocket_studio) -> Iterator[Tab]:
    with chromium.new_context(viewport=DESKTOP) as context:
        context.set_default_timeout(MINUTES_MS)
        page = context.new_page()
        page.goto(pocket_studio.address)
        ready(page)
        tab = Tab(page, "CustomVideoX")
        tab.panel.locator(".q-field-num_inference_steps input[type=number]").fill("4")
        yield tab


def frames(path) -> np.ndarray:
    with av.open(str(path)) as video:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]).astype(int)


def made(studio: Studio, name: str) -> list[np.ndarray]:
    """Clips of that name, oldest first."""
    return [frames(path) for path in sorted(studio.outputs.glob("*.mp4")) if read_settings(path)["clip"] == name]


def test_a_subject_is_shown_kept_and_lost_when_the_picture_no_longer_takes_part(tab, pocket_studio, tmp_path):
    tab.panel.locator(".q-field-reference").get_by_role("button", name="Remove Image").click()
    own = Image.open(SUBJECTS / "purple-cube.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    own.save(tmp_path / "own.png")
    tab.panel.locator(".q-field-reference input[type=file]").set_input_files(tmp_path / "own.png")
    seen = tab.panel.locator(".q-seen img")
    seen.wait_for()
    assert seen.get_attribute("src").startswith("data:image/webp")

    tab.make("the object stands still on grass, blue sky", seed=5)
    # two clips in lock: the video, and where and when the picture acted
    tab.page.wait_for_function("document.querySelector('.q-stage quintet-player')?.state.tick > 2")
    assert tab.page.evaluate("document.querySelector('.q-stage quintet-player').clips.length") == 2
    tab.panel.get_by_label("Reference attention").uncheck()
    tab.finish()
    assert "reference attention off" in tab.line.inner_text()
    assert playing(tab.page)

    (kept,), (attention,), (lost,) = (made(pocket_studio, name) for name in ("video", "attention", ""))
    assert kept.shape == lost.shape == (20, 64, 64, 3)
    assert attention.shape[0] == 20 and attention.shape[1] > 256
    assert np.abs(kept - lost).mean() > 1


def test_subject_words_that_are_not_in_the_prompt_are_answered_with_a_sentence(tab):
    tab.prompt.fill("the object bounces on grass")
    tab.panel.locator(".q-field-entity").get_by_role("textbox").fill("zebra")
    tab.generate.click()
    tab.wait_for("failed")
    assert "'zebra' is not in the prompt" in tab.stage.inner_text()


def test_without_a_picture_the_page_says_what_is_missing(tab):
    tab.panel.locator(".q-field-reference").get_by_role("button", name="Remove Image").click()
    tab.generate.click()
    tab.alert.get_by_text("Reference picture is missing. Add one, or switch reference attention off.").wait_for()


def test_the_tab_says_that_nobody_published_code_or_weights(tab):
    assert "published neither code nor weights" in tab.panel.locator(".q-about p").inner_text()

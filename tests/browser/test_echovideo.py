"""EchoVideo with its pocket weights: take a person, see the crop, generate, switch the idea off, compare."""

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
WEIGHTS = ROOT / "models/pocket/weights/echovideo/transformer"
PEOPLE = ROOT / "presets/echovideo/examples"
MINUTES_MS = 300_000  # other work may share the cores


@pytest.fixture(scope="module")
def pocket_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    if not any(WEIGHTS.glob("*.safetensors")):
        pytest.skip("the pocket weights of EchoVideo are not in this checkout")
    with running_studio(tmp_path_factory.mktemp("echovideo"), ROOT / "presets") as studio:
        yield studio


@pytest.fixture
def tab(chromium, pocket_studio) -> Iterator[Tab]:
    with chromium.new_context(viewport=DESKTOP) as context:
        context.set_default_timeout(MINUTES_MS)
        page = context.new_page()
        page.goto(pocket_studio.address)
        ready(page)
        tab = Tab(page, "EchoVideo")
        tab.panel.locator(".q-field-num_inference_steps input[type=number]").fill("4")
        yield tab


def frames(path) -> np.ndarray:
    with av.open(str(path)) as video:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]).astype(int)


def test_a_person_is_taken_seen_and_kept_and_the_idea_switched_off_shows_in_the_pair(tab, pocket_studio):
    tab.panel.get_by_role("button", name="Ivan", exact=True).click()
    seen = tab.panel.locator(".q-seen img")
    seen.wait_for()
    crop = seen.get_attribute("src")
    assert crop.startswith("data:image/webp")
    assert not tab.panel.get_by_label("I have the right to use this face.").is_visible()

    tab.make("a person with a green shirt smiles in front of a blue wall", seed=11)
    assert playing(tab.page)
    tab.panel.get_by_label("Identity fusion").uncheck()
    tab.finish()
    assert playing(tab.page)
    assert "identity fusion off" in tab.line.inner_text()

    pair = sorted(pocket_studio.outputs.glob("*.mp4"))
    on, off = (read_settings(path)["request"] for path in pair)
    assert on["identity_fusion"] is True and off["identity_fusion"] is False
    assert {k: v for k, v in on.items() if k != "identity_fusion"} == {
        k: v for k, v in off.items() if k != "identity_fusion"
    }
    assert on["seed"] == 11 and on["face"] == "presets/echovideo/examples/ivan.png"
    first, second = map(frames, pair)
    assert first.shape == second.shape == (20, 64, 64, 3)
    assert np.abs(first - second).mean() > 1


def test_of_a_person_s_own_picture_every_face_is_shown_and_one_is_chosen(tab, tmp_path):
    Image.open(PEOPLE / "three-friends.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "own.png")
    tab.panel.locator(".q-field-face").get_by_role("button", name="Remove Image").click()
    tab.panel.locator(".q-field-face input[type=file]").set_input_files(tmp_path / "own.png")
    tab.panel.get_by_role("button", name="Face 3").wait_for()
    assert tab.panel.locator(".q-seen img").count() == 3
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

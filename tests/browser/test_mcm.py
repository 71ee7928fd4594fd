"""MCM with its pocket weights: one press makes its steps and its teacher's side by side."""

from __future__ import annotations

import pytest

from tests.browser.steps import Tab
from tests.browser.studio import made

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def tab(pocket_tab) -> Tab:
    return pocket_tab("MCM")


def test_one_press_makes_the_steps_and_the_teacher_s_side_by_side(tab, pocket_studio):
    tab.open_advanced()
    tab.panel.locator(".q-field-num_frames input[type=number]").fill("4")  # a quarter of the time
    tab.prompt.fill("a red ball slides on grass, blue sky, camera still")
    tab.seed.fill("5")
    tab.panel.get_by_role("button", name="Compare with the teacher").click()

    page = tab.page
    page.locator(".q-grid").wait_for()
    heads = ["Teacher, 50 steps", "Teacher, 25 steps", "MCM, 8 steps", "MCM, 4 steps", "MCM, 2 steps", "MCM, 1 step"]
    assert page.locator(".q-grid th").all_inner_texts() == heads
    page.locator(".q-said", has_text="6 of 6 videos ready, all done").wait_for(state="attached")
    page.wait_for_function("document.querySelector('.q-outcome quintet-player')?.clips.length === 6")
    assert all(words.endswith(" s") for words in page.locator(".q-cell > p").all_inner_texts())

    asked = [settings["request"] for settings, _ in made(pocket_studio, "mcm")][-6:]
    assert {(request["prompt"], request["seed"], request["num_frames"]) for request in asked} == {
        ("a red ball slides on grass, blue sky, camera still", 5, 4)
    }
    steps = [request["teacher_steps"] if request["teacher"] else request["num_inference_steps"] for request in asked]
    assert steps == [50, 25, 8, 4, 2, 1]

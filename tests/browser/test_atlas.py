"""docs/index.html from the disk, without a server or a network: choose a recording, step its frames."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE_MS, PHONE
from tests.browser.steps import open_tab, overflowing, ready
from tests.browser.studio import ROOT

pytestmark = pytest.mark.browser
SETTLED = """(prompt) => {
  const player = document.querySelector("quintet-player");
  const whole = player?.frames.length && player.frames.every((frames) => frames.whole);
  return whole && player.dataset.clips.includes(prompt);
}"""


@pytest.fixture
def page(chromium):
    with chromium.new_context(offline=True, viewport=PHONE, reduced_motion="reduce") as context:
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.goto((ROOT / "docs" / "index.html").as_uri())
        page.wait_for_function(SETTLED, arg="")
        yield page


def chosen(page, name: str) -> str:
    return page.locator(f"input[name={name}]:checked").input_value()


def test_a_recording_is_chosen_by_keyboard_and_its_frames_are_stepped_in_lock(page):
    assert page.get_by_text("Recorded", exact=True).is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]  # tables scroll in their own frame
    first = chosen(page, "method")
    page.locator("input[name=method]:checked").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "before => document.querySelector('input[name=method]:checked').value !== before", arg=first
    )
    page.locator("input[name=seed]").nth(1).check(force=True)
    page.wait_for_function(SETTLED, arg=f"seed{chosen(page, 'seed')}")
    assert page.evaluate("document.querySelector('quintet-player').frames.map(frames => frames.error)") == ["", ""]
    page.locator("quintet-player .player").focus()
    page.keyboard.press(".")
    page.locator("quintet-player .time").get_by_text("Frame 2 of").wait_for()
    assert page.locator("tbody tr").count() > 3
    assert page.url.endswith(f"#{chosen(page, 'method').partition('/')[0]}-1-seed{chosen(page, 'seed')}")


def test_the_address_names_what_is_shown(page):
    page.goto(page.url.partition("#")[0] + "#repvideo-2-seed9")
    page.wait_for_function(SETTLED, arg="repvideo-2-seed9")
    assert (chosen(page, "method"), chosen(page, "seed")) == ("repvideo/pocket", "9")
    expect(page.locator("h2")).to_have_text("RepVideo")
    assert chosen(page, "prompt") in page.locator(".given").inner_text()


def test_the_compare_tab_opens_on_a_recording_that_can_be_asked_again(chromium, pocket_studio):
    with chromium.new_context(viewport=PHONE, reduced_motion="reduce") as context:
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.goto(pocket_studio.address)
        ready(page)
        open_tab(page, "Compare")
        page.wait_for_function("document.querySelector('.q-outcome quintet-player')?.ready")
        page.locator(".q-recorded").get_by_text("Recorded").wait_for()
        assert [name for name in overflowing(page) if not name.startswith("T")] == []
        prompt = page.locator(".q-outcome .q-prompt").inner_text()
        page.get_by_role("button", name="Use these settings").click()
        page.wait_for_function(
            "prompt => [...document.querySelectorAll('.q-brief textarea')].some((box) => box.value === prompt)",
            arg=prompt,
        )
        expect(page.locator(".q-matrix input:checked")).to_have_count(2)

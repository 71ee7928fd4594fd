"""Phone and desktop, light and dark, without help from other hosts."""

from __future__ import annotations

import pytest

from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.steps import Tab, open_tab, overflowing

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_nothing_overflows_to_the_side(visit, viewport):
    page = visit(viewport=viewport)
    tab = Tab(page, "Sketch")
    assert overflowing(page) == []
    tab.panel.get_by_role("button", name="Advanced").click()
    tab.make("a prompt_with_one_very_long_word_" + 20 * "and_so_on_")
    assert overflowing(page) == []
    open_tab(page, "History")
    page.locator(".q-entry").wait_for()
    assert overflowing(page) == []


def test_on_a_phone_the_result_follows_generate_and_settings_come_after(visit):
    page = visit(viewport=PHONE)
    tab = Tab(page, "Sketch")
    places = [part.bounding_box()["y"] for part in (tab.prompt, tab.generate, tab.stage, tab.seed)]
    assert places == sorted(places)
    screen = tab.stage.locator(".q-screen").bounding_box()
    assert screen["y"] + screen["height"] / 2 < PHONE["height"]


def test_on_a_desktop_the_result_is_beside_the_prompt_and_in_view(page):
    tab = Tab(page, "Sketch")
    prompt, screen = tab.prompt.bounding_box(), tab.stage.locator(".q-screen").bounding_box()
    assert screen["x"] > prompt["x"] + prompt["width"]
    assert screen["y"] + screen["height"] < DESKTOP["height"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(visit, scheme):
    page = visit(color_scheme=scheme)
    ratios = page.evaluate(CONTRAST)
    assert {name: ratio for name, ratio in ratios.items() if ratio < 4.5} == {}
    assert len(ratios) > 10


def test_only_the_studio_itself_is_asked(chromium, studio):
    with chromium.new_context() as context:
        page = context.new_page()
        hosts = set()
        page.on("request", lambda request: hosts.add(request.url.split("/")[2]) if "://" in request.url else None)
        page.goto(studio.address)
        page.get_by_role("button", name="Generate").first.wait_for()
        assert hosts == {studio.address.split("/")[2]}


def test_less_motion_is_respected(visit):
    page = visit(reduced_motion="reduce")
    clip = page.locator(".q-stage video").first
    page.wait_for_function("clip => clip.readyState >= 2", arg=clip.element_handle())
    assert clip.evaluate("clip => clip.paused")


def test_the_keyboard_reaches_generate_and_shows_where_it_is(page):
    tab = Tab(page, "Sketch")
    tab.prompt.focus()
    page.keyboard.press("Tab")
    assert tab.generate.evaluate("button => button === document.activeElement")
    assert tab.generate.evaluate("button => getComputedStyle(button).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    tab.line.get_by_text(" s").wait_for()


def test_a_screen_reader_is_told_of_the_result(page):
    tab = Tab(page, "Sketch")
    said = tab.stage.get_by_role("status")
    assert said.get_attribute("aria-live") == "polite"
    tab.make("spoken of")
    assert said.inner_text().startswith("Video ready")


# Contrast of every visible piece of text with the nearest painted background, by WCAG 2; disabled controls are exempt.
CONTRAST = """() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const linear = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map(v => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const painted = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const ratios = {};
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || !e.checkVisibility({ visibilityProperty: true })) continue;
    if (e.closest(':disabled, .q-badge, .q-said')) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(painted(e))].sort((x, y) => y - x);
    ratios[e.tagName + ' ' + e.textContent.trim().slice(0, 30)] = (a + 0.05) / (b + 0.05);
  }
  return ratios;
}"""

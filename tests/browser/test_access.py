"""For everyone: names for screen readers, the whole way by keyboard, contrast, less motion, words while one waits."""

from __future__ import annotations

import pytest

from tests.browser.steps import Tab

pytestmark = pytest.mark.browser
CONTROLS = {"button", "link", "textbox", "checkbox", "radio", "slider", "spinbutton", "combobox", "tab", "switch"}
MORE_STOPS_THAN_ANY_TAB_HAS = 150


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(visit, scheme):
    page = visit(color_scheme=scheme)
    ratios = page.evaluate(CONTRAST)
    assert {name: ratio for name, ratio in ratios.items() if ratio < 4.5} == {}
    assert len(ratios) > 10


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


def test_a_screen_reader_is_told_of_progress_and_result_in_a_region_that_stays(page, studio):
    tab = Tab(page, "Held")
    region = tab.stage.get_by_role("status").element_handle()
    assert region.get_attribute("aria-live") == "polite"
    heard = "([region, words]) => region.isConnected && region.textContent.startsWith(words)"
    tab.hold()
    page.wait_for_function(heard, arg=[region, "50 percent done"])
    studio.release.touch()
    page.wait_for_function(heard, arg=[region, "Video ready"])


@pytest.mark.slow
def test_the_tab_with_most_controls_is_named_and_walked_by_keyboard_and_readable_in_the_dark(pocket_tab):
    tab = pocket_tab("CVD", steps=None)
    page = tab.page
    page.emulate_media(color_scheme="dark")
    tab.stage.locator("quintet-player .time").get_by_text("Frame").wait_for()
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    controls = [node for node in nodes if not node["ignored"] and node["role"]["value"] in CONTROLS]
    assert len(controls) > 30
    assert [node["role"]["value"] for node in controls if not node["name"]["value"].strip()] == []

    page.get_by_role("heading", name="Quintet").click()  # the walk begins where the page does
    stops = []
    for _ in range(MORE_STOPS_THAN_ANY_TAB_HAS):
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUS)
        if stop is None:  # past the last control: no trap on the way
            break
        stops.append(stop)
    else:
        raise AssertionError(f"the walk does not end: {stops[-5:]}")
    assert [what for what, shown in stops if not shown] == []
    assert {"Generate", "Frame", "Full screen", "Add RealEstate10K files"} <= {what for what, _ in stops}

    assert {what: ratio for what, ratio in page.evaluate(CONTRAST).items() if ratio < 4.5} == {}


# What has the focus, in or out of a shadow tree, and whether its ring (or that of the label it stands for) is drawn.
FOCUS = """() => {
  let e = document.activeElement;
  while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
  if (!e || e === document.body) return null;
  const ring = e => {
    const style = getComputedStyle(e);
    return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== 'none';
  };
  const framed = [e, e.nextElementSibling, e.closest('.wrap'), e.parentElement].filter(Boolean);
  const name = e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent || e.tagName;
  return [name.trim(), framed.some(ring)];
}"""

# Contrast of every visible piece of text with the nearest painted background, by WCAG 2; disabled controls are exempt.
CONTRAST = """() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const linear = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map(v => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const painted = element => {
    for (let e = element; e; e = e.parentElement ?? e.getRootNode().host) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const ratios = {};
  const within = root =>
    [...root.querySelectorAll('*')].flatMap(e => [e, ...(e.shadowRoot ? within(e.shadowRoot) : [])]);
  for (const e of within(document.body)) {
    const own = [...e.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || !e.checkVisibility({ visibilityProperty: true })) continue;
    if (e.closest('style, :disabled, .q-badge, .q-said, .unseen, .reading')) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(painted(e))].sort((x, y) => y - x);
    ratios[e.tagName + ' ' + e.textContent.trim().slice(0, 30)] = (a + 0.05) / (b + 0.05);
  }
  return ratios;
}"""

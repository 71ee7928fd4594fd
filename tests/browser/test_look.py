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
    tab.open_advanced()
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


def test_only_the_studio_itself_is_asked(chromium, studio):
    with chromium.new_context() as context:
        page = context.new_page()
        hosts = set()
        page.on("request", lambda request: hosts.add(request.url.split("/")[2]) if "://" in request.url else None)
        page.goto(studio.address)
        page.get_by_role("button", name="Generate").first.wait_for()
        assert hosts == {studio.address.split("/")[2]}

"""A reload finds the running job; another visitor does not."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import FLAGS, PATIENCE_MS
from tests.browser.steps import Tab, open_tab, playing, ready

pytestmark = pytest.mark.browser


def test_a_reload_in_mid_job_finds_it_again(page, studio):
    tab = Tab(page, "Held")
    tab.prompt.fill("still there after a reload")
    tab.hold()
    page.reload()
    ready(page)
    tab = Tab(page, "Held")
    tab.line.get_by_text("Step 3 of 5").wait_for()
    assert tab.stage.get_by_role("img", name=re.compile("Preview")).is_visible()
    expect(tab.prompt).to_have_value("still there after a reload")
    expect(tab.generate).to_be_disabled()
    expect(tab.stop).to_be_enabled()
    studio.release.touch()
    tab.wait_for("done")
    assert playing(page)


def test_a_reloaded_page_can_stop_its_job(page):
    Tab(page, "Held").hold()
    page.reload()
    ready(page)
    tab = Tab(page, "Held")
    tab.line.get_by_text("Step 3 of 5").wait_for()
    tab.stop.click()
    tab.wait_for("stopped")


def test_a_second_window_of_the_same_browser_follows_the_same_job(page, studio):
    Tab(page, "Held").hold()
    other = page.context.new_page()
    other.goto(studio.address)
    ready(other)
    Tab(other, "Held").line.get_by_text("Step 3 of 5").wait_for()
    studio.release.touch()
    Tab(other, "Held").wait_for("done")
    Tab(page, "Held").wait_for("done")


def test_two_browsers_do_not_see_each_others_jobs(visit, studio):
    mine, theirs = visit(), visit()
    Tab(mine, "Held").prompt.fill("a private square")
    Tab(mine, "Held").hold()
    theirs.reload()
    ready(theirs)
    tab = Tab(theirs, "Held")
    expect(tab.generate).to_be_enabled()
    expect(tab.stop).to_be_disabled()
    tab.generate.click()
    tab.stage.get_by_text(re.compile("Waiting")).first.wait_for()  # one worker: the other's job comes first
    studio.release.touch()
    Tab(mine, "Held").wait_for("done")
    tab.wait_for("done")
    open_tab(theirs, "History")
    theirs.locator(".q-entry").first.wait_for()
    expect(theirs.locator(".q-entry")).to_have_count(1)
    assert "a private square" not in theirs.content()


def test_history_outlives_the_browser(driver, chromium_path, studio, tmp_path):
    def opened():
        return driver.chromium.launch_persistent_context(
            str(tmp_path), executable_path=chromium_path, headless=True, args=FLAGS
        )

    for visit in ("first", "second"):
        with opened() as context:
            context.set_default_timeout(PATIENCE_MS)
            page = context.new_page()
            page.goto(studio.address)
            ready(page)
            if visit == "first":
                Tab(page, "Sketch").make("kept in this profile")
            else:
                open_tab(page, "History")
                page.locator(".q-entry").get_by_text("kept in this profile").wait_for()

"""Ask, watch, stop, play."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.steps import Tab, open_tab, playing

pytestmark = pytest.mark.browser


def test_a_newcomer_sees_a_recorded_video_play_and_a_prompt_ready_to_use(page):
    tab = Tab(page, "Sketch")
    assert playing(page)
    expect(tab.stage.get_by_text("Recorded")).to_be_visible()
    expect(tab.prompt).to_have_value("a recorded square")
    expect(tab.seed).to_have_value("7")


def test_generate_without_typing_ends_in_a_playing_video(page):
    tab = Tab(page, "Sketch")
    tab.finish()
    assert playing(page)
    expect(tab.stage.get_by_text("Recorded")).to_have_count(0)
    assert tab.stage.get_by_role("link", name="Download").is_visible()


def test_steps_arrive_with_a_preview(page):
    tab = Tab(page, "Held")
    tab.hold()
    preview = tab.stage.get_by_role("img", name=re.compile("Preview"))
    assert preview.get_attribute("src").startswith("data:image/")
    assert preview.evaluate("picture => picture.decode().then(() => picture.naturalWidth)") > 0
    expect(tab.stage.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "60")


def test_exactly_one_of_generate_and_stop_is_enabled(page):
    tab = Tab(page, "Held")
    expect(tab.generate).to_be_enabled()
    expect(tab.stop).to_be_disabled()
    tab.hold()
    expect(tab.generate).to_be_disabled()
    expect(tab.stop).to_be_enabled()
    tab.stop.click()
    tab.wait_for("stopped")
    expect(tab.generate).to_be_enabled()
    expect(tab.stop).to_be_disabled()


def test_after_stop_the_next_job_runs(page, studio):
    held = Tab(page, "Held")
    held.hold()
    held.stop.click()
    held.wait_for("stopped")
    expect(held.line).to_contain_text("Stopped")
    studio.release.touch()
    held.finish()
    assert playing(page)


def test_the_seed_that_was_drawn_is_shown_and_can_be_used_again(page):
    tab = Tab(page, "Sketch")
    tab.make("first")
    used = tab.seed.input_value()
    expect(tab.line).to_contain_text(f"Seed {used}")
    tab.seed.fill("5")
    tab.panel.get_by_role("button", name="Reuse last seed").click()
    page.wait_for_function("([box, used]) => box.value === used", arg=[tab.seed.element_handle(), used])
    expect(tab.new_seed).not_to_be_checked()
    tab.make("second")
    expect(tab.seed).to_have_value(used)


def test_zero_is_a_seed(page):
    tab = Tab(page, "Sketch")
    tab.make("zero", seed=0)
    expect(tab.line).to_contain_text("Seed 0 ·")


def test_an_example_plays_its_recording_and_fills_the_form(page):
    tab = Tab(page, "Sketch")
    tab.make("something else", seed=3)
    tab.panel.get_by_role("button", name="A recorded square").click()
    tab.stage.get_by_text("Recorded").wait_for()
    expect(tab.prompt).to_have_value("a recorded square")
    expect(tab.seed).to_have_value("7")
    assert playing(page)


def test_an_empty_prompt_is_answered_with_a_sentence(page):
    tab = Tab(page, "Sketch")
    tab.prompt.fill("   ")
    tab.generate.click()
    tab.alert.get_by_text("is empty").wait_for()
    expect(tab.generate).to_be_enabled()
    tab.make("not empty any more")
    expect(tab.alert).to_have_text("")


def test_a_cleared_seed_is_answered_with_a_sentence(page):
    tab = Tab(page, "Sketch")
    tab.new_seed.uncheck()
    tab.seed.fill("")
    tab.generate.click()
    tab.alert.get_by_text("Seed is empty").wait_for()


def test_ten_thousand_characters_are_answered_with_a_sentence(page):
    tab = Tab(page, "Sketch")
    tab.prompt.fill("x" * 10_000)
    tab.generate.click()
    tab.alert.get_by_text("10,000 characters").wait_for()


def test_a_prompt_is_never_taken_for_markup(page):
    prompt = "<b id=evil>bold</b> ${document.title='evil'} {{value}} `tick`"
    tab = Tab(page, "Sketch")
    tab.make(prompt)
    expect(tab.stage.locator("video")).to_have_attribute("aria-label", f"Video: {prompt}")
    open_tab(page, "History")
    page.locator(".q-entry .q-prompt").get_by_text(prompt).wait_for()
    expect(page.locator("#evil")).to_have_count(0)
    assert page.title() == "Quintet"


def test_the_switch_of_the_idea_is_in_view_and_told_in_the_result(page):
    tab = Tab(page, "Sketch")
    tab.panel.get_by_role("checkbox", name="trail").uncheck()
    tab.make("without a trail")
    expect(tab.line).to_contain_text("trail off")


def test_a_failure_says_what_happened_and_leaves_generate_ready(page):
    tab = Tab(page, "Sketch")
    tab.open_advanced()
    tab.panel.get_by_label("error", exact=True).check()
    tab.generate.click()
    tab.wait_for("failed")
    expect(tab.stage).to_contain_text("No video")
    assert "Traceback" not in page.content()
    expect(tab.generate).to_be_enabled()

"""Past results and the way back from them."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.steps import Tab, open_tab, playing

pytestmark = pytest.mark.browser


def history(page):
    open_tab(page, "History")
    return page.locator(".q-entry")


def test_use_these_settings_restores_every_field_and_shows_the_video(page):
    tab = Tab(page, "Sketch")
    tab.make("the first one", seed=11)
    tab.make("the second one", seed=12)
    first = history(page).filter(has_text="the first one")
    expect(first).to_contain_text("Seed 11")
    first.get_by_role("button", name="Use these settings").click()
    page.locator(".q-badge", has_text="From history").wait_for()
    expect(tab.prompt).to_have_value("the first one")
    expect(tab.seed).to_have_value("11")
    expect(tab.new_seed).not_to_be_checked()
    assert playing(page)


def test_use_this_seed_changes_the_seed_alone(page):
    tab = Tab(page, "Sketch")
    tab.make("an old prompt", seed=21)
    tab.prompt.fill("a new prompt")
    tab.seed.fill("1")
    history(page).first.get_by_role("button", name="Use this seed").click()
    tab.generate.wait_for()
    page.wait_for_function("box => box.value === '21'", arg=tab.seed.element_handle())
    expect(tab.prompt).to_have_value("a new prompt")


def test_newest_first_with_seconds_and_a_picture(page):
    tab = Tab(page, "Sketch")
    tab.make("older")
    tab.make("newer")
    entries = history(page)
    entries.filter(has_text="newer").wait_for()
    expect(entries.first.locator(".q-prompt")).to_have_text("newer")
    expect(entries.first).to_contain_text(" s ·")
    clip = entries.first.locator("video")
    page.wait_for_function("clip => clip.readyState >= 1 && clip.videoWidth === 64", arg=clip.element_handle())


def test_a_failed_job_is_listed_with_its_message(page):
    tab = Tab(page, "Sketch")
    tab.open_advanced()
    tab.panel.get_by_label("error", exact=True).check()
    tab.prompt.fill("this one fails")
    tab.generate.click()
    tab.wait_for("failed")
    entry = history(page).filter(has_text="this one fails")
    entry.wait_for()
    assert len(entry.locator(".q-told").inner_text()) > 10
    assert entry.get_by_role("button", name="Use these settings").is_visible()


def test_an_empty_history_says_so(page):
    open_tab(page, "History")
    page.get_by_text("Nothing here yet").filter(visible=True).wait_for()


def test_results_are_found_by_method_and_words(page):
    tab = Tab(page, "Sketch")
    tab.make("an otter swims")
    tab.make("a heron stands")
    entries = history(page)
    entries.filter(has_text="otter").wait_for()
    words = page.get_by_label("Words of the prompt")
    words.fill("HERON stands")
    page.wait_for_function("document.querySelectorAll('.q-entry').length === 1")
    expect(entries).to_contain_text("heron")
    words.fill("no such words")
    page.get_by_text("Nothing matches").wait_for()
    words.fill("")
    page.wait_for_function("document.querySelectorAll('.q-entry').length === 2")
    page.get_by_role("combobox", name="Method").click()
    page.get_by_role("option", name="Held", exact=True).click()
    page.get_by_text("Nothing matches").wait_for()


def test_a_result_is_deleted_with_its_files_after_a_second_click(page, studio):
    tab = Tab(page, "Sketch")
    tab.make("to be deleted")
    kept = set(studio.outputs.iterdir())
    tab.make("to be kept")
    entry = history(page).filter(has_text="to be deleted")
    entry.get_by_role("button", name="Delete", exact=True).click()
    entry.get_by_role("button", name="Delete for good").click()
    entry.wait_for(state="detached")
    expect(page.locator(".q-entry")).to_have_count(1)
    gone = {path.suffix for path in kept - set(studio.outputs.iterdir())}
    assert gone == {".mp4", ".webp"}


def test_past_results_are_sent_to_compare(page):
    tab = Tab(page, "Sketch")
    tab.make("sent first", seed=5)
    tab.make("sent second", seed=6)
    for words, clips in (("sent first", 1), ("sent second", 2)):
        history(page).filter(has_text=words).get_by_role("button", name="Send to compare").click()
        page.wait_for_function(
            "count => document.querySelector('.q-outcome quintet-player')?.clips.length === count", arg=clips
        )
    expect(page.locator(".q-outcome quintet-player figure b")).to_have_text(["Sketch · seed 5", "Sketch · seed 6"])


def test_a_result_whose_file_is_gone_says_so_and_leaves_the_rest(page, studio):
    tab = Tab(page, "Sketch")
    before = set(studio.outputs.glob("*.mp4"))
    tab.make("its file goes")
    for path in set(studio.outputs.glob("*.mp4")) - before:
        path.unlink()
    tab.make("its file stays")
    entry = history(page).filter(has_text="its file goes")
    entry.get_by_text("moved or deleted").wait_for()
    expect(entry.get_by_role("button", name="Send to compare")).to_have_count(0)
    expect(history(page).filter(has_text="its file stays").locator("video")).to_have_count(1)

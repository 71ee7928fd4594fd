"""Past results and the way back from them."""

from __future__ import annotations

import pytest

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
    assert "Seed 11" in first.inner_text()
    first.get_by_role("button", name="Use these settings").click()
    page.locator(".q-badge", has_text="From history").wait_for()
    assert tab.prompt.input_value() == "the first one"
    assert tab.seed.input_value() == "11"
    assert not tab.new_seed.is_checked()
    assert playing(page)


def test_use_this_seed_changes_the_seed_alone(page):
    tab = Tab(page, "Sketch")
    tab.make("an old prompt", seed=21)
    tab.prompt.fill("a new prompt")
    tab.seed.fill("1")
    history(page).first.get_by_role("button", name="Use this seed").click()
    tab.generate.wait_for()
    page.wait_for_function("box => box.value === '21'", arg=tab.seed.element_handle())
    assert tab.prompt.input_value() == "a new prompt"


def test_newest_first_with_seconds_and_a_picture(page):
    tab = Tab(page, "Sketch")
    tab.make("older")
    tab.make("newer")
    entries = history(page)
    entries.filter(has_text="newer").wait_for()
    assert entries.first.locator(".q-prompt").inner_text() == "newer"
    assert " s ·" in entries.first.inner_text()
    clip = entries.first.locator("video")
    page.wait_for_function("clip => clip.readyState >= 1 && clip.videoWidth === 64", arg=clip.element_handle())


def test_a_failed_job_is_listed_with_its_message(page):
    tab = Tab(page, "Sketch")
    tab.panel.get_by_role("button", name="Advanced").click()
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
    assert "heron" in entries.inner_text()
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
    assert page.locator(".q-entry").count() == 1
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
    labels = page.locator(".q-outcome quintet-player figure b").all_inner_texts()
    assert labels == ["Sketch · seed 5", "Sketch · seed 6"]


def test_a_result_whose_file_is_gone_says_so_and_leaves_the_rest(page, studio):
    tab = Tab(page, "Sketch")
    before = set(studio.outputs.glob("*.mp4"))
    tab.make("its file goes")
    for path in set(studio.outputs.glob("*.mp4")) - before:
        path.unlink()
    tab.make("its file stays")
    entry = history(page).filter(has_text="its file goes")
    entry.get_by_text("moved or deleted").wait_for()
    assert entry.get_by_role("button", name="Send to compare").count() == 0
    assert history(page).filter(has_text="its file stays").locator("video").count() == 1

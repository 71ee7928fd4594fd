"""Comparing: three clicks to two videos in lock, pairs, grids, failures retried alone, blind rounds, restarts."""

from __future__ import annotations

import re
import zipfile

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE
from tests.browser.steps import Tab, open_tab, overflowing, ready
from tests.browser.studio import ROOT

pytestmark = pytest.mark.browser
PATIENCE_MS = 60_000  # several videos, one after another
PLAYER = ".q-outcome quintet-player"


class Compare:
    """The compare tab of a page."""

    def __init__(self, page) -> None:
        self.page = page
        page.set_default_timeout(PATIENCE_MS)
        open_tab(page, "Compare")
        self.panel = page.get_by_role("tabpanel").filter(visible=True)
        self.run = self.panel.get_by_role("button", name="Compare", exact=True)
        self.stop = self.panel.get_by_role("button", name="Stop all")
        self.cells = self.panel.locator(".q-cell")
        self.player = self.panel.locator("quintet-player")
        self.plan = self.panel.locator(".q-plan")
        self.alert = self.panel.locator(".q-alert")
        self.plan.get_by_text("video").wait_for()

    def tick(self, *names: str) -> None:
        """Exactly these methods and ideas."""
        boxes = self.panel.locator(".q-matrix label")
        for index in range(boxes.count()):
            box = boxes.nth(index).get_by_role("checkbox")
            box.set_checked(box.get_attribute("value") in names)

    def finished(self, count: int) -> None:
        """Wait until so many cells are ready, and the player holds them all."""
        self.panel.locator(f".q-cell[data-state=finished] >> nth={count - 1}").wait_for()
        self.page.wait_for_function(
            "([player, clips]) => document.querySelector(player)?.clips.length === clips && "
            "document.querySelector(player).ready",
            arg=[PLAYER, min(count, 6)],
        )

    def shows(self, *labels: str) -> None:
        """Wait until the player holds exactly these clips."""
        expect(self.player.locator("figure b")).to_have_text(labels)

    def labels(self) -> list[str]:
        return self.player.locator("figure b").all_inner_texts()


def test_two_videos_are_compared_in_three_clicks_from_the_first_sight(visit):
    page = visit()
    clicks = []
    page.expose_function("clicked", lambda: clicks.append(1))
    page.evaluate("addEventListener('click', event => event.isTrusted && clicked(), true)")
    compare = Compare(page)
    compare.run.click()
    compare.finished(2)
    compare.shows("Sketch", "Sketch, trail off")
    page.wait_for_function(f"document.querySelector('{PLAYER}').state.tick > 1")
    assert len(clicks) <= 3


def test_the_plan_tells_the_cost_once_there_is_experience(page):
    compare = Compare(page)
    compare.run.click()
    compare.finished(2)
    compare.plan.get_by_text(re.compile(r"2 videos · about [\d.]+ s · [\d.]+ GB")).wait_for()


def test_one_click_compares_an_idea_on_and_off(page):
    compare = Compare(page)
    compare.tick("sketch/held")
    compare.panel.get_by_role("button", name="On and off").first.click()
    compare.finished(2)
    compare.shows("Sketch", "Sketch, trail off")


def test_a_grid_over_a_field_and_seeds_has_its_headings_and_its_reasons(page):
    compare = Compare(page)
    compare.tick("sketch/pocket")
    compare.panel.get_by_role("button", name="Seeds and grids").click()
    compare.panel.get_by_role("textbox", name="Seeds").fill("1, 2")
    compare.panel.get_by_role("textbox", name="Prompt").first.focus()
    compare.plan.get_by_text("2 videos").wait_for()
    choose(compare, "Rows", "Num frames")
    compare.panel.get_by_role("textbox", name="Values of the rows").fill("8, 9, 12")
    compare.panel.get_by_role("textbox", name="Prompt").first.focus()
    compare.plan.get_by_text("4 videos").wait_for()
    expect(compare.plan).to_contain_text("2 cannot be made")
    compare.run.click()
    compare.finished(4)
    expect(compare.panel.locator(".q-grid thead th")).to_have_text(["seed 1", "seed 2"])
    assert compare.panel.locator(".q-grid tbody th").all_inner_texts() == [
        f"num frames {count}" for count in (8, 9, 12)
    ]
    impossible = compare.panel.locator(".q-cell[data-state=impossible]")
    expect(impossible).to_have_count(2)
    expect(impossible.first).to_contain_text("multiple of 4")
    frames = page.evaluate(f"document.querySelector('{PLAYER}').clips.map(clip => clip.frames)")
    assert frames == [8, 8, 12, 12]


def test_a_failed_cell_says_why_and_is_tried_again_alone(page):
    compare = Compare(page)
    compare.tick("sketch/pocket")
    compare.panel.get_by_role("button", name="Seeds and grids").click()
    choose(compare, "Rows", "Fault")
    compare.panel.get_by_role("textbox", name="Values of the rows").fill("none, error")
    compare.run.click()
    failed = compare.panel.locator(".q-cell[data-state=failed]")
    failed.wait_for()
    expect(failed).to_contain_text("RuntimeError")
    kept = compare.cells.first.locator("video").get_attribute("src")
    failed.get_by_role("button", name="Try again").click()
    compare.panel.locator(".q-cell[data-state=failed]").wait_for()
    assert compare.cells.first.locator("video").get_attribute("src") == kept


def test_stop_one_and_stop_all(page, studio):
    compare = Compare(page)
    compare.tick("sketch/held", "sketch/held:trail")
    compare.run.click()
    compare.panel.get_by_text("Step 3 of 5").wait_for()
    compare.cells.last.get_by_role("button", name="Stop").click()
    compare.panel.locator(".q-cell[data-state=stopped]").wait_for()
    compare.stop.click()
    compare.panel.locator(".q-cell[data-state=stopped] >> nth=1").wait_for()
    compare.panel.get_by_role("button", name="Compare", exact=True).and_(page.locator(":enabled")).wait_for()


def test_cells_appear_as_they_finish_and_a_reload_finds_them(page, studio):
    compare = Compare(page)
    compare.tick("sketch/pocket", "sketch/held")
    compare.run.click()
    compare.panel.get_by_text("Step 3 of 5").wait_for()
    compare.finished(1)
    page.reload()
    ready(page)
    compare = Compare(page)
    compare.panel.get_by_text("Step 3 of 5").wait_for()
    studio.release.touch()
    compare.finished(2)


def test_a_blind_round_hides_the_names_until_a_vote(page):
    compare = Compare(page)
    compare.run.click()
    compare.finished(2)
    compare.panel.get_by_role("button", name="Blind round").click()
    compare.panel.get_by_role("button", name="Left is better").wait_for()
    page.wait_for_function(f"document.querySelector('{PLAYER}').clips[0].label === 'Left'")
    compare.shows("Left", "Right")
    told = page.evaluate(f"document.querySelector('{PLAYER}').outerHTML").lower()
    assert "sketch" not in told
    expect(compare.cells).to_have_count(0)
    compare.panel.get_by_role("button", name="Left is better").click()
    compare.panel.get_by_text("Too few votes: 1 of at least 10").wait_for()
    page.wait_for_function(f"document.querySelector('{PLAYER}').clips[0].label !== 'Left'")
    shown = compare.labels()
    assert sorted(shown) == ["Sketch", "Sketch, trail off"]
    expect(compare.panel.locator(".q-reveal b")).to_have_text(["Left", "Right"])
    assert compare.panel.locator(".q-reveal").inner_text().startswith(f"Left was {shown[0]}.")


def test_a_cell_leaves_the_player_and_comes_back(page):
    compare = Compare(page)
    compare.run.click()
    compare.finished(2)
    compare.cells.first.get_by_role("button", name="In player").click()
    page.wait_for_function(f"document.querySelector('{PLAYER}').clips.length === 1")
    compare.shows("Sketch, trail off")
    compare.cells.first.get_by_role("button", name="In player").click()
    page.wait_for_function(f"document.querySelector('{PLAYER}').clips.length === 2")


def test_nothing_chosen_is_answered_in_words(page):
    compare = Compare(page)
    compare.tick()
    compare.plan.get_by_text("Tick at least one method").wait_for()
    compare.run.click()
    compare.alert.get_by_text("Tick at least one method").wait_for()


def test_another_visitor_sees_nothing_of_it(visit):
    mine, theirs = visit(), visit()
    compare = Compare(mine)
    compare.run.click()
    compare.finished(2)
    theirs.reload()
    ready(theirs)
    expect(Compare(theirs).cells).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_the_comparison_fits(visit, scheme):
    page = visit(viewport=PHONE, color_scheme=scheme)
    compare = Compare(page)
    compare.run.click()
    compare.finished(2)
    wide = [name for name in overflowing(page) if not name.startswith(("TH", "TD", "TABLE", "TR", "TBODY", "THEAD"))]
    assert wide == []
    first, second = (compare.player.locator("figure").nth(index).bounding_box() for index in (0, 1))
    assert second["y"] > first["y"]


def test_a_saved_bundle_opens_offline_and_in_another_browser(visit, tmp_path, chromium):
    page = visit()
    compare = Compare(page)
    compare.run.click()
    compare.finished(2)
    compare.panel.get_by_role("button", name="Person, subject, cameras").click()
    subject(compare).locator("input[type=file]").set_input_files(ROOT / "docs" / "pocket.png")
    subject(compare).locator("img").wait_for()
    compare.panel.get_by_role("button", name="Save or open").click()
    compare.panel.get_by_label("With the pictures of person and subject").check()
    compare.panel.get_by_role("button", name="Save as a bundle").click()
    with page.expect_download() as download:
        compare.panel.get_by_role("link", name="quintet-comparison.zip").click()
    saved = tmp_path / "saved.zip"
    download.value.save_as(saved)
    with zipfile.ZipFile(saved) as archive:
        archive.extract("index.html", tmp_path)
    with chromium.new_context(offline=True) as context:
        alone = context.new_page()
        alone.goto((tmp_path / "index.html").as_uri())
        alone.wait_for_function("document.querySelector('quintet-player')?.ready")
        expect(alone.locator("figure b")).to_have_text(["Sketch", "Sketch, trail off"])
    other = visit()
    opened = Compare(other)
    opened.panel.get_by_role("button", name="Save or open").click()
    opened.panel.locator("input[type=file][accept='.zip']").set_input_files(saved)
    opened.finished(2)
    opened.shows("Sketch", "Sketch, trail off")
    opened.panel.get_by_role("button", name="Person, subject, cameras").click()
    subject(opened).locator("img").wait_for()


def subject(compare: Compare):
    """The place of the picture of a thing."""
    return compare.panel.locator(".block").filter(has_text="Subject: One thing").last


def choose(compare: Compare, label: str, option: str) -> None:
    compare.panel.get_by_role("combobox", name=label).click()
    compare.page.get_by_role("option", name=option, exact=True).click()


def test_the_tab_of_a_method_still_opens(page):
    Compare(page)
    expect(Tab(page, "Sketch").generate).to_be_enabled()

"""CVD with its pocket weights: paths drawn before, a file for a view, views in lock, epipolar lines of a point."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import expect

import models.common.cameras  # noqa: F401 -- before Playwright: CPython 3.11 cannot always compile inside its greenlets
from studio.cameras import clip_cameras
from studio.ui.player.epipolar import between
from tests.browser.steps import Tab

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PLAYER = "document.querySelector('.q-stage quintet-player')"
MARK = (0.4, 0.6)
COLOUR = np.array([0x0D, 0x94, 0x88])  # of the first view
# The colours of a clip's canvas at places from 0 to 1.
PIXELS = """([index, places]) => {
  const canvas = document.querySelector('.q-stage quintet-player').shadowRoot.querySelectorAll('figure canvas')[index];
  const context = canvas.getContext('2d');
  return places.map(([u, v]) => [...context.getImageData(u * canvas.width, v * canvas.height, 1, 1).data].slice(0, 3));
}"""


@pytest.fixture
def tab(pocket_tab) -> Tab:
    return pocket_tab("CVD", steps=2)


def drawn(tab: Tab, words: str) -> None:
    """Wait until the drawing of the paths says so."""
    tab.panel.locator(f"quintet-cameras svg[aria-label*='{words}']").wait_for()


def camera_file(folder, *, columns: int = 19):
    """A camera that walks to the right."""
    rows = [[frame, 1.2, 1.6, 0.5, 0.5, 0, 0, 1, 0, 0, -0.02 * frame, 0, 1, 0, 0, 0, 0, 1, 0] for frame in range(8)]
    path = folder / f"walk{columns}.txt"
    path.write_text("\n".join(" ".join(map(str, row[:columns])) for row in rows), encoding="utf-8")
    return path


def test_paths_are_seen_before_and_a_point_of_one_view_shows_its_lines_in_the_other(tab, pocket_studio, tmp_path):
    drawn(tab, "View 1: 0.25 right. View 2: 0.25 left")
    files = tab.panel.locator(".q-rig input[type=file]")
    files.set_input_files(camera_file(tmp_path, columns=12))
    tab.panel.get_by_text("walk12.txt, line 1 has 12 columns; a RealEstate10K line has 19").wait_for()
    files.set_input_files(camera_file(tmp_path))
    drawn(tab, "View 1, walk19: 0.14 right. View 2, Orbit left")
    tab.finish()

    page = tab.page
    page.wait_for_function(f"{PLAYER}?.ready")
    expect(tab.stage.locator("figure b")).to_have_text(["View 1", "View 2"])
    page.evaluate(f"{PLAYER}.stopClock(); {PLAYER}.seek(15)")
    first = tab.stage.locator("figure canvas").first
    box = first.bounding_box()
    first.click(position={"x": MARK[0] * box["width"], "y": MARK[1] * box["height"]})
    tab.stage.locator(".hint", has_text="The point of View 1 lies on these lines in the other views.").wait_for()

    last = [clip_cameras(path)[-1:] for path in sorted(pocket_studio.outputs.glob("cvd-*.mp4"))[-2:]]
    there, _ = between(*last)
    assert there is not None
    a, b, c = np.array(there[0]["line"]).reshape(3, 3) @ [*MARK, 1]
    on_line = [(u, -(a * u + c) / b) for u in (0.3, 0.5, 0.7)]
    page.wait_for_function(
        f"([places, colour]) => ({PIXELS})([1, places]).every(found => "
        "found.every((value, channel) => Math.abs(value - colour[channel]) < 24))",
        arg=[on_line, COLOUR.tolist()],
    )
    beside = page.evaluate(PIXELS, [1, [(u, v - 0.1) for u, v in on_line]])
    assert (np.abs(np.array(beside) - COLOUR).max(1) > 24).all()
    tab.stage.get_by_role("button", name="Clear the point").click()
    tab.stage.locator(".hint", has_text="Pause and click a point").wait_for()

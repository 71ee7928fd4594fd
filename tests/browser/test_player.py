"""The frame-locked player on a page of its own: every frame of the clips here carries its number in its pixels."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from playwright.sync_api import expect

from studio.ui import player
from tests.browser.conftest import DESKTOP, PATIENCE_MS, PHONE
from tests.browser.steps import Tab, overflowing

pytestmark = pytest.mark.browser
BITS, SIZE = 8, 64
SAMPLE_MS = 60_000
STILL = player.Options(play=False)


def numbered(path: Path, frames: int, fps: int, shade: int = 255) -> Path:
    """A clip whose frame i shows i in binary: eight upright bars, the lowest bit first; `shade` is a one."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuv420p"
        stream.codec_context.gop_size = fps
        for index in range(frames):
            bars = np.array([(index >> bit & 1) * shade for bit in range(BITS)], np.uint8).repeat(SIZE // BITS)
            picture = np.broadcast_to(bars[None, :, None], (SIZE, SIZE, 3))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
        container.mux(stream.encode())
    return path


def as_data(path: Path) -> str:
    return "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode()


@pytest.fixture
def show(chromium, tmp_path: Path) -> Iterator[Callable]:
    """show([(frames, fps), ...], viewport=...) opens a page with a player over numbered clips, all frames read."""
    contexts, errors = [], []

    def opened(lengths, *, viewport=DESKTOP, options=STILL, shades=()):
        shades = shades or (255,) * len(lengths)
        paths = [
            numbered(tmp_path / f"{index}.mp4", frames, fps, shade)
            for index, ((frames, fps), shade) in enumerate(zip(lengths, shades, strict=True))
        ]
        labels = [f"Clip {letter}" for letter in "ABCDEF"[: len(paths)]]
        drawn = player.draw(paths, labels, options, address=as_data)
        page_file = tmp_path / "page.html"
        page_file.write_text(
            f'<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<body>{drawn}{player.head()}",
            encoding="utf-8",
        )
        context = chromium.new_context(viewport=viewport)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(error))  # noqa: PLW0108 - playwright wraps functions only
        page.goto(page_file.as_uri())
        page.wait_for_function("document.querySelector('quintet-player')?.ready")
        page.evaluate(READER)
        page.locator(".player").focus()
        painted(page)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def painted(page) -> None:
    """Wait until what was asked for is on the canvases."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def numbers(page) -> list[int]:
    painted(page)
    return page.evaluate("readNumbers()")


def press(page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)
    painted(page)


def test_every_frame_can_be_reached_and_is_the_right_one(show):
    page = show([(20, 8), (20, 8)])
    seen = [numbers(page)]
    for _ in range(19):
        press(page, ".")
        seen.append(numbers(page))
    assert seen == [[index, index] for index in range(20)]
    press(page, ".")
    assert numbers(page) == [0, 0]
    press(page, ",")
    assert numbers(page) == [19, 19]


def test_clips_of_other_rates_and_lengths_show_the_frame_of_the_same_second(show):
    rates = [(49, 8), (16, 7), (30, 10)]
    page = show(rates)
    ticks = int(page.locator(".head").get_attribute("max")) + 1
    assert ticks == round(49 / 8 * 10)
    for tick in range(ticks):
        seconds = (tick + 0.5) / 10
        assert numbers(page) == [min(frames - 1, int(seconds * fps)) for frames, fps in rates], tick
        press(page, ".")


def test_by_progress_all_begin_and_end_together(show):
    page = show([(40, 8), (16, 8)])
    page.locator(".align").select_option("progress")
    assert numbers(page) == [0, 0]
    page.locator(".player").focus()
    press(page, ",")
    assert numbers(page) == [39, 15]
    for _ in range(20):
        press(page, ",")
    long, short = numbers(page)
    assert abs(long / 40 - short / 16) < 1 / 16


@pytest.mark.slow
def test_six_clips_stay_within_one_frame_for_a_minute_of_loop(show):
    """Sampled at every repaint of the browser for 60 seconds, while playing and looping by itself."""
    page = show([(49, 8), (16, 7), (20, 8), (24, 10), (49, 8), (30, 12)])
    page.set_default_timeout(2 * SAMPLE_MS)
    press(page, "Space")
    told = page.evaluate(f"watchLock({SAMPLE_MS})")
    assert told["samples"] > 300
    assert told["loops"] >= 8
    assert told["furthest"] <= 1.0, told


def test_playing_goes_on_by_the_clock(show):
    """Twice the speed runs through about twice as many frames; the comparison holds on a busy machine too."""
    page = show([(200, 10)])
    rate = {}
    for speed in ("0.5", "2"):
        page.locator(".speed").select_option(speed)
        page.locator(".player").focus()
        press(page, "Space")
        rate[speed] = page.evaluate("framesPerSecond(1500)")
        press(page, "Space")
    assert 4 < rate["0.5"] < 6
    assert 17 < rate["2"] < 23


def test_the_loop_range_is_kept_to(show):
    page = show([(20, 8), (20, 8)])
    press(page, *["."] * 5, "i", *["."] * 3, "o")
    page.locator(".speed").select_option("2")
    page.locator(".player").focus()
    press(page, "Space")
    seen = page.evaluate("collectNumbers(1500)")
    assert set(seen) <= {5, 6, 7, 8}
    assert {5, 8} <= set(seen)
    press(page, "l")
    page.wait_for_function("readNumbers()[0] > 10")


def test_the_wipe_shows_one_clip_on_each_side_and_follows_the_pointer(show):
    page = show([(8, 8), (8, 8)], shades=(255, 128))
    press(page, *["."] * 7, "m")
    expect(page.locator(".modes input:checked")).to_have_value("wipe")
    canvas = page.locator("figure:not([hidden]) canvas")
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.19, box["y"] + 50)
    page.mouse.up()
    painted(page)
    first, second = page.evaluate("[levelAt(0, 1 / 16), levelAt(0, 5 / 16)]")
    assert first > 230
    assert 110 < second < 150
    press(page, "c")
    index = page.evaluate("shownFigure()")
    assert 110 < page.evaluate(f"levelAt({index}, 1 / 16)") < 150


def test_the_difference_of_equal_clips_is_black_and_of_others_is_not(show):
    page = show([(8, 8), (8, 8), (8, 8)], shades=(255, 255, 128))
    press(page, *["."] * 7, "m", "m", "m")
    expect(page.locator(".modes input:checked")).to_have_value("difference")
    painted(page)
    assert page.evaluate("levelAt(0, 1 / 16)") < 8
    page.locator(".b").select_option(label="Clip C")
    painted(page)
    assert page.evaluate("levelAt(0, 1 / 16)") > 100


def test_the_overlay_mixes_by_the_blend(show):
    page = show([(8, 8), (8, 8)], shades=(255, 1))
    press(page, ".", "m", "m")
    levels = []
    for amount in ("0", "0.5", "1"):
        page.locator(".amount input").fill(amount)
        painted(page)
        levels.append(page.evaluate("levelAt(0, 1 / 16)"))
    assert levels == pytest.approx([255, 128, 0], abs=25)


def test_a_region_drawn_in_one_clip_is_shown_in_all(show):
    page = show([(4, 8), (4, 8)])
    press(page, ".", ".")  # frame 2: the second bar is white, the others black
    page.get_by_role("button", name="Zoom").click()
    box = page.locator("canvas[role=img]").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.14, box["y"] + box["width"] * 0.14)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.24, box["y"] + box["width"] * 0.24)
    page.mouse.up()
    painted(page)
    everywhere = "[0, 1].flatMap(clip => [0.1, 0.5, 0.9].map(x => levelAt(clip, x)))"
    assert page.evaluate(everywhere) == pytest.approx([255] * 6, abs=25)
    page.get_by_role("button", name="Whole picture").click()
    painted(page)
    assert page.evaluate(everywhere) == pytest.approx([0] * 6, abs=25)


def test_a_slice_shows_every_frame_of_one_line(show):
    page = show([(16, 8), (16, 8)])
    press(page, *["."] * 8, "x")
    rows = page.evaluate("sliceNumbers(0, 16)")
    rows[8] = 8  # the playhead lies over its own row
    assert rows == list(range(16))


def test_what_a_screen_reader_is_told(show):
    page = show([(20, 8), (16, 7)])
    assert page.get_by_role("group", name="Comparison").is_visible()
    press(page, ".", ".")
    assert page.get_by_role("img", name="Clip A, frame 3 of 20").is_visible()
    expect(page.get_by_role("status")).to_have_text("Frame 3 of 20, 0.25 s")
    assert (
        page.get_by_role("slider", name="Frame", exact=True).get_attribute("aria-valuetext") == "Frame 3 of 20, 0.25 s"
    )
    unnamed = page.evaluate(
        """() => [...document.querySelector('quintet-player').shadowRoot.querySelectorAll('button, input, select')]
            .filter(e => e.checkVisibility() && !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).length"""
    )
    assert unnamed == 0


def test_the_number_keys_show_one_clip_alone(show):
    page = show([(4, 8), (4, 8), (4, 8)])
    press(page, "2")
    expect(page.locator("figure:not([hidden]) b")).to_have_text(["Clip B"])


def test_on_a_phone_the_clips_are_stacked_and_nothing_overflows(show):
    page = show([(8, 8), (8, 8)], viewport=PHONE)
    first, second = (page.locator("figure").nth(index).bounding_box() for index in (0, 1))
    assert second["y"] >= first["y"] + first["height"]
    assert overflowing(page) == []
    play = page.get_by_role("button", name="Play").bounding_box()
    assert play["y"] + play["height"] <= PHONE["height"]


def test_a_touch_on_a_picture_plays(chromium, show):
    page = show([(20, 8), (20, 8)], viewport=PHONE)
    page.locator("canvas[role=img]").first.dispatch_event("pointerdown", {"button": 0, "clientX": 9, "clientY": 9})
    page.locator("canvas[role=img]").first.dispatch_event("pointerup", {"button": 0, "clientX": 9, "clientY": 9})
    page.wait_for_function("readNumbers()[0] > 1")


def test_curves_follow_the_playhead(show):
    curve = player.Curve("Motion", 0, 1, (tuple(i / 10 for i in range(10)), None), "higher moves more")
    page = show([(10, 8), (10, 8)], options=player.Options(curves=(curve,), play=False))
    expect(page.locator(".curve .now span")).to_have_text(["0.00", "–"])
    press(page, ".", ".", ".")
    expect(page.locator(".curve .now span")).to_have_text(["0.30", "–"])


def test_the_clips_of_one_job_play_in_lock_in_its_tab(page):
    tab = Tab(page, "Sketch")
    tab.open_advanced()
    tab.panel.get_by_label("Views", exact=True).fill("2")
    tab.make("seen from two sides")
    expect(tab.stage.locator("figure b")).to_have_text(["View 1", "View 2"])
    page.wait_for_function("document.querySelector('.q-stage quintet-player').state.tick > 2")


# The number in the pixels of every visible figure, or -1 where a canvas is still empty.
READER = """() => {
  const root = document.querySelector('quintet-player').shadowRoot;
  const figures = () => [...root.querySelectorAll('figure')];
  const level = (canvas, x, y) => {
    const context = canvas.getContext('2d', { willReadFrequently: true });
    return context.getImageData(Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1).data[0];
  };
  const number = (canvas, y) => {
    let found = 0;
    for (let bit = 0; bit < 8; bit += 1) if (level(canvas, (bit + 0.5) / 8, y) > 127) found |= 1 << bit;
    return found;
  };
  window.levelAt = (index, x) => level(figures()[index].querySelector('canvas'), x, 0.4);
  window.shownFigure = () => figures().findIndex(figure => !figure.hidden);
  window.readNumbers = () => figures().filter(f => !f.hidden).map(f => number(f.querySelector('canvas'), 0.4));
  window.sliceNumbers = (index, frames) => [...Array(frames).keys()].map(
    row => number(root.querySelectorAll('.strip')[index], (row + 0.5) / frames));
  const during = (ms, each) => new Promise(done => {
    const end = performance.now() + ms;
    const turn = () => performance.now() < end ? (each(), requestAnimationFrame(turn)) : done();
    requestAnimationFrame(turn);
  });
  window.collectNumbers = async (ms) => {
    const seen = [];
    await during(ms, () => seen.push(readNumbers()[0]));
    return seen;
  };
  window.framesPerSecond = async (ms) => {
    const start = performance.now();
    let [before, moved] = [readNumbers()[0], 0];
    await during(ms, () => {
      const now = readNumbers()[0];
      moved += (now - before + 200) % 200;
      before = now;
    });
    return moved / (performance.now() - start) * 1000;
  };
  // How far each clip is from the frame that belongs to the second the first clip shows, in its own frames.
  window.watchLock = async (ms) => {
    const clips = document.querySelector('quintet-player').clips;
    let [samples, loops, furthest, before] = [0, 0, 0, 0];
    await during(ms, () => {
      const shown = readNumbers();
      if (shown[0] < before) loops += 1;
      before = shown[0];
      samples += 1;
      const [from, to] = [shown[0] / clips[0].fps, (shown[0] + 1) / clips[0].fps];
      for (const [index, clip] of clips.entries()) {
        const last = clip.frames - 1;
        const least = Math.min(last, Math.floor(from * clip.fps)), most = Math.min(last, Math.floor(to * clip.fps));
        const away = shown[index] < least ? least - shown[index] : Math.max(0, shown[index] - most);
        furthest = Math.max(furthest, away);
      }
    });
    return { samples, loops, furthest };
  };
}"""

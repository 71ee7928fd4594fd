"""Words of strangers never become markup: on the stage, in players, grids, history and bundles."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import gradio as gr
import pytest

from studio.compare import CellState, Comparison
from studio.compare.record import Member
from studio.compare.votes import Tally
from studio.events import Failed, Waiting
from studio.history import Entry, History
from studio.ui import compare_blind, compare_numbers, compare_view, offline, player, stage
from studio.ui.cards import button, thumbnail
from studio.ui.gallery_tab import GalleryTab
from studio.ui.moments import failed
from studio.ui.stage import Moment
from tests.unit.studio.test_video_files import film

EVIL = "\"'><img src=x onerror=alert(1)><script>alert(2)</script></script>${alert(3)}{{alert 4}}&lt;b&gt;"


class Markup(HTMLParser):
    """Every tag and attribute of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs


def check(html: str, scripts: int = 0) -> Markup:
    found = Markup(html)
    assert found.tags.count("script") == scripts, html
    assert not [name for name, _ in found.attributes if name.startswith("on")], html
    assert ("src", "x") not in found.attributes, html
    return found


@pytest.fixture
def clip(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    return film(tmp_path / "clip.mp4", frames=3)


@pytest.fixture
def grid(clip, preset) -> tuple[Comparison, list[CellState]]:
    request = {"prompt": EVIL, "seed": 3, EVIL: EVIL}
    members = tuple(Member(0, column, EVIL, EVIL, preset.key, request, "", EVIL) for column in range(3))
    comparison = Comparison("1-a", 1e9, EVIL, (EVIL,), (EVIL, "b", "c"), members)
    states = [
        CellState(members[0], "finished", paths=(clip,), seconds=1.0),
        CellState(members[1], "failed", EVIL),
        CellState(members[2], "waiting", event=Waiting(3)),
    ]
    return comparison, states


def test_the_stage_shows_words_as_words():
    moment = Moment("done", stage.clip(EVIL, EVIL, EVIL), EVIL, EVIL, 0.5, EVIL, EVIL, EVIL)
    assert check(stage.draw(moment)).tags.count("video") == 1
    check(stage.draw(failed(EVIL, EVIL)))
    check(stage.picture(EVIL, EVIL))
    check(button("delete", EVIL, EVIL, EVIL) + thumbnail(EVIL, EVIL))


def test_a_players_labels_are_data_and_come_back_as_they_were(clip):
    options = player.Options(facts=(EVIL,), name=EVIL, curves=(player.Curve(EVIL, 0, 1, ((0.5,),), EVIL),))
    found = check(player.draw([clip], [EVIL], options))
    data = json.loads(dict(found.attributes)["data-clips"] or "")
    assert data["clips"][0]["label"] == EVIL and data["curves"][0]["title"] == EVIL
    check(player.draw([clip.with_name("gone.mp4")], [EVIL]))


def test_a_comparison_shows_words_as_words(grid):
    comparison, states = grid
    check(compare_view.grid(comparison, states, {0}))
    check(compare_view.told(EVIL, EVIL))
    check(compare_numbers.table([EVIL], [{}]))
    check(compare_blind.reveal(Tally(1), EVIL, EVIL))


def test_a_bundles_page_shows_words_as_words(grid, preset):
    comparison, states = grid
    plain = Comparison("1-a", 1e9, "words", ("a",), ("b", "c", "d"), comparison.members[:0])
    scripts = Markup(offline.page(plain, [], {})).tags.count("script")
    check(offline.page(comparison, states, {preset.key: preset}), scripts)


def test_the_history_shows_words_as_words(preset, tmp_path, clip):
    history = History(tmp_path / "history.sqlite")
    with gr.Blocks(), gr.Tabs():
        tab = GalleryTab(history, {preset.key: preset}, gr.BrowserState())
    request = {"prompt": EVIL, "seed": EVIL, "num_inference_steps": EVIL}
    for state in ("finished", "failed", "stopped", EVIL):
        check(tab._card(Entry(EVIL, "me", preset.key, EVIL, request, 1e9, state, (clip,), None, 1.0, EVIL, EVIL)))
        check(tab._card(Entry(EVIL, "me", EVIL, EVIL, request, 1e9, state, (), None, 1.0, EVIL, EVIL)))
    history.close()


def test_a_failure_is_told_without_markup():
    assert EVIL not in stage.draw(failed(Failed(EVIL).message))

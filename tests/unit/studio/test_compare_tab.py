"""The compare tab's answers, without a browser: what is saved, what is said while videos are made and after."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import gradio as gr
import pytest

from studio.metrics import Score
from studio.ui.compare_tab import CompareTab
from studio.ui.own_pictures import OwnPictures
from tests.unit.studio.test_compare_record import ME, Desk

SCORES = [{"flicker": Score("flicker", "", 0.51)}]


class Measured:
    """Numbers of which so many cells are known."""

    def __init__(self, known: int) -> None:
        self.known = known

    def of(self, state, presets):
        return SCORES if state.member.column < self.known else None


@pytest.fixture
def desk(settings, preset, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    made = Desk(settings, preset)
    yield made
    made.close()


@pytest.fixture
def tab(desk):
    presets = {desk.preset.key: desk.preset}
    with gr.Blocks(), gr.Tabs():
        return CompareTab(presets, desk.jobs, desk.history, gr.BrowserState(), OwnPictures(desk.jobs, [desk.preset]))


@pytest.fixture
def finished(desk):
    """Two videos, both made."""
    comparison = desk.made.start(desk.plan(), ME)
    desk.wait(comparison)
    return comparison


def saved(tab, comparison, folder: Path) -> tuple[str, zipfile.ZipFile]:
    """What is said beside the link, and the zip behind it."""
    said = tab.on_save(ME, comparison.id, False, None, None)
    (address,) = re.findall(r'href="gradio_api/file=([^"]+)"', said)
    return said, zipfile.ZipFile(address)


def test_a_bundle_holds_every_number_on_its_page_too(tab, finished, tmp_path):
    tab.numbers = Measured(2)
    said, archive = saved(tab, finished, tmp_path)
    assert "not ready" not in said
    page = archive.read("index.html").decode()
    assert "Flicker" in page and page.count('<td title="">0.51</td>') == 2
    assert len(json.loads(archive.read("metrics.json"))) == 2


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (0, "The numbers are not ready yet and are not inside; save again when they are."),
        (1, "The numbers of 1 of 2 videos are not ready yet and are not inside; save again when they are."),
    ],
)
def test_a_bundle_saved_while_clips_are_measured_says_what_it_lacks(tab, finished, tmp_path, known, told):
    tab.numbers = Measured(known)
    said, archive = saved(tab, finished, tmp_path)
    assert told in said
    assert len(json.loads(archive.read("metrics.json"))) == known

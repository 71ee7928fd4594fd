"""The list of past results: as long as it gets, a page costs a page."""

from __future__ import annotations

import time
from types import SimpleNamespace

import gradio as gr
import pytest

from studio import history as history_module
from studio.compare import Comparisons
from studio.history import Entry, History
from studio.ui import gallery_tab
from studio.ui.gallery_tab import PAGE, GalleryTab

OWNER, COUNT = "me", 1000


@pytest.fixture
def gallery(tmp_path, preset):
    history = History(tmp_path / "history.sqlite")
    now = time.time()
    for index in range(COUNT):
        path = tmp_path / f"{index}.mp4"
        path.write_bytes(b"%d" % index)
        request = {"prompt": f"clip {index} of an otter", "seed": index}
        history.adopt(
            Entry(str(index), OWNER, preset.key, "sketch", request, now - 3600 * index, "finished", (path,), None, 1.0)
        )
    with gr.Blocks(), gr.Tabs():
        made = GalleryTab(history, {preset.key: preset}, gr.BrowserState(None))
    made.compare = SimpleNamespace(made=Comparisons(tmp_path / "none", None, history, {}))  # type: ignore[assignment]
    yield made
    history.close()


def test_a_thousand_results_cost_the_files_of_one_page(gallery, monkeypatch):
    asked = []
    monkeypatch.setattr(gallery_tab, "file_url", asked.append)
    drawn, more, _ = gallery.cards(OWNER, PAGE)
    assert drawn.count("<article") == PAGE
    assert more["visible"]
    assert len(asked) == 2 * PAGE  # clip and poster


@pytest.mark.parametrize(
    ("asked", "rows"),
    [({}, PAGE + 1), ({"span": "Last day"}, 24), ({"words": "OTTER"}, PAGE + 1), ({"words": "x"}, 0)],
)
def test_a_page_asks_the_history_once_and_draws_no_more_than_it_shows(gallery, monkeypatch, asked, rows):
    statements, read = [], []
    row_to_entry = history_module._entry
    monkeypatch.setattr(history_module, "_entry", lambda row: read.append(row) or row_to_entry(row))
    monkeypatch.setattr(gallery_tab, "file_url", lambda path: None)
    gallery.history._database.set_trace_callback(statements.append)
    gallery.cards(OWNER, PAGE, **asked)
    assert len(read) == rows
    assert len([words for words in statements if words.startswith("SELECT")]) == 1
    (plan,) = gallery.history._database.execute("EXPLAIN QUERY PLAN " + statements[0]).fetchall()
    assert "USING INDEX by_owner" in plan[-1]


def test_words_and_time_find_what_lies_far_back(gallery):
    drawn, more, _ = gallery.cards(OWNER, PAGE, words="OTTER 997")
    assert drawn.count("<article") == 1
    assert not more["visible"]
    drawn, _, _ = gallery.cards(OWNER, COUNT, span="Last day")
    assert drawn.count("<article") == 24


def test_every_file_of_a_result_can_be_downloaded_and_none_that_is_gone(gallery, tmp_path, preset):
    there = [tmp_path / f"view {number}.mp4" for number in (1, 2)]
    for path in there:
        path.write_bytes(b"a clip")
    paths = (*there, tmp_path / "gone.mp4")
    gallery.history.adopt(
        Entry("both", OWNER, preset.key, "sketch", {"prompt": "x"}, time.time() + 9, "finished", paths)
    )
    drawn, _, _ = gallery.cards(OWNER, 1)
    assert [f'download="{path.name}"' in drawn for path in paths] == [True, True, False]
    gallery.history.remove("both", OWNER)
    drawn, _, _ = gallery.cards(OWNER, 1)
    assert drawn.count("download=") == 1 and ">Download<" in drawn


def test_deleting_takes_the_files_of_the_results_folder_and_no_others(gallery, tmp_path, tmp_path_factory, preset):
    inside = tmp_path / "1.mp4"
    outside = tmp_path_factory.mktemp("elsewhere") / "mine.mp4"
    outside.write_bytes(b"mine")
    entry = Entry("far", OWNER, preset.key, "sketch", {"prompt": "x"}, 0.0, "finished", (inside, outside))
    gallery.history.adopt(entry)
    gallery._delete(entry)
    assert (inside.exists(), outside.exists()) == (False, True)
    assert gallery.history.entry("far", OWNER) is None


def test_no_prompt_of_a_person_becomes_markup(gallery, preset):
    request = {"prompt": "<img src=x onerror=alert(1)>"}
    gallery.history.adopt(Entry("evil", OWNER, preset.key, "sketch", request, time.time() + 9, "finished"))
    drawn, _, _ = gallery.cards(OWNER, 1)
    assert "<img src=x" not in drawn
    assert "&lt;img" in drawn

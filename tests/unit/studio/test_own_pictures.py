"""Forget my pictures: every copy and all that was made of them, of this visitor alone; nothing remains."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from gradio.processing_utils import save_file_to_cache
from PIL import Image

from studio.events import Failed, Finished, Progress, Seen
from studio.jobs import JobQueue
from studio.presets import load_presets, request_with, shipped_pictures
from studio.ui.media import cached_bytes
from studio.ui.own_pictures import OwnPictures

PRESETS = load_presets()
PRESET = PRESETS["echovideo/pocket"]
ME, ANOTHER = "me" * 20, "another" * 6


class Held:
    """An executor that works on a job until it is stopped."""

    def run(self, spec, emit, cancelled):
        emit(Progress("denoise", 1, 2))
        pause = threading.Event()
        while not cancelled():
            pause.wait(0.01)
        emit(Failed("stopped here"))

    def close(self):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    (tmp_path / "served").mkdir()
    return tmp_path / "served"


@pytest.fixture
def jobs():
    queue = JobQueue(Held())  # type: ignore[arg-type]
    yield queue
    queue.close()


@pytest.fixture
def own(served, jobs) -> OwnPictures:
    return OwnPictures(jobs, PRESETS.values())


def upload(folder: Path, name: str, seed: int) -> Path:
    path = folder.parent / name
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 40, 3), np.uint8)).save(path)
    return Path(save_file_to_cache(path, str(folder)))


def everything(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


def test_every_copy_goes_with_what_was_made_of_it_and_the_list_of_what_remains_is_empty(own, served):
    picture = upload(served, "me.png", 1)
    own.note(ME, picture)
    own.note(ME, cached_bytes(b"cut from it", "seen.webp"), "cut-out")
    own.note(ME, cached_bytes(b"a zip with it", "bundle.zip"), "file with pictures inside")
    again = served / "of another form" / "me again.png"  # Gradio makes copies of its own
    again.parent.mkdir()
    again.write_bytes(picture.read_bytes())
    found = own.forget(ME)
    assert found.deleted == {"picture": 2, "cut-out": 1, "file with pictures inside": 1}
    assert found.left == ()
    assert found.words.endswith("What remains of them here: nothing.")
    assert "2 pictures" in found.words
    assert own.files(ME) == everything(served) == []
    assert own.forget(ME).words.startswith("There was no picture of yours here.")


def test_another_visitor_s_pictures_and_the_studio_s_own_stay(own, served):
    mine, theirs = upload(served, "me.png", 1), upload(served, "they.png", 2)
    shipped = Path(save_file_to_cache(shipped_pictures(PRESET, "face")[0], str(served)))
    for owner, picture in ((ME, mine), (ME, shipped), (ANOTHER, theirs)):
        own.note(owner, picture)
    assert own.forget(ME).deleted == {"picture": 1}
    assert (mine.exists(), theirs.exists(), shipped.exists()) == (False, True, True)
    assert own.files(ANOTHER) == [theirs]


def test_the_studio_s_own_examples_stay_though_a_visitor_has_one_inspected(own, served):
    video = PRESET.examples[0].videos[0]
    copy = Path(save_file_to_cache(video, str(served)))
    own.note(ME, copy, "inspected file")
    assert own.forget(ME).deleted == {}
    assert copy.exists()


def test_nothing_outside_the_folder_of_copies_is_ever_deleted(own, served, tmp_path):
    outside = tmp_path / "holiday.png"
    outside.write_bytes(b"mine")
    (served / "link.png").symlink_to(outside)
    own.note(ME, outside)
    own.note(ME, served / "link.png")
    own.note(ME, served / ".." / "holiday.png")
    assert own.forget(ME).deleted == {}
    assert outside.read_bytes() == b"mine"


def test_jobs_that_were_asked_with_them_are_stopped_and_name_them_no_longer(own, served, jobs):
    picture = upload(served, "me.png", 1)
    own.note(ME, picture)
    running, waiting = (
        jobs.submit(PRESET, request_with(PRESET.request, {"face": picture, "seed": seed}), ME) for seed in (1, 2)
    )
    other = jobs.submit(PRESET, PRESET.request, ANOTHER)
    found = own.forget(ME)
    assert found.stopped == 2
    assert "was stopped" in found.words
    assert [event for event in running.events() if isinstance(event, Finished)] == []
    assert waiting.state == "stopped"
    for job in (running, waiting):
        assert "me.png" not in repr(vars(job.request)) + repr(job.spec)
    assert not other.stop_requested()
    other.stop()


def test_what_cannot_be_deleted_is_named(own, served, monkeypatch):
    own.note(ME, upload(served, "me.png", 1))
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(PermissionError()))
    found = own.forget(ME)
    assert found.deleted == {}
    assert found.words.endswith("What remains of them here: picture that cannot be deleted.")
    monkeypatch.undo()


def face_field(own, answer):
    """EchoVideo's picture, its worker answering `answer` to every look."""
    import gradio as gr

    from studio.ui.controls import Form
    from studio.ui.picture import PictureField

    class Looking:
        def inspect(self, *_):
            return answer

    with gr.Blocks():
        form = Form(PRESET.method, PRESET.request)
        return PictureField("face", form, PRESET, Looking(), gr.BrowserState(None), own)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad_input", [True, False])
def test_a_picture_that_the_method_cannot_use_is_refused_where_it_was_added(own, served, bad_input):
    field = face_field(own, Failed("The file is not a picture.", "Use another picture.", bad_input))
    picture = upload(served, "me.png", 1)
    *_, (sights, drawn, fault) = field.on_look(ME, str(picture))
    assert (sights, "The file is not a picture. Use another picture." in drawn) == ((), True)
    if bad_input:
        with pytest.raises(ValueError, match=r"Face: The file is not a picture\. Use another picture\."):
            field.check(picture, True, fault)
        field.check(None, True, fault)  # the picture was taken out meanwhile
    else:
        field.check(picture, True, fault)  # a worker that died says nothing of the picture


def test_a_seen_face_is_a_file_that_goes_with_its_picture_and_no_pixel_stays_in_the_page(own, served):
    field = face_field(own, (Seen(b"RIFF a face", "Face 1", 1, True),))
    picture = upload(served, "me.png", 1)
    field.on_change(ME, str(picture))
    *_, (sights, drawn, fault) = field.on_look(ME, str(picture))
    assert fault == ""
    assert "base64" not in drawn + repr(sights)
    assert own.forget(ME).deleted == {"picture": 1, "cut-out": 1}
    assert list(field.on_look(ME, str(picture)))[-1] == ((), "", "")  # forgotten while the worker looked
    assert [path for path in served.rglob("*.webp") if b"a face" in path.read_bytes()] == []

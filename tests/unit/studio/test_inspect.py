"""What a method sees of a picture, asked through the queue, answered by the worker."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from studio.events import Failed, Finished, Progress, Seen
from studio.executors import make_executor
from studio.history import History
from studio.jobs import JobQueue
from studio.outputs import read_settings
from studio.presets import Preset, load_presets, request_with

PACKAGES = ("models", "tests.fakes")


def picture(path: Path, faces: int, height: int = 32) -> Path:
    """Squares of different greys side by side; none when the picture is taller than wide."""
    width = faces * height or height // 2
    pixels = np.zeros((height, width, 3), np.uint8)
    for face in range(faces):
        pixels[:, face * height : (face + 1) * height] = 60 * (face + 1)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def portrait(tmp_path) -> Preset:
    folder = tmp_path / "presets" / "portrait"
    folder.mkdir(parents=True)
    picture(folder / "shipped.png", 2)
    preset = {"method": "portrait", "request": {"picture": "shipped.png"}}
    (folder / "pocket.yaml").write_text(yaml.safe_dump(preset))
    return load_presets(tmp_path / "presets", PACKAGES)["portrait/pocket"]


def looked(jobs: JobQueue, preset: Preset, path: Path) -> tuple[Seen, ...]:
    answer = jobs.inspect(preset, "picture", path)
    assert not isinstance(answer, Failed), answer
    return answer


@pytest.fixture(params=["inline", "process"])
def jobs(request, settings, tmp_path):
    settings.executor = request.param
    history = History(tmp_path / "history.sqlite")
    jobs = JobQueue(make_executor(settings), history)
    yield jobs
    jobs.close()
    history.close()


def test_every_face_is_shown_with_what_choosing_it_means(jobs, portrait, tmp_path):
    seen = looked(jobs, portrait, picture(tmp_path / "three.png", 3))
    assert [(sight.label, sight.choice, sight.first) for sight in seen] == [
        ("Face 1", 1, True), ("Face 2", 2, False), ("Face 3", 3, False),
    ]  # fmt: skip
    shown = np.asarray(Image.open(io.BytesIO(seen[2].picture)))
    assert shown.shape == (32, 32, 3) and abs(int(shown.mean()) - 180) < 3


def test_a_picture_without_a_face_is_a_sentence(jobs, portrait, tmp_path):
    answer = jobs.inspect(portrait, "picture", picture(tmp_path / "none.png", 0))
    assert answer == Failed("No face was found. Use a wider picture.", "Use another picture.", bad_input=True)


def test_a_file_that_is_no_picture_does_not_end_the_worker(jobs, portrait, tmp_path):
    (tmp_path / "words.png").write_text("words")
    assert isinstance(jobs.inspect(portrait, "picture", tmp_path / "words.png"), Failed)
    assert len(looked(jobs, portrait, picture(tmp_path / "one.png", 1))) == 1


def test_looking_waits_for_no_job_and_leaves_no_record(jobs, portrait, preset, tmp_path):
    release = tmp_path / "release"
    request = request_with(preset.request, {"hold_at_step": 1, "release_file": str(release)})
    job = jobs.submit(preset, request, "somebody")
    next(event for event in job.events() if isinstance(event, Progress) and event.index == 1)
    assert len(looked(jobs, portrait, picture(tmp_path / "secret-name.png", 1))) == 1
    assert not job.done
    release.touch()
    assert isinstance(list(job.events())[-1], Finished)
    with sqlite3.connect(tmp_path / "history.sqlite") as database:
        assert "secret-name" not in "".join(database.iterdump())


def test_a_method_that_does_not_look_says_so(jobs, preset, tmp_path):
    with pytest.raises(ValueError, match="does not look at pictures"):
        jobs.inspect(preset, "prompt", tmp_path)


def test_the_death_of_the_worker_is_an_answer(settings, portrait, tmp_path):
    executor = make_executor(settings)
    jobs = JobQueue(executor)
    try:
        one = picture(tmp_path / "one.png", 1)
        assert len(looked(jobs, portrait, one)) == 1
        worker = executor._worker  # pyright: ignore[reportAttributeAccessIssue]
        answer = worker.expect("under way")
        os.kill(worker.process.pid, signal.SIGKILL)
        assert isinstance(answer.get(timeout=60), Failed)
        assert len(looked(jobs, portrait, one)) == 1
    finally:
        jobs.close()


def test_a_person_s_own_picture_is_named_nowhere(jobs, portrait, settings, tmp_path):
    own = picture(tmp_path / "secret-name.png", 2)
    request = request_with(portrait.request, {"picture": str(own), "which": 2})
    last = list(jobs.submit(portrait, request, "somebody").events())[-1]
    assert isinstance(last, Finished)
    assert read_settings(last.paths[0])["request"]["picture"] is None
    with sqlite3.connect(tmp_path / "history.sqlite") as database:
        assert "secret-name" not in "".join(database.iterdump())
    for file in settings.output_dir.iterdir():
        assert b"secret-name" not in file.read_bytes()

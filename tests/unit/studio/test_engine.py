from __future__ import annotations

import time

import av
import numpy as np
import pytest

from models.method import Step, StopRequested
from studio.engine import Engine, Report
from studio.events import Failed, Finished, JobSpec, Loading, Progress, Stopped
from studio.outputs import read_settings


@pytest.fixture
def run(settings, preset, ask):
    """run(seed=3) -> the events of a job; `stop_at=2` stops it at that step."""
    engine = Engine(settings)
    counter = iter(range(100))

    def generate(stop_at: int = 0, **values):
        events = []
        spec = JobSpec(f"job{next(counter)}", preset.key, "sketch", ask(**values), preset.recipe)
        seen = lambda: max((e.index for e in events if isinstance(e, Progress)), default=0)  # noqa: E731
        engine.generate(spec, events.append, lambda: bool(stop_at) and seen() >= stop_at)
        return events

    return generate


def frames(finished: Finished) -> np.ndarray:
    with av.open(str(finished.paths[0])) as container:
        return np.stack([frame.to_ndarray() for frame in container.decode(video=0)])


def test_stages_come_in_order_and_one_terminal_event_last(run):
    events = run(num_inference_steps=3)
    assert [(e.stage, e.index) for e in events if isinstance(e, Progress)] == [
        ("encode", 0), ("denoise", 1), ("denoise", 2), ("denoise", 3), ("decode", 3), ("save", 0),
    ]  # fmt: skip
    assert isinstance(events[-1], Finished) and events[-1].paths[0].is_file() and events[-1].poster.is_file()


def test_same_seed_gives_identical_frames_and_another_seed_others(run):
    first, again, other = (frames(run(seed=seed)[-1]) for seed in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_the_file_tells_how_it_was_made(run):
    settings = read_settings(run(seed=3)[-1].paths[0])
    assert settings["request"]["seed"] == settings["seed"] == 3
    assert settings["versions"]["python"] and settings["peak_memory_mb"] > 0 and settings["seconds"] >= 0
    assert "commit" in settings and "weights" in settings


@pytest.mark.parametrize("step", [1, 2, 5])
def test_a_stop_takes_effect_at_the_next_step_and_writes_nothing(run, settings, step):
    events = run(stop_at=step, num_inference_steps=5)
    steps = [e.index for e in events if isinstance(e, Progress) and e.stage == "denoise"]
    assert isinstance(events[-1], Stopped) and max(steps) == step
    assert list(settings.output_dir.iterdir()) == []
    assert isinstance(run()[-1], Finished)


@pytest.mark.parametrize(("fault", "words"), [("error", "RuntimeError"), ("memory", "not enough memory")])
def test_what_goes_wrong_inside_is_told_without_a_traceback(run, fault, words):
    last = run(fault=fault)[-1]
    assert isinstance(last, Failed) and words in last.message and last.advice
    assert "Traceback" not in last.message and "\n" not in last.message
    assert isinstance(run()[-1], Finished)


def test_an_output_folder_that_cannot_be_used_is_refused_before_computing(run, settings):
    settings.output_dir.write_text("a file")
    events = run()
    assert len(events) == 1 and isinstance(events[0], Failed) and "folder outputs:" in events[0].message
    assert str(settings.output_dir.parent) not in str(events[0]), "a stranger learns no path of this machine"


def test_time_left_is_estimated_from_this_jobs_own_steps(monkeypatch):
    now = 8.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    events = []
    report = Report(events.append, lambda: False)
    for index in (1, 2, 3):
        now += 2.0
        report.on_step(Step(index, 10))
    assert [event.seconds_left for event in events] == [None, 16.0, 14.0]


def test_previews_never_take_more_than_their_share_of_the_time():
    picture = np.random.default_rng(0).integers(0, 256, (16, 240, 240, 3), np.uint8)  # slow to encode
    events = []
    report = Report(events.append, lambda: False)
    for index in range(1, 40):
        report.on_step(Step(index, 100, picture))
    assert sum(event.preview is not None for event in events) == 1
    assert events[0].preview is not None


def test_words_about_bytes_are_few_and_loading_can_be_stopped():
    events = []
    report = Report(events.append, lambda: len(events) == 2)
    for done in range(1, 1001):
        report.on_loading("vae", done, 1000)
    assert events[0] == Loading("vae", 1, 1000) and events[-1] == Loading("vae", 1000, 1000) and len(events) <= 3
    with pytest.raises(StopRequested):
        report.on_loading("vae", 1, 1000)

"""What a page is told of a job: where it is now, however slow the page."""

from __future__ import annotations

import threading

import gradio as gr
import pytest

from studio.events import Finished, JobSpec, Progress, Started, Stopped, Waiting
from studio.jobs import Job
from studio.ui import moments
from studio.ui.method_tab import MethodTab
from studio.ui.moments import follow
from studio.ui.own_pictures import OwnPictures

PAST = [*(Waiting(position) for position in (40, 39, 38)), Started(), Progress("denoise", 1, 4)]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(moments, "GLANCE_SECONDS", 0.0)


@pytest.fixture
def job(preset):
    return Job(JobSpec("id", preset.key, preset.method.name, preset.request, preset.recipe), "me")


def say(job, *events):
    for event in events:
        job.emit(event)


def test_a_page_that_comes_late_is_told_where_the_job_is(job, preset):
    say(job, *PAST)
    told = follow(preset.method, job)
    assert next(told).line == "Step 1 of 4"
    say(job, Progress("denoise", 2, 4), Progress("denoise", 3, 4), Stopped())
    assert [moment.state for moment in told] == ["stopped"]


def test_a_page_that_keeps_up_is_told_everything(job, preset):
    told, lines = follow(preset.method, job), []
    for event in PAST:
        say(job, event)
        lines.append(next(told).line)
    assert lines == ["Waiting", "Waiting", "Waiting", "Starting", "Step 1 of 4"]


def test_a_page_is_not_told_the_same_again(job, preset):
    told = follow(preset.method, job)
    say(job, Progress("denoise", 1, 4))
    next(told)
    say(job, Progress("denoise", 1, 4), Stopped())
    assert [moment.state for moment in told] == ["stopped"]


def test_the_end_does_not_wait_for_the_next_look(job):
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(job.events(apart=3600.0)), daemon=True)
    say(job, Started())
    reader.start()
    say(job, Progress("denoise", 1, 4), Stopped())
    reader.join(10.0)
    assert seen == [Started(), Progress("denoise", 1, 4), Stopped()]


def test_a_picture_seen_once_stays_until_there_is_a_better_one(job, preset):
    say(job, Progress("denoise", 1, 4, b"RIFFpicture"), Progress("denoise", 2, 4))
    assert "q-picture" in next(follow(preset.method, job)).screen


def test_the_buttons_come_with_the_first_and_the_last_moment(job, preset, tmp_path):
    with gr.Blocks(), gr.Tabs():  # without a queue: nothing is asked for here
        tab = MethodTab(preset, None, gr.BrowserState(None), OwnPictures(None, []))  # type: ignore[arg-type]
    updates, told = tab._followed(job), []
    for event in (*PAST, Finished((tmp_path / "gone.mp4",), tmp_path / "gone.webp", 1.0)):
        say(job, event)
        told.append(next(updates))
    assert [tab.generate in update for update in told] == [True, *[False] * (len(PAST) - 1), True]
    assert [update[tab.stop]["interactive"] for update in (told[0], told[-1])] == [True, False]
    assert all(tab.stage in update for update in told)

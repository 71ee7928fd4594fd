"""The worker process, as the queue and the page meet it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from studio.events import Failed, Finished, Loading, Progress, Started, Stopped, StudioError
from studio.executors import make_executor
from studio.history import History
from studio.jobs import JobQueue

PATIENCE = 60.0


@pytest.fixture
def executor(settings):
    executor = make_executor(settings)
    yield executor
    executor.close()


@pytest.fixture
def history(tmp_path):
    history = History(tmp_path / "history.sqlite")
    yield history
    history.close()


@pytest.fixture
def jobs(executor, history):
    jobs = JobQueue(executor, history)
    yield jobs
    jobs.close()


def until(true, what: str = "") -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"never came true: {what}"
        time.sleep(0.005)  # a look at another process's state, bounded by PATIENCE


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def pid_of(executor) -> int:
    return executor._worker.process.pid


def at_step(job, index: int) -> None:
    """Return once the job has said it did this step."""
    for event in job.events():
        if isinstance(event, Progress) and event.stage == "denoise" and event.index >= index:
            return
    raise AssertionError(f"ended before step {index}: {job.latest}")


def test_a_job_crosses_to_the_worker_and_back(jobs, preset, ask):
    events = list(jobs.submit(preset, ask(num_inference_steps=3), "ann").events())
    assert isinstance(events[-1], Finished) and events[-1].paths[0].is_file()
    assert isinstance(events[1], Started) and Loading("Starting the worker") in events
    steps = [event for event in events if isinstance(event, Progress) and event.stage == "denoise"]
    assert [event.index for event in steps] == [1, 2, 3]


def test_previews_arrive_as_small_pictures(jobs, preset, ask):
    job = jobs.submit(preset, ask(num_inference_steps=3, seconds_per_step=0.1), "ann")
    pictures = [event.preview for event in job.events() if isinstance(event, Progress) and event.preview]
    assert pictures and all(picture[8:12] == b"WEBP" and len(picture) < 20_000 for picture in pictures)


def test_stop_takes_effect_within_a_step_twenty_times_and_the_next_job_runs(jobs, preset, ask):
    for _ in range(20):
        job = jobs.submit(preset, ask(num_inference_steps=1000, seconds_per_step=0.02), "ann")
        at_step(job, 2)
        before = job.latest.index
        assert jobs.stop(job.id, "ann")
        events = list(job.events())
        assert isinstance(events[-1], Stopped)
        late = [e.index for e in events if isinstance(e, Progress) and e.index > before + 1]
        assert len(late) <= 2, "the queue and the pipe may add a step or two of 20 ms, not more"
        following = jobs.submit(preset, ask(), "ann")
        assert isinstance(list(following.events())[-1], Finished)


def test_a_worker_killed_in_mid_job_fails_it_and_the_next_job_runs(jobs, executor, history, preset, ask):
    finished = jobs.submit(preset, ask(), "ann")
    list(finished.events())
    victim = jobs.submit(preset, ask(num_inference_steps=1000, seconds_per_step=0.05), "ann")
    waiting = jobs.submit(preset, ask(), "ann")
    at_step(victim, 2)
    first = pid_of(executor)
    os.kill(first, signal.SIGKILL)
    last = list(victim.events())[-1]
    assert isinstance(last, Failed) and "killed (SIGKILL)" in last.message and "generate again" in last.advice
    assert isinstance(list(waiting.events())[-1], Finished)
    assert pid_of(executor) != first
    assert {e.id: e.state for e in history.entries("ann")} == {
        finished.id: "finished", victim.id: "failed", waiting.id: "finished",
    }  # fmt: skip


def test_a_worker_killed_while_idle_is_replaced_for_the_next_job(jobs, executor, preset, ask):
    list(jobs.submit(preset, ask(), "ann").events())
    os.kill(pid_of(executor), signal.SIGKILL)
    assert isinstance(list(jobs.submit(preset, ask(), "ann").events())[-1], Finished)


def test_a_worker_that_hangs_in_native_code_is_ended_after_stop_and_the_next_job_runs(
    jobs, executor, settings, preset, ask
):
    settings.stop_seconds = 0.2
    list(jobs.submit(preset, ask(), "ann").events())
    hanging = jobs.submit(preset, ask(fault="hang"), "ann")
    at_step(hanging, 1)
    first = pid_of(executor)
    assert jobs.stop(hanging.id, "ann")
    assert isinstance(list(hanging.events())[-1], Stopped) and gone(first)
    assert isinstance(list(jobs.submit(preset, ask(), "ann").events())[-1], Finished)


def test_a_pipeline_that_kills_its_process_fails_with_advice_every_time(jobs, preset, ask):
    for _ in range(2):
        last = list(jobs.submit(preset, ask(fault="kill"), "ann").events())[-1]
        assert isinstance(last, Failed) and last.advice


def test_a_job_stopped_before_its_worker_is_up_ends_at_once(jobs, preset, ask):
    job = jobs.submit(preset, ask(), "ann")
    for event in job.events():
        if isinstance(event, Loading):
            jobs.stop(job.id, "ann")
    assert isinstance(job.latest, Stopped)
    assert isinstance(list(jobs.submit(preset, ask(), "ann").events())[-1], Finished)


def test_a_worker_that_cannot_start_fails_the_job_with_a_sentence(jobs, settings, preset, ask):
    settings.device = Unloadable()  # type: ignore[assignment]
    last = list(jobs.submit(preset, ask(), "ann").events())[-1]
    assert isinstance(last, Failed) and "does not start" in last.message
    settings.device = "cpu"
    assert isinstance(list(jobs.submit(preset, ask(), "ann").events())[-1], Finished)


class Unloadable:
    """Ends the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (7,)


def test_warming_starts_the_worker_in_the_background(executor, preset):
    executor.warm([preset.recipe])
    assert executor.status()["state"] in ("starting", "ready")
    until(lambda: executor.status()["state"] == "ready", "ready")
    assert executor.unload() == 0


def test_the_worker_hears_what_the_queue_expects(jobs, executor, preset, ask, tmp_path, monkeypatch):
    list(jobs.submit(preset, ask(), "ann").events())
    heard: list[tuple[str, Any]] = []
    send = executor._worker.send
    monkeypatch.setattr(
        executor._worker, "send", lambda kind, content: (heard.append((kind, content)), send(kind, content))
    )
    release = tmp_path / "release"
    first = jobs.submit(preset, ask(hold_at_step=1, release_file=str(release)), "ann")
    at_step(first, 1)
    waiting = [jobs.submit(preset, ask(), "ann") for _ in range(2)]
    assert [len(content) for kind, content in heard if kind == "expect"][-2:] == [1, 2]
    release.touch()
    assert all(isinstance(list(job.events())[-1], Finished) for job in (first, *waiting))


def test_closing_ends_the_worker_and_a_running_job(settings, preset, ask):
    executor = make_executor(settings)
    jobs = JobQueue(executor)
    job = jobs.submit(preset, ask(num_inference_steps=1000, seconds_per_step=0.02), "ann")
    at_step(job, 1)
    worker = pid_of(executor)
    jobs.close()
    assert isinstance(job.latest, Stopped) and gone(worker)
    with pytest.raises(StudioError):
        jobs.submit(preset, ask(), "ann")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_its_server(settings, how):
    code = f"""
        import sys, threading
        from pathlib import Path
        from studio.executors import make_executor
        from studio.events import JobSpec, Progress
        from studio.settings import StudioSettings
        from tests.fakes.sketch import METHOD, SketchRequest, SketchWeights
        executor = make_executor(StudioSettings(output_dir=Path({str(settings.output_dir)!r})))
        request = SketchRequest(num_inference_steps=1000, seconds_per_step=0.05)
        spec = JobSpec("job", "sketch/pocket", "sketch", request, METHOD.recipe(SketchWeights()))
        def emit(event):
            if isinstance(event, Progress) and event.index == 1:
                print(executor._worker.process.pid, flush=True)
        executor.run(spec, emit, lambda: False)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        worker = int(server.stdout.readline())
        server.send_signal(how)
        server.wait(PATIENCE)
    until(lambda: gone(worker), "the worker is gone")


def test_the_server_side_imports_no_torch():
    code = """
        import sys
        import studio.cli, studio.executors.process, studio.executors.inline, studio.history, studio.jobs
        import studio.outputs, studio.presets, studio.settings
        heavy = {"torch", "diffusers", "transformers", "numpy", "av", "PIL", "gradio"} & set(sys.modules)
        assert not heavy, heavy
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)

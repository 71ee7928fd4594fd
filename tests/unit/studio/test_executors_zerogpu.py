"""A Space's lent GPU, as studio/space/emulated.py has it: a fork for each call, a stop heard after the next yield."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from models.method import Clip, Component, OnStep, Recipe, Step
from studio.events import Failed, Finished, JobSpec, Loading, Progress, Stopped
from studio.executors.zerogpu import LONGEST, SHORTEST, ZeroGpuExecutor, expected_seconds
from studio.space.emulated import Spaces
from tests.unit.studio.tiny_networks import TOKENS, save_tower


class TowerPipeline:
    """Draws what a tower says, step by step."""

    def __init__(self, tower: Any) -> None:
        self.tower = tower

    def __call__(self, request: Any, on_step: OnStep) -> list[Clip]:
        pause = threading.Event()
        for index in range(1, request.num_inference_steps + 1):
            pause.wait(request.seconds_per_step)
            value = self.tower(TOKENS)
            on_step(Step(index, request.num_inference_steps))
        shade = int(value.abs().sum()) % 256
        return [Clip(torch.full((8, 64, 64, 3), shade, dtype=torch.uint8).numpy(), 8)]


def recipe_over(folder: Path, method: str = "sketch") -> Recipe:
    part = Component("tower", "tests.unit.studio.tiny_networks:Tower", str(folder))
    return Recipe(method, f"{__name__}:TowerPipeline", (part,))


@pytest.fixture
def spaces() -> Spaces:
    return Spaces()


@pytest.fixture
def executor(settings, spaces):
    settings.device = "cpu"
    return ZeroGpuExecutor(settings, spaces)


def run(executor, recipe: Recipe, request: Any, cancelled=lambda: False) -> list[Any]:
    events: list[Any] = []
    executor.run(JobSpec("job", "sketch/pocket", "sketch", request, recipe), events.append, cancelled)
    return events


def test_weights_placed_at_start_up_are_not_read_again_in_the_fork(executor, spaces, ask, tmp_path):
    save_tower(tmp_path / "tower", 0)
    executor.warm([recipe_over(tmp_path / "tower")])
    placed = executor.status()
    assert placed["bytes"] > 0 and placed["components"][0]["names"] == []
    for _ in range(2):
        events = run(executor, recipe_over(tmp_path / "tower"), ask(num_inference_steps=3))
        assert isinstance(events[-1], Finished) and events[-1].paths[0].is_file()
        assert not [event for event in events if isinstance(event, Loading)]
    assert executor.status()["components"] == placed["components"], "a fork changes nothing here"
    assert len(spaces.decorated) == 1 and all(SHORTEST <= seconds <= LONGEST for seconds in spaces.durations)


def test_a_stop_takes_effect_at_the_next_step_and_leaves_no_file(executor, settings, ask, tmp_path):
    save_tower(tmp_path / "tower", 0)
    heard: list[int] = []

    def cancelled() -> bool:
        heard.append(1)
        return len(heard) > 4

    request = ask(num_inference_steps=1000, seconds_per_step=0.01)
    events = run(executor, recipe_over(tmp_path / "tower"), request, cancelled)
    assert isinstance(events[-1], Stopped)
    assert max(event.index for event in events if isinstance(event, Progress)) <= 4
    assert list(settings.output_dir.glob("*.mp4")) == []


def test_methods_are_placed_while_they_fit_and_the_rest_is_named(executor, ask, tmp_path, monkeypatch, caplog):
    for number in range(3):
        save_tower(tmp_path / f"tower{number}", number)
    recipes = [recipe_over(tmp_path / f"tower{number}", f"method{number}") for number in range(3)]
    executor.warm(recipes[:1])
    one = executor.status()["bytes"]
    monkeypatch.setattr("studio.executors.zerogpu.PACKED_LIMIT", 2 * one)
    executor.warm(recipes)
    assert executor.status()["bytes"] == 2 * one and "method2 does not fit" in caplog.text
    assert isinstance(run(executor, recipes[2], ask(num_inference_steps=1))[-1], Finished)


def test_the_time_asked_for_grows_with_the_video_and_stays_within_bounds(preset, ask):
    class Asked:
        def __init__(self, frames: int, steps: int) -> None:
            self.num_frames, self.height, self.width, self.num_inference_steps = frames, 480, 720, steps

    spec = lambda *sizes: JobSpec("j", "p", "m", Asked(*sizes), preset.recipe)  # type: ignore[arg-type] # noqa: E731
    assert SHORTEST <= expected_seconds(spec(9, 10)) < expected_seconds(spec(49, 50)) <= LONGEST
    assert expected_seconds(spec(49, 1000)) == LONGEST
    assert expected_seconds(JobSpec("j", "p", "m", ask(), preset.recipe)) == SHORTEST


class GpuRefused(Exception):
    """As the library words it: Gradio's error, with its sentence in `message`."""

    message = "You have exceeded your free ZeroGPU quota (60s requested vs. 12s left)."


def test_a_refused_gpu_is_told_in_the_library_s_words(executor, ask, tmp_path):
    def refuse(spec: JobSpec) -> Iterator[Any]:
        raise GpuRefused
        yield

    executor._call = refuse
    events = run(executor, recipe_over(tmp_path / "tower"), ask())
    assert isinstance(events[-1], Failed) and "12s left" in events[-1].message

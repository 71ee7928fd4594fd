"""A method that draws a moving square with numpy, step by step: no weights, no torch.

It can be slow (`seconds_per_step`), wait for a file (`hold_at_step`, `release_file`) or go wrong (`fault`).
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from models.method import (
    Ablation,
    Clip,
    Method,
    OnStep,
    Recipe,
    Request,
    Step,
    choice,
    number,
    slider,
    switch,
    text,
)


@dataclass
class SketchRequest(Request):
    """What a person can ask of the sketch."""

    prompt: str = text("What happens in the video", default="a red square", required=True)
    num_inference_steps: int = slider(5, 1, 1000, "More steps, longer wait")
    num_frames: int = slider(8, 1, 64, "Length of the video")
    trail: bool = switch(True, "Leave a trail")
    seed: int = number(42, "The same seed and settings give the same video", minimum=0)
    seconds_per_step: float = number(0.0, "How long each step takes", minimum=0, advanced=True)
    hold_at_step: int = number(
        0, "Wait at this step until release_file exists; 0 never waits", minimum=0, advanced=True
    )
    release_file: str = text("The file that ends the wait", advanced=True)
    views: int = number(1, "Clips of the same scene", minimum=1, maximum=6, advanced=True)
    fault: str = choice(
        "none", ("none", "error", "memory", "kill", "hang"), "What goes wrong at the second step", advanced=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_frames % 4:
            raise ValueError(
                f"num_frames must be a multiple of 4, got {self.num_frames}. Try {self.num_frames // 4 * 4 + 4}."
            )


@dataclass
class SketchWeights:
    """None are needed; `longest` in frames."""

    longest: int = 64


class SketchPipeline:
    """Draws; the square gains contrast with every step."""

    def __call__(self, request: SketchRequest, on_step: OnStep) -> list[Clip]:
        total = request.num_inference_steps
        pause = threading.Event()
        for index in range(1, total + 1):
            pause.wait(request.seconds_per_step)
            if index == 2:
                _go_wrong(request.fault)
            on_step(Step(index, total, _frames(request, index / total, size=16)))
            if index == request.hold_at_step:
                _hold(Path(request.release_file), lambda index=index: on_step(Step(index, total)))
        names = [f"view {index}" if request.views > 1 else "" for index in range(1, request.views + 1)]
        return [Clip(_frames(request, 1.0, size=64), fps=8, name=name) for name in names]


def _hold(release: Path, tell: Callable[[], None]) -> None:
    """Wait for the file; as long as it lasts there is another, so that tests know when it has ended."""
    held = release.with_suffix(".held")
    try:
        while not release.is_file():
            held.touch()
            threading.Event().wait(0.02)
            tell()
    finally:
        held.unlink(missing_ok=True)


def _frames(request: SketchRequest, contrast: float, size: int):
    import numpy as np

    generator = np.random.default_rng(request.seed)
    colour, ground = generator.integers(0, 256, (2, 3))
    start = generator.integers(0, size // 2)
    frames = np.empty((request.num_frames, size, size, 3), np.uint8)
    frames[:] = ground
    side = size // 4
    for index, frame in enumerate(frames):
        left = (start + index * size // 16) % (size - side)
        frame[size // 2 - side // 2 :, left : left + side][:side] = ground + contrast * (colour - ground)
        if request.trail:
            frame[-size // 16 :, : left + side] = colour
    return frames


def _go_wrong(fault: str) -> None:
    if fault == "error":
        raise RuntimeError("the pencil broke")
    if fault == "memory":
        raise MemoryError
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "hang":
        ctypes.PyDLL(None).sleep(600)  # in native code that keeps the interpreter's lock: nothing else runs


def _check(weights: SketchWeights, request: SketchRequest) -> None:
    if request.num_frames > weights.longest:
        raise ValueError(f"num_frames must be at most {weights.longest} with these weights, got {request.num_frames}.")


def _recipe(weights: SketchWeights) -> Recipe:
    return Recipe("sketch", "tests.fakes.sketch:SketchPipeline", ())


METHOD = Method(
    name="sketch",
    title="Sketch",
    summary="A square that slides.",
    paper="",
    request=SketchRequest,
    weights=SketchWeights,
    recipe=_recipe,
    check=_check,
    ablations=(Ablation("trail", "Trail", "The line behind the square", {"trail": False}),),
)

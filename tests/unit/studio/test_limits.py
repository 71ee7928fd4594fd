"""What a studio's owner may forbid: sizes of a request, and jobs of one visitor."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import pytest

from models.cvd.config import CvdRequest
from models.echovideo.config import EchoVideoRequest
from models.mcm.config import McmRequest
from models.method import Recipe, Request, number
from studio.jobs import JobQueue, QueueFull
from studio.limits import Limits
from tests.unit.studio.test_jobs import ByHand, reach, started

NO_RECIPE = Recipe("any", "any:Any", ())


@dataclass
class AnyPicture(EchoVideoRequest):
    """EchoVideo's request without the check that the picture is there."""

    def __post_init__(self) -> None:
        pass


@pytest.mark.parametrize(
    ("limits", "recipe", "asked", "words"),
    [
        (Limits(pixels=65_535), NO_RECIPE, CvdRequest("a", height=256, width=256), "256x256 are 65,536 pixels"),
        (Limits(pixels=400_000), NO_RECIPE, AnyPicture("a", size="848x480"), "848x480 are 407,040 pixels"),
        (Limits(pixels=4000), Recipe("r", "r:R", (), {"height": 64, "width": 64}), Request(), "64x64"),
        (Limits(frames=31), NO_RECIPE, CvdRequest("a", num_views=2, num_frames=16), "32 frames over 2 views"),
        (Limits(steps=24), NO_RECIPE, CvdRequest("a", num_inference_steps=25), "25 steps"),
        (Limits(steps=24), NO_RECIPE, McmRequest("a", teacher=True, teacher_steps=25), "25 steps"),
    ],
)
def test_what_is_larger_than_the_studio_makes_is_refused_with_the_number(limits, recipe, asked, words):
    with pytest.raises(ValueError, match=words) as caught:
        limits.check(recipe, asked)
    assert str(caught.value).endswith(("Choose fewer.", "Choose a smaller size."))


@pytest.mark.parametrize(
    ("limits", "asked"),
    [
        (Limits(), CvdRequest("a", height=512, width=512, num_frames=32, num_views=6)),
        (Limits(pixels=65_536, frames=32, steps=25), CvdRequest("a", height=256, width=256, num_views=2)),
        (Limits(steps=8), McmRequest("a", num_inference_steps=4, teacher_steps=25)),
    ],
)
def test_what_is_within_the_limits_passes(limits, asked):
    limits.check(NO_RECIPE, asked)


@dataclass
class Asked(Request):
    """With a field that takes anything, so that only the request itself can refuse it."""

    amount: Any = number(1.0, "How much.", label="Amount")


@pytest.mark.parametrize("value", [10**400, -(10**400), float("inf"), float("nan"), None, True])
def test_what_is_no_number_or_beyond_all_numbers_is_refused_in_words(value):
    with pytest.raises(ValueError, match="must be a number, got"):
        Asked(value)


def test_the_queue_refuses_what_is_too_large_before_it_waits(preset, ask):
    executor: Any = ByHand()
    jobs = JobQueue(executor, limits=Limits(steps=3))
    try:
        with pytest.raises(ValueError, match="at most 3"):
            jobs.submit(preset, ask(num_inference_steps=4), "ann")
        assert jobs.jobs("ann") == []
    finally:
        jobs.close()


def test_one_visitor_cannot_fill_the_queue(preset):
    executor: Any = ByHand()
    jobs = JobQueue(executor, max_queue=6, limits=Limits(waiting_each=2))
    try:
        reach(jobs.submit(preset, preset.request, "ann"), started)
        for _ in range(2):
            jobs.submit(preset, preset.request, "ann")
        with pytest.raises(QueueFull, match="You have 2 jobs waiting"):
            jobs.submit(preset, preset.request, "ann")
        assert jobs.submit(preset, dataclasses.replace(preset.request), "bob").state == "waiting"
    finally:
        jobs.close()

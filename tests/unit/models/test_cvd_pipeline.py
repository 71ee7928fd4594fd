"""CVD from a request to clips, with the real classes at toy size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from models.cvd import METHOD
from models.cvd.cameras import view_cameras
from models.cvd.config import CvdRequest, CvdWeights
from models.cvd.pipeline import CvdPipeline
from models.cvd.unet import ViewConditions
from models.method import Step, StopRequested
from tests.unit.models import tiny_animatediff as tiny


@pytest.fixture(scope="module")
def pipeline() -> CvdPipeline:
    return CvdPipeline(**tiny.cvd_parts())


def request(**changes) -> CvdRequest:
    small: dict[str, Any] = {
        "height": tiny.SIZE,
        "width": tiny.SIZE,
        "num_frames": tiny.FRAMES,
        "num_inference_steps": 2,
    }
    return CvdRequest(**{"prompt": "a ball", "guidance_scale": 2.0} | small | changes)


def frames(pipeline: CvdPipeline, **changes) -> np.ndarray:
    return np.stack([clip.frames for clip in pipeline(request(**changes), lambda step: None)])


@pytest.mark.parametrize("num_views", [1, 2, 3])
def test_every_view_becomes_a_clip(pipeline, num_views):
    steps: list[Step] = []
    clips = pipeline(request(num_views=num_views), steps.append)
    assert [clip.name for clip in clips] == [f"view {i + 1}" for i in range(num_views)]
    assert all(clip.frames.shape == (tiny.FRAMES, tiny.SIZE, tiny.SIZE, 3) for clip in clips)
    assert all(clip.frames.dtype == np.uint8 for clip in clips)
    assert [step.index for step in steps] == list(range(1, steps[0].total + 1))
    assert steps[-1].preview.shape == (tiny.SIZE, num_views * tiny.SIZE, 3)


def test_the_same_seed_gives_the_same_videos(pipeline):
    first, again, other = (frames(pipeline, num_views=3, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_without_synchronisation_a_view_does_not_depend_on_the_others(pipeline):
    options = {"synchronized": False, "repeats": 1}
    alone = frames(pipeline, num_views=2, cameras="still; orbit left", **options)
    moved = frames(pipeline, num_views=2, cameras="still; orbit right", **options)
    assert np.array_equal(alone[0], moved[0])
    assert not np.array_equal(alone[1], moved[1])


def test_with_synchronisation_it_does(pipeline):
    one = frames(pipeline, num_views=2, cameras="still; orbit left")
    other = frames(pipeline, num_views=2, cameras="still; dolly in")
    assert not np.array_equal(one[0], other[0])


def test_a_stop_passes_through_and_leaves_the_network_clean(pipeline):
    def stop(step: Step) -> None:
        raise StopRequested

    with pytest.raises(StopRequested):
        pipeline(request(), stop)
    assert pipeline.unet._state.conditions == ViewConditions()
    assert len(frames(pipeline)) == 2


def test_too_many_frames_for_the_weights(pipeline):
    with pytest.raises(ValueError, match="Frames must be at most 4 with these weights, got 8"):
        pipeline(request(num_frames=8), lambda step: None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cameras": "spiral"}, "'spiral' is not a camera path. Known: circle"),
        ({"cameras": "orbit left; pan left; still"}, "There are 3 camera paths for 2 views"),
        ({"cameras": ""}, "There are 0 camera paths for 2 views"),
        ({"cameras": "gone.txt; still"}, r"no camera file at 'gone\.txt'"),
        ({"num_views": 9}, "Views must be between 1 and 6, got 9"),
        ({"prompt": " "}, "Prompt is empty"),
        ({"prompt": "a \ud800 cube"}, "Prompt holds half of a character"),
        ({"seed": 2**32}, "Seed must be between 0 and 4294967295, got 4294967296"),
    ],
)
def test_a_request_that_cannot_work_says_why(changes, message):
    with pytest.raises(ValueError, match=message):
        request(**changes)


def test_named_paths_have_square_pixels_at_any_size():
    cameras = view_cameras("orbit", 2, 4, 32, 64)
    assert np.allclose(cameras.intrinsics[..., 0], cameras.intrinsics[..., 1])
    assert np.allclose(cameras.intrinsics[0, 0, 2:], [32, 16])


def test_the_recipe_names_what_the_pipeline_takes():
    recipe = METHOD.recipe(CvdWeights("u", "p", "v", "t", "k", "s"))
    assert {component.name for component in recipe.components} == set(tiny.cvd_parts())


def test_guidance_copies_do_not_see_each_other():
    """Two copies of every view with different texts give what each text gives alone."""
    unet = tiny.cvd_unet()
    pipe = CvdPipeline(**tiny.cvd_parts())
    cameras = view_cameras("circle", 2, tiny.FRAMES, tiny.SIZE, tiny.SIZE)
    bias = pipe.epipolar_bias(cameras, (tiny.SIZE, tiny.SIZE), torch.Generator().manual_seed(0))
    assert bias is not None
    bias._slopes = lambda count: torch.full((count,), 0.5)
    from models.cvd.epipolar_attention import Synchronization

    conditions = ViewConditions(
        pipe.encode_cameras(cameras, tiny.SIZE, tiny.SIZE), Synchronization(((1,), (0,)), bias)
    )
    torch.manual_seed(0)
    sample, texts = torch.randn(2, 4, tiny.FRAMES, 8, 8), torch.randn(2, 5, tiny.TEXT_DIM)
    with torch.no_grad():
        both = unet(sample.repeat_interleave(2, 0), 500, texts.repeat(2, 1, 1), conditions)
        for copy, text in enumerate(texts):
            alone = unet(sample, 500, torch.stack([text] * 2), conditions)
            torch.testing.assert_close(both[copy::2], alone, atol=1e-4, rtol=1e-4)

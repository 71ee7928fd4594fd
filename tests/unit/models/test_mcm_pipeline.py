"""MCM from a request to a clip, and its schedule, with the real classes at toy size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AnimateDiffPipeline, LCMScheduler, MotionAdapter, UNet2DConditionModel

from models.common.animatediff.sizes import check_size
from models.mcm import METHOD
from models.mcm.adapter import merge_adapter
from models.mcm.config import McmRequest, McmWeights
from models.mcm.pipeline import McmPipeline
from models.mcm.sampler import student_scheduler
from models.method import Step, StopRequested
from tests.unit.models import tiny_animatediff as tiny
from tests.unit.models.test_mcm_adapter import save_adapter


def make_pipeline(kind: str) -> McmPipeline:
    build = {"animatediff": tiny.motion_unet, "modelscope": tiny.modelscope_unet}[kind]
    parts = {**tiny.text_parts(), **tiny.frame_parts()}
    return McmPipeline(unet=build(), teacher=build(seed=9), **parts)


@pytest.fixture(scope="module", params=["animatediff", "modelscope"])
def pipeline(request) -> McmPipeline:
    return make_pipeline(request.param)


def request(**changes) -> McmRequest:
    small: dict[str, Any] = {"prompt": "a ball", "height": tiny.SIZE, "width": tiny.SIZE, "num_frames": tiny.FRAMES}
    return McmRequest(**small | changes)


@pytest.mark.parametrize("num_inference_steps", [1, 4, 8])
def test_a_few_steps_make_a_clip(pipeline, num_inference_steps):
    steps: list[Step] = []
    (clip,) = pipeline(request(num_inference_steps=num_inference_steps), steps.append)
    assert clip.frames.shape == (tiny.FRAMES, tiny.SIZE, tiny.SIZE, 3)
    assert clip.frames.dtype == np.uint8
    assert [(step.index, step.total) for step in steps] == [
        (i + 1, num_inference_steps) for i in range(num_inference_steps)
    ]
    assert steps[-1].preview.shape == (tiny.SIZE, tiny.SIZE, 3)


def test_the_same_seed_gives_the_same_video(pipeline):
    first, again, other = (pipeline(request(seed=seed), lambda _: None)[0].frames for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_teacher_takes_its_many_steps(pipeline):
    steps: list[Step] = []
    (clip,) = pipeline(request(teacher=True, teacher_steps=10), steps.append)
    assert len(steps) == 10
    assert clip.frames.shape == (tiny.FRAMES, tiny.SIZE, tiny.SIZE, 3)


def test_a_missing_teacher_is_said():
    student: dict[str, Any] = {"unet": "u", "vae": "v", "text_encoder": "t", "tokenizer": "k", "scheduler": "s"}
    assert METHOD.check is not None
    with pytest.raises(ValueError, match="without their teacher"):
        METHOD.check(McmWeights(**student), request(teacher=True))
    for weights in (McmWeights(**student, teacher="t"), McmWeights(**student, adapter="a")):
        METHOD.check(weights, request(teacher=True))
    METHOD.check(McmWeights(**student), request())


def test_a_stop_passes_through(pipeline):
    def stop(step: Step) -> None:
        raise StopRequested

    with pytest.raises(StopRequested):
        pipeline(request(), stop)


def test_an_odd_size_is_refused_with_the_step():
    pipe = make_pipeline("animatediff")
    check_size(pipe.unet.config, pipe.vae.config, 32, 40)
    with pytest.raises(ValueError, match="multiples of 8 with these weights, got 32 and 36"):
        check_size(pipe.unet.config, pipe.vae.config, 32, 36)


def test_schedule_of_the_authors_demo():
    scheduler = student_scheduler(tiny.frame_parts()["scheduler"], tiny.motion_unet())
    assert isinstance(scheduler, LCMScheduler)
    assert scheduler.config["timestep_scaling"] == 4.0
    for steps, expected in {1: [999], 2: [999, 499], 4: [999, 759, 499, 259]}.items():
        scheduler.set_timesteps(steps)
        assert scheduler.timesteps.tolist() == expected


def test_a_seed_gives_the_video_of_diffusers_pipeline():
    """The authors' demo is diffusers' pipeline with guidance 1: same noise, same numbers."""
    torch.manual_seed(0)
    spatial = UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, cross_attention_dim=16,
        attention_head_dim=4, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    motion = MotionAdapter(
        block_out_channels=(8, 16), motion_layers_per_block=1, motion_norm_num_groups=4, motion_num_attention_heads=4
    )
    parts = {**tiny.text_parts(), **tiny.frame_parts()}
    theirs: Any = AnimateDiffPipeline(
        vae=parts["vae"], text_encoder=parts["text_encoder"], tokenizer=parts["tokenizer"], unet=spatial,
        motion_adapter=motion, scheduler=student_scheduler(parts["scheduler"], tiny.motion_unet()),
    )  # fmt: skip
    theirs.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(42)
    video = theirs(
        "a ball", num_frames=tiny.FRAMES, height=tiny.SIZE, width=tiny.SIZE, guidance_scale=1.0,
        num_inference_steps=4, generator=generator, output_type="np",
    ).frames[0]  # fmt: skip
    ours = McmPipeline(unet=theirs.unet, **parts)
    (clip,) = ours(request(seed=42), lambda _: None)
    assert np.abs(clip.frames.astype(int) - np.round(video * 255).astype(int)).max() <= 1


@pytest.mark.parametrize("network", ["animatediff", "modelscope"])
def test_the_recipe_names_what_the_pipeline_takes(network):
    recipe = METHOD.recipe(McmWeights("u", "v", "t", "k", "s", "base", network=network))
    assert {component.name for component in recipe.components} == {
        "tokenizer", "text_encoder", "unet", "teacher", "scheduler", "vae",
    }  # fmt: skip


def test_with_an_adapter_one_network_is_both_teacher_and_student(tmp_path):
    recipe = METHOD.recipe(McmWeights("u", "v", "t", "k", "s", adapter="a"))
    assert "teacher" not in {component.name for component in recipe.components}
    with pytest.raises(ValueError, match="unet is the teacher already"):
        METHOD.recipe(McmWeights("u", "v", "t", "k", "s", teacher="base", adapter="a"))

    save_adapter(tiny.motion_unet(), tmp_path)
    parts = {**tiny.text_parts(), **tiny.frame_parts()}
    made = {
        "lent": McmPipeline(unet=tiny.motion_unet(), adapter=str(tmp_path), **parts),
        "merged": McmPipeline(unet=merge_adapter(tiny.motion_unet(), tmp_path), teacher=tiny.motion_unet(), **parts),
    }
    for teacher in (False, True):
        lent, merged = (pipe(request(teacher=teacher, teacher_steps=2), lambda _: None)[0] for pipe in made.values())
        assert np.abs(lent.frames.astype(int) - merged.frames).max() <= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"num_inference_steps": 9}, "Steps must be between 1 and 8, got 9"), ({"prompt": ""}, "Prompt is empty")],
)
def test_a_request_that_cannot_work_says_why(changes, message):
    with pytest.raises(ValueError, match=message):
        request(**changes)

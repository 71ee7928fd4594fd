"""CustomVideoX's pipeline with tiny parts: words and a picture in, frames out, each idea with its own switch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from models.customvideox import METHOD
from models.customvideox.config import CustomVideoXRequest, Weights, check
from models.customvideox.inspector import SubjectInspector
from models.customvideox.pipeline import Branches, CustomVideoXPipeline
from models.method import Step, StopRequested
from tests.unit.models import cogvideox_parts as parts
from tests.unit.models.test_customvideox_network import lora_for, network


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A LoRA, and two pictures."""
    lora_for(network(parts.PATCHED)).save(tmp_path / "lora")
    lora_for(network(parts.PATCHED), mask="joint", rows="reference").save(tmp_path / "joint")
    for name, colour in (("red", (220, 20, 20)), ("blue", (20, 20, 220))):
        picture = np.full((48, 48, 3), 255, np.uint8)
        picture[12:36, 8:40] = colour
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    return tmp_path


def make(folder: Path, lora: str = "lora", **changes: Any) -> CustomVideoXPipeline:
    arguments: dict[str, Any] = {
        "transformer": network(parts.PATCHED),
        "vae": parts.vae(1),
        "text_encoder": parts.text_encoder(),
        "tokenizer": parts.tokenizer(),
        "scheduler": parts.scheduler(),
        "lora_source": str(folder / lora),
        "height": 24,
        "width": 32,
        "frames": (8,),
    }
    return CustomVideoXPipeline(**arguments | changes)


def ask(folder: Path, picture: str = "red", **changes: Any) -> CustomVideoXRequest:
    values = {
        "prompt": "a red ball",
        "reference": folder / f"{picture}.png",
        "num_inference_steps": 4,
        "num_frames": 8,
    }
    return CustomVideoXRequest(**values | changes)


def frames_of(pipeline: CustomVideoXPipeline, request: CustomVideoXRequest) -> np.ndarray:
    return pipeline(request, lambda step: None)[0].frames


def calls_of(pipeline: CustomVideoXPipeline) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []
    pipeline.transformer.register_forward_pre_hook(lambda m, args, kw: calls.append(kw), with_kwargs=True)
    return calls


def test_a_request_becomes_a_video_and_a_clip_of_the_attention(folder):
    steps: list[Step] = []
    video, attention = make(folder)(ask(folder), steps.append)
    assert video.frames.shape == (8, 24, 32, 3) and video.name == "video"
    assert attention.name == "attention" and attention.fps == video.fps == 8
    assert len(attention.frames) == 8 and attention.frames.shape[1] > 256
    assert [(s.index, s.total) for s in steps] == [(i, 4) for i in range(1, 5)]


def test_the_second_clip_is_left_out_when_nobody_asks_or_there_is_no_picture(folder):
    pipeline = make(folder)
    assert len(pipeline(ask(folder, show_attention=False), lambda step: None)) == 1
    assert len(pipeline(ask(folder, reference_attention=False), lambda step: None)) == 1


@pytest.mark.parametrize("lora", ["lora", "joint"])
def test_another_picture_gives_another_video_and_a_seed_repeats_it(folder, lora):
    pipeline = make(folder, lora)
    first = frames_of(pipeline, ask(folder))
    assert np.array_equal(first, frames_of(pipeline, ask(folder)))
    assert not np.array_equal(first, frames_of(pipeline, ask(folder, "blue")))
    assert not np.array_equal(first, frames_of(pipeline, ask(folder, seed=1)))


@pytest.mark.parametrize(
    "off", [{"reference_attention": False}, {"time_aware_bias": False}, {"entity_region": False}], ids=str
)
def test_each_idea_acts(folder, off):
    pipeline = make(folder)
    assert not np.array_equal(frames_of(pipeline, ask(folder)), frames_of(pipeline, ask(folder, **off)))


def test_showing_the_attention_does_not_change_the_video(folder):
    pipeline = make(folder)
    for region in (True, False):
        shown, hidden = (
            frames_of(pipeline, ask(folder, entity_region=region, show_attention=s)) for s in (True, False)
        )
        assert np.array_equal(shown, hidden)


def test_without_reference_attention_neither_lora_nor_picture_is_needed(folder):
    pipeline = make(folder, "no such folder")
    calls = calls_of(pipeline)
    request = ask(folder, reference=None, reference_attention=False)
    frames_of(pipeline, request)
    assert all(call["memory"] is None and call["bias"] is None for call in calls)
    with pytest.raises(ValueError, match="There is no LoRA at"):
        frames_of(pipeline, ask(folder))


def test_the_picture_is_encoded_once_for_all_steps(folder):
    pipeline = make(folder)
    calls, encoded = calls_of(pipeline), []
    remember = pipeline.transformer.remember
    pipeline.transformer.remember = lambda *a: encoded.append(1) or remember(*a)  # pyright: ignore
    frames_of(pipeline, ask(folder))
    assert len(encoded) == 1
    assert len({id(call["memory"]) for call in calls}) == 1


def test_the_bias_follows_the_curve_and_then_the_region(folder):
    pipeline = make(folder)
    calls = calls_of(pipeline)
    frames_of(pipeline, ask(folder, num_inference_steps=11, bias_minimum=0.5))
    biases = [call["bias"] for call in calls]
    assert biases[0].exp().unique().tolist() == pytest.approx([0.5])  # before the first map there is no region
    assert biases[10].exp().unique().tolist() == pytest.approx([0.5])  # and at the end it rests
    middle = biases[5].exp()
    assert middle.min() == pytest.approx(1.0) and 1.0 < middle.max() <= 2.0 + 1e-5


def test_no_bias_at_all_with_both_switches_off(folder):
    pipeline = make(folder)
    calls = calls_of(pipeline)
    frames_of(pipeline, ask(folder, time_aware_bias=False, entity_region=False))
    assert all(call["bias"] is None for call in calls)


def test_the_negative_branch_keeps_the_picture(folder):
    pipeline = make(folder)
    calls = calls_of(pipeline)
    frames_of(pipeline, ask(folder, entity_region=False))
    assert all(len(call["hidden_states"]) == 2 and len(call["bias"]) == 1 for call in calls)


@pytest.mark.parametrize(("weight", "branches"), [(2.0, 3), (6.0, 2)])
def test_reference_guidance_adds_a_branch_that_does_not_see_the_picture(folder, weight, branches):
    pipeline = make(folder)
    calls = calls_of(pipeline)
    frames_of(pipeline, ask(folder, reference_guidance=weight, entity_region=False))
    bias = calls[0]["bias"]
    assert bias.isneginf().all(1).tolist() == [True] + [False] * (branches - 1)
    with torch.no_grad():
        pipeline.transformer.eval()
        call = calls[0] | {"bias": bias[:1], "hidden_states": calls[0]["hidden_states"][:1]}
        call |= {"encoder_hidden_states": call["encoder_hidden_states"][:1], "timestep": call["timestep"][:1]}
        blind = pipeline.transformer(**call)[0]
        torch.testing.assert_close(blind, pipeline.transformer(**call | {"memory": None, "bias": None})[0])


@pytest.mark.parametrize("words", [1.0, 4.0])
@pytest.mark.parametrize("picture_weight", [1.0, 2.0, 4.0])
def test_branches_combine_as_the_formula_says(words, picture_weight):
    nothing, picture, both = torch.randn(3, 1, 2, 3)
    guesses: dict[str, Tensor] = {"nothing": nothing, "picture": picture, "both": both}
    branches = Branches(True, words, picture_weight, constant=True)
    velocity = torch.cat([guesses[kind] for kind in branches.kinds])
    expected = nothing + picture_weight * (picture - nothing) + words * (both - picture)
    torch.testing.assert_close(branches.combine(velocity, words), expected)


def test_a_schedule_that_changes_needs_the_middle_branch():
    assert Branches(True, 4.0, 4.0, constant=False).kinds == ["nothing", "picture", "both"]
    assert Branches(False, 4.0, 4.0, constant=True).kinds == ["nothing", "both"]


def test_the_subjects_words_may_be_given(folder):
    pipeline = make(folder)
    assert pipeline.find_entity("a red ball", "") == [1, 2]
    assert pipeline.find_entity("a red ball", " ball ") == [2]
    with pytest.raises(ValueError, match="'cube' is not in the prompt"):
        frames_of(pipeline, ask(folder, entity="cube"))


def test_stop_passes_through_at_once(folder):
    pipeline = make(folder)
    calls = calls_of(pipeline)

    def stop(step: Step) -> None:
        raise StopRequested

    with pytest.raises(StopRequested):
        pipeline(ask(folder), stop)
    assert len(calls) == 1


def test_bfloat16_products_stay_close_to_float32(folder):
    exact = frames_of(make(folder), ask(folder)).astype(int)
    rough = frames_of(make(folder, compute_dtype="bfloat16"), ask(folder)).astype(int)
    assert 0 < np.abs(exact - rough).mean() < 6


def test_ddim_runs(folder):
    from diffusers import CogVideoXDDIMScheduler

    pipeline = make(folder, scheduler=CogVideoXDDIMScheduler(**parts.SCHEDULER))
    assert frames_of(pipeline, ask(folder)).shape == (8, 24, 32, 3)


def test_a_request_without_a_picture_is_a_sentence(folder):
    with pytest.raises(ValueError, match=r"Reference picture is missing\. Add one, or switch"):
        ask(folder, reference=None)
    with pytest.raises(ValueError, match=r"Weight at the ends is 0\.9, more than the 0\.6 in the middle"):
        ask(folder, bias_minimum=0.9, bias_maximum=0.6)
    with pytest.raises(ValueError, match="Frames must be 8 with these weights, got 9"):
        check(Weights(frames=[8]), ask(folder, num_frames=9))


def test_the_inspector_shows_what_the_network_sees(folder):
    (sight,) = SubjectInspector(height=24, width=32)("reference", folder / "red.png")
    assert sight.picture.shape == (24, 32, 3)
    assert (sight.picture[12, 16] < (255, 60, 60)).all()
    assert (sight.picture[0, 0] == 255).all()


def test_the_method_is_complete_and_each_ablation_changes_a_field():
    recipe = METHOD.recipe(Weights(lora="somewhere"))
    assert {part.name for part in recipe.components} == {
        "transformer", "vae", "text_encoder", "tokenizer", "scheduler",
    }  # fmt: skip
    assert [idea.off for idea in METHOD.ablations] == [
        {"reference_attention": False},
        {"time_aware_bias": False},
        {"entity_region": False},
    ]
    assert "neither code nor weights" in METHOD.note

"""RepVideo's pipeline with tiny parts: text in, frames out, every step reported."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.method import Step, StopRequested
from models.repvideo import METHOD
from models.repvideo.config import RepVideoRequest, Weights, check
from models.repvideo.pipeline import RepVideoPipeline
from tests.unit.models import cogvideox_parts as parts


def make(config: dict[str, Any] = parts.SMALL, ratio: int = 4, frames: int = 9, **changes: Any) -> RepVideoPipeline:
    arguments: dict[str, Any] = {
        "transformer": parts.network(config),
        "vae": parts.vae(ratio),
        "text_encoder": parts.text_encoder(),
        "tokenizer": parts.tokenizer(),
        "scheduler": parts.scheduler(),
        "height": 24,
        "width": 32,
        "frames": (frames,),
    }
    return RepVideoPipeline(**arguments | changes)


def ask(**changes: Any) -> RepVideoRequest:
    return RepVideoRequest(**{"prompt": "a red ball", "num_inference_steps": 2, "num_frames": 9} | changes)


def frames_of(pipeline: RepVideoPipeline, **changes: Any) -> np.ndarray:
    return pipeline(ask(**changes), lambda step: None)[0].frames


def record_calls(pipeline: RepVideoPipeline) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []
    pipeline.transformer.register_forward_pre_hook(lambda m, args, kw: calls.append(kw), with_kwargs=True)
    return calls


def test_a_request_becomes_a_clip_and_every_step_is_reported():
    steps: list[Step] = []
    (clip,) = make()(ask(num_inference_steps=3), steps.append)
    assert clip.frames.shape == (9, 24, 32, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.fps == 8
    assert [(s.index, s.total) for s in steps] == [(1, 3), (2, 3), (3, 3)]
    assert all(s.preview.shape == (3, 6, 8, 3) and s.preview.dtype == np.uint8 for s in steps)


@pytest.mark.parametrize("sampler", ["dpm", "ddim"])
def test_a_seed_means_the_same_frames_and_another_seed_others(sampler):
    pipeline = make()
    first = frames_of(pipeline, sampler=sampler, seed=0)
    assert np.array_equal(first, frames_of(pipeline, sampler=sampler, seed=0))
    assert not np.array_equal(first, frames_of(pipeline, sampler=sampler, seed=1))


def test_no_text_is_a_zero_embedding_not_the_embedding_of_nothing():
    pipeline = make()
    calls = record_calls(pipeline)
    frames_of(pipeline)
    embeds = calls[0]["encoder_hidden_states"]
    assert embeds.shape == (2, parts.TEXT_TOKENS, parts.TEXT_DIM)
    assert not embeds[0].any()
    assert embeds[1].any()


def test_no_text_is_the_empty_prompt_where_the_weights_were_trained_so():
    pipeline = make(unconditional="empty_prompt")
    embeds = pipeline.encode_prompt("a red ball")
    torch.testing.assert_close(embeds[:1], pipeline.encode_prompt("a", "")[:1])
    assert embeds[0].any()


def test_a_negative_prompt_is_encoded():
    pipeline = make()
    embeds = pipeline.encode_prompt("a", "red")
    torch.testing.assert_close(embeds[0], pipeline.encode_prompt("red")[1])


def test_the_text_encoder_sees_padding_without_a_mask():
    pipeline = make()
    seen: list[tuple[Any, dict[str, Any]]] = []
    pipeline.text_encoder.register_forward_pre_hook(lambda m, a, kw: seen.append((a, kw)), with_kwargs=True)
    pipeline.encode_prompt("a red ball")
    (ids,), keywords = seen[0]
    assert ids.tolist() == [[3, 4, 5, 1, 0, 0, 0, 0]]
    assert keywords == {}


def test_both_branches_are_one_batch_unless_guidance_is_one():
    pipeline = make()
    calls = record_calls(pipeline)
    frames_of(pipeline)
    frames_of(pipeline, guidance_schedule="constant", guidance_scale=1.0)
    assert [len(call["hidden_states"]) for call in calls] == [2, 2, 1, 1]
    assert [call["timestep"][0].item() for call in calls] == [999, 499] * 2


def test_the_cache_off_is_gates_at_zero():
    pipeline = make()
    on, off = frames_of(pipeline), frames_of(pipeline, feature_cache=False)
    assert not np.array_equal(on, off)
    with torch.no_grad():
        pipeline.transformer.learnable_gating.zero_()
    assert np.array_equal(frames_of(pipeline), off)


def test_the_cache_off_uses_the_weights_trained_without_it():
    other = parts.network(parts.SMALL, seed=9)
    pipeline = make(transformer_off=other)
    used: list[Tensor] = []
    other.register_forward_pre_hook(lambda m, args, kw: used.append(kw["feature_cache"]), with_kwargs=True)
    frames_of(pipeline)
    assert used == []
    off = frames_of(pipeline, feature_cache=False)
    assert used == [False, False]
    assert np.array_equal(off, frames_of(make(transformer=other), feature_cache=False))


def test_stop_passes_through_at_once():
    pipeline = make()
    calls = record_calls(pipeline)

    def stop(step: Step) -> None:
        raise StopRequested

    with pytest.raises(StopRequested):
        pipeline(ask(num_inference_steps=10), stop)
    assert len(calls) == 1


@pytest.mark.parametrize("frames", [8, 6, 1])
def test_patches_of_frames_are_filled_and_the_filling_is_dropped(frames):
    pipeline = make(parts.PATCHED, ratio=1, frames=frames)
    assert frames_of(pipeline, num_frames=frames).shape == (frames, 24, 32, 3)


def test_a_length_the_weights_cannot_make_is_a_sentence():
    with pytest.raises(ValueError, match=r"Frames must be 9 with these weights, got 10\. Try 9\."):
        make()(ask(num_frames=10), lambda step: None)
    with pytest.raises(ValueError, match=r"one of 9, 13 with these weights, got 12\. Try 13\."):
        check(Weights(frames=[9, 13]), ask(num_frames=12))


def test_bfloat16_products_stay_close_to_float32():
    exact = frames_of(make()).astype(int)
    rough = frames_of(make(compute_dtype="bfloat16")).astype(int)
    assert 0 < np.abs(exact - rough).mean() < 3


def test_the_method_is_complete_and_its_ablation_changes_a_field():
    recipe = METHOD.recipe(Weights(transformer_off="somewhere"))
    assert {part.name for part in recipe.components} == {
        "transformer", "transformer_off", "vae", "text_encoder", "tokenizer", "scheduler",
    }  # fmt: skip
    assert METHOD.ablations[0].off == {"feature_cache": False}
    assert "transformer_off" not in {part.name for part in METHOD.recipe(Weights()).components}

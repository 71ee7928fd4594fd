"""The AnimateDiff kind's recipe: what it trains is what the studio runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler
from transformers import CLIPTokenizer

from models.pocket.recipes import animatediff, animatediff_vae, clip_text
from models.pocket.recipes.animatediff import FRAMES, SCHEDULER, MotionTextToVideo, Velocity, frames_seen
from models.pocket.recipes.training import autocast
from models.pocket.world import caption, sample_scene


@pytest.fixture(scope="module")
def model() -> MotionTextToVideo:
    torch.manual_seed(0)
    return MotionTextToVideo(clip_text.build_tokenizer()).eval()


def test_every_word_of_a_caption_is_one_token(tmp_path: Path) -> None:
    tokenizer = clip_text.build_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    loaded = CLIPTokenizer.from_pretrained(tmp_path)
    for seed in range(200):
        words = caption(sample_scene(seed), np.random.default_rng(seed))
        ids = tokenizer(words).input_ids
        assert len(ids) == len(words.replace(",", " ,").split()) + 2 <= clip_text.MAX_TOKENS
        assert not set(tokenizer.all_special_ids) & set(ids[1:-1])
        assert loaded(words).input_ids == ids


@torch.no_grad()
def test_training_forward_equals_the_classes_the_studio_runs(model: MotionTextToVideo) -> None:
    latents, timestep = torch.randn(2, 32, FRAMES, 8, 8), torch.tensor([20, 900])
    ids = torch.randint(2, 300, (2, clip_text.MAX_TOKENS))
    trained = model(latents, timestep, ids, torch.arange(FRAMES))
    words = model.text_encoder(ids).last_hidden_state.repeat_interleave(FRAMES, dim=0)
    plain = model.plain_unet().eval()(latents, timestep, words).sample
    assert torch.allclose(trained, plain, atol=1e-5)


@torch.no_grad()
def test_a_frame_seen_alone_stands_at_its_true_place(model: MotionTextToVideo) -> None:
    latents, ids = torch.randn(1, 32, 1, 8, 8), torch.randint(2, 300, (1, clip_text.MAX_TOKENS))
    first, last = (model(latents, torch.tensor([500]), ids, torch.tensor([place])) for place in (0, FRAMES - 1))
    assert (first - last).abs().max() > 1e-3


def test_velocity_is_the_schedulers() -> None:
    scheduler: Any = DDIMScheduler(**SCHEDULER)
    latents, noise, timestep = torch.randn(3, 2, 4, 8, 8), torch.randn(3, 2, 4, 8, 8), torch.tensor([0, 400, 999])
    noisy, velocity = Velocity(torch.device("cpu"))(latents, noise, timestep)
    assert torch.allclose(noisy, scheduler.add_noise(latents, noise, timestep), atol=1e-6)
    assert torch.allclose(velocity, scheduler.get_velocity(latents, noise, timestep), atol=1e-6)


def test_pictures_come_before_motion() -> None:
    draws = np.linspace(0, 0.999, 50)
    means = [np.mean([frames_seen(progress, draw) for draw in draws]) for progress in (0.1, 0.4, 0.8)]
    assert means == sorted(means) and means[0] == 1
    assert {frames_seen(p, d) for p in (0.1, 0.4, 0.8) for d in draws} == set(animatediff.CLIPS_A_STEP)


def test_the_saved_vae_decodes_as_the_trained_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(animatediff_vae, "WEIGHTS", tmp_path)
    trained = animatediff_vae.autoencoder().eval()
    clips = np.random.default_rng(0).integers(0, 255, (4, 6, 64, 64, 3), dtype=np.uint8)
    pixels = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        expected = animatediff_vae.reconstruct(trained, pixels)[1]
        animatediff_vae.export(trained, clips, torch.device("cpu"))
        saved: Any = AutoencoderKL.from_pretrained(tmp_path / "vae", dtype=torch.float32).eval()
        given = saved.decode(saved.encode(pixels).latent_dist.sample()).sample
        with autocast(torch.device("cpu")):
            latents = saved.encode(torch.from_numpy(clips[:, 5]).movedim(-1, 1) / 127.5 - 1).latent_dist.mean
    assert torch.allclose(given, expected, atol=2e-2)
    assert float(latents.float().std()) * saved.config.scaling_factor == pytest.approx(1, abs=0.02)

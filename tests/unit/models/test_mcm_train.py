"""The distillation of MCM: its parts by their properties, and one update at toy size."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from transformers import Dinov2Config, Dinov2Model

from models.mcm.consistency import DDIMSolver, NoiseSchedule, boundary_scalings, pseudo_huber
from models.mcm.discriminator import ProjectedDiscriminator, augmented
from models.mcm.features import DinoFeatures, EncoderFeatures
from models.mcm.motion_representation import REPRESENTATIONS, SpatialHead
from models.mcm.sampler import predict_noise
from models.mcm.train import Batch, McmTraining, MotionConsistencyTrainer
from tests.unit.models import tiny_animatediff as tiny

TEACHERS = {"animatediff": tiny.motion_unet, "modelscope": tiny.modelscope_unet}


def test_the_consistency_function_is_the_identity_at_zero():
    c_skip, c_out = boundary_scalings(torch.tensor([0, 19, 999]))
    assert (c_skip[0].item(), c_out[0].item()) == (1.0, 0.0)
    assert c_skip[1] < 1e-4
    assert c_out[2] > 0.9999


def test_a_solver_step_with_the_true_noise_stays_on_the_trajectory():
    schedule = NoiseSchedule.of(tiny.frame_parts()["scheduler"])
    solver = DDIMSolver(schedule.alphas_cumprod)
    x0, noise = torch.randn(2, 3, 4, 2, 8, 8).unbind(0)
    index = torch.tensor([3, 20, 49])
    stepped = solver.step(x0, noise, index)
    timesteps = solver.timesteps[index]
    torch.testing.assert_close(solver.previous_timesteps(index), timesteps - 20)
    torch.testing.assert_close(stepped.float(), schedule.noised(x0, noise, timesteps - 20))
    noisy = schedule.noised(x0, noise, timesteps)
    torch.testing.assert_close(schedule.x0(noise, timesteps, noisy), x0, atol=1e-3, rtol=1e-3)


def test_a_new_representation_is_the_identity():
    latents = torch.randn(2, 4, 3, 6, 6)
    assert torch.equal(SpatialHead()(latents), latents)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_a_still_video_has_no_difference_and_equal_videos_no_loss(name):
    latents = torch.randn(1, 4, 1, 6, 6).expand(-1, -1, 3, -1, -1)
    motion = REPRESENTATIONS[name](latents)
    assert pseudo_huber(motion, motion).item() < 1e-7
    if name == "difference":
        assert torch.all(motion == 0)


def test_augmentation_comes_from_the_generator_and_keeps_gradients():
    pictures = torch.rand(3, 3, 16, 16, requires_grad=True)
    first, again = (augmented(pictures, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, again)
    first.sum().backward()
    assert pictures.grad is not None
    assert pictures.grad.abs().max() > 0


def test_dino_features_are_patch_tokens_of_the_papers_layers():
    dino = Dinov2Model(Dinov2Config(hidden_size=12, num_hidden_layers=12, num_attention_heads=2, image_size=28))
    features = DinoFeatures(dino, size=28)(torch.rand(2, 3, 40, 40) * 2 - 1)
    assert [tuple(f.shape) for f in features] == [(2, 4, 12)] * 4


def new_trainer(kind: str, settings: McmTraining) -> MotionConsistencyTrainer:
    torch.manual_seed(0)
    unet, parts = TEACHERS[kind](), tiny.frame_parts()
    vae = parts["vae"].requires_grad_(False)
    features = EncoderFeatures(vae)
    discriminator = ProjectedDiscriminator(features.channels, tiny.TEXT_DIM, range(len(features.channels)))
    return MotionConsistencyTrainer(
        unet, NoiseSchedule.of(parts["scheduler"]), lambda z: vae.decode(z / vae.config.scaling_factor).sample,
        features, discriminator, torch.Generator().manual_seed(0), settings,
    )  # fmt: skip


def new_batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(1, 4, tiny.FRAMES, 8, 8, generator=generator)
    text = torch.randn(1, 5, tiny.TEXT_DIM, generator=generator)
    pictures = torch.rand(2, 3, tiny.SIZE, tiny.SIZE, generator=generator) * 2 - 1
    return Batch(latents, text, torch.zeros_like(text), text.mean(1), pictures, text.mean(1).repeat(2, 1))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("animatediff", McmTraining(rank=2, learning_rate=1e-3)),
        ("modelscope", McmTraining(rank=2, learning_rate=1e-3, simulated_share=1.0)),
        ("animatediff", McmTraining(rank=2, learning_rate=1e-3, representation="difference", adversarial_weight=0.0)),
    ],
    ids=["animatediff", "modelscope, own videos", "difference, no pictures"],
)
def test_an_update_changes_the_student_and_not_its_teacher(kind, settings):
    trainer, batch = new_trainer(kind, settings), new_batch()
    unet = trainer.unet
    probe = (batch.latents, torch.tensor(500), batch.text)
    with torch.no_grad():
        before = predict_noise(unet, *probe)
    losses = [trainer.step(batch) for _ in range(2)]
    assert all(np.isfinite(list(each.values())).all() for each in losses)
    assert ("discriminator" in losses[0]) == bool(settings.adversarial_weight)
    with torch.no_grad():
        student = predict_noise(unet, *probe)
        with trainer.adapter.disable_adapter():
            torch.testing.assert_close(predict_noise(unet, *probe), before)
    assert not torch.allclose(student, before)


def test_a_distillation_taken_up_again_goes_on_as_if_never_stopped():
    first, again = (new_trainer("animatediff", McmTraining(rank=2, learning_rate=1e-3)) for _ in range(2))
    batch = new_batch()
    first.step(batch)
    again.load_state_dict(copy.deepcopy(first.state_dict()))  # torch's optimizers would share their moments
    for trainer in (first, again):
        trainer.generator.manual_seed(9)
        trainer.step(batch)
    for name, value in first.state_dict()["adapter"].items():
        torch.testing.assert_close(again.state_dict()["adapter"][name], value)

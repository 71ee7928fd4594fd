"""RepVideo's schedule, samplers and guidance."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers.schedulers.scheduling_ddim_cogvideox import CogVideoXDDIMScheduler

from models.common.cogvideox.guidance import guidance_weights
from models.repvideo.sampler import DdimSampler, DpmSampler, NoiseTable
from tests.unit.models.cogvideox_parts import SCHEDULER, scheduler


def test_timesteps_are_the_authors():
    assert NoiseTable.make().timesteps(50) == list(range(999, 0, -20))
    assert NoiseTable.make().timesteps(3) == [999, 666, 333]


def test_levels_are_anchored_to_the_run_and_x0_uses_the_nearest_table_entry():
    table = NoiseTable.make()
    five = DpmSampler(table, 5)
    assert five.table_index.tolist() == [999, 797, 595, 393, 191]
    assert five.levels[0] == 0
    assert five.levels[4] == table.levels[five.timesteps[-1]]  # the smallest timestep keeps its unscaled level
    assert five.levels[5] == 1
    fifty = DpmSampler(table, 50)
    shifted = [t - index for t, index in zip(fifty.timesteps, fifty.table_index.tolist(), strict=True)]
    assert shifted == [0 if t >= 179 else 1 for t in fifty.timesteps]


@pytest.mark.parametrize("steps", [1, 2, 3, 25])
@pytest.mark.parametrize("sampler", [DpmSampler, DdimSampler])
def test_a_perfect_network_is_followed_to_its_picture(sampler, steps):
    picture = torch.randn(1, 2, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    run = sampler(NoiseTable.make(), steps)
    latents = torch.randn(picture.shape, generator=generator)
    draws = 0

    def draw() -> torch.Tensor:
        nonlocal draws
        draws += 1
        return torch.randn(picture.shape, generator=generator)

    for index in range(steps):
        q = (run.denoiser_levels if sampler is DpmSampler else run.levels)[index].item()
        velocity = (q * latents - picture) / math.sqrt(1 - q * q)
        latents = run.step(index, latents, run.denoised(index, latents, velocity), draw)
        assert latents.isfinite().all()
    torch.testing.assert_close(latents, picture, rtol=1e-4, atol=1e-4)
    assert draws == (steps - 1 if sampler is DpmSampler else 0)


@pytest.mark.parametrize("steps", [5, 25])
def test_ddim_equals_diffusers(steps):
    theirs = CogVideoXDDIMScheduler(**SCHEDULER)
    theirs.set_timesteps(steps)
    ours = DdimSampler(NoiseTable.from_config(theirs.config), steps)
    assert ours.timesteps == theirs.timesteps.tolist()
    generator = torch.Generator().manual_seed(3)

    def no_noise() -> torch.Tensor:
        raise AssertionError("DDIM draws no noise")

    x = y = torch.randn(1, 2, 4, 3, 3, generator=generator)
    for index, t in enumerate(ours.timesteps):
        velocity = torch.randn(x.shape, generator=generator)
        x = ours.step(index, x, ours.denoised(index, x, velocity), no_noise)
        y = theirs.step(velocity, t, y, return_dict=False)[0]
    torch.testing.assert_close(x, y.float(), rtol=1e-4, atol=1e-4)


def test_an_unknown_recipe_is_refused():
    with pytest.raises(ValueError, match="prediction_type must be 'v_prediction'"):
        NoiseTable.from_config(scheduler(prediction_type="epsilon").config)


def test_the_authors_guidance_uses_the_raw_timestep():
    timesteps = NoiseTable.make().timesteps(50)
    weights = guidance_weights("dynamic", 6.0, timesteps, period=50)
    assert weights[:5] == pytest.approx([2.29, 2.54, 6.97, 6.42, 2.79], abs=0.01)
    assert guidance_weights("dynamic", 6.0, timesteps[:10], 50) != guidance_weights("dynamic", 6.0, timesteps[:10])


def test_smooth_guidance_rises_and_constant_does_not_move():
    timesteps = NoiseTable.make().timesteps(20)
    smooth = guidance_weights("smooth", 6.0, timesteps)
    assert smooth == sorted(smooth)
    assert smooth[0] == pytest.approx(1, abs=1e-3)
    assert smooth[-1] == pytest.approx(7)
    assert set(guidance_weights("constant", 4.0, timesteps)) == {4.0}
    with pytest.raises(ValueError, match="dynamic, smooth or constant"):
        guidance_weights("quick", 4.0, timesteps)

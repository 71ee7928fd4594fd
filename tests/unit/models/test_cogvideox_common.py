"""Latents, rotary positions and previews that the CogVideoX methods share."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from safetensors.torch import save_file

from models.common.cogvideox.latents import decode_latents, latent_frame_count, padding_frames, to_uint8
from models.common.cogvideox.preview import LatentPreview
from models.common.cogvideox.rotary import Region, fit_region, region_positions, rotary_for
from tests.unit.models import cogvideox_parts as parts


def config_of(**changes: Any) -> SimpleNamespace:
    base = {
        "use_rotary_positional_embeddings": True, "patch_size": 2, "patch_size_t": None, "attention_head_dim": 32,
        "sample_height": 60, "sample_width": 90,
    }  # fmt: skip
    return SimpleNamespace(**base | changes)


def test_frames_and_their_padding():
    assert [latent_frame_count(n, 4) for n in (1, 5, 9, 49)] == [1, 2, 3, 13]
    assert [latent_frame_count(n, 1) for n in (1, 20)] == [1, 20]
    assert [padding_frames(n, 4) for n in (20, 18, 1)] == [0, 2, 3]
    assert padding_frames(7, None) == 0


def test_rotary_of_frame_patches_equals_diffusers():
    cos, sin = rotary_for(config_of(patch_size_t=4), 20, 16, 12) or (None, None)
    theirs: Any = get_3d_rotary_pos_embed(32, None, (8, 6), 5, grid_type="slice", max_size=(8, 6))
    torch.testing.assert_close(cos, theirs[0])
    torch.testing.assert_close(sin, theirs[1])


def test_rotary_of_the_trained_size_equals_diffusers():
    cos, sin = rotary_for(config_of(), 3, 60, 90) or (None, None)
    theirs: Any = get_3d_rotary_pos_embed(32, ((0, 0), (30, 45)), (30, 45), 3)
    torch.testing.assert_close(cos, theirs[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(sin, theirs[1], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("grid", "region"),
    [((30, 53), (2, 0, 27, 45)), ((30, 40), (0, 2, 30, 42)), ((30, 30), (0, 8, 30, 38)), ((53, 30), (0, 14, 30, 31))],
)
def test_other_sizes_lie_centred_in_the_trained_grid(grid: tuple[int, int], region: Region):
    assert fit_region(*grid, 30, 45) == region
    rows, columns = region_positions(region, *grid)
    assert rows[0] == region[0]
    assert columns[0] == region[1]
    assert rows[1] - rows[0] == pytest.approx((region[2] - region[0]) / grid[0], abs=1e-5)


def test_no_rotary_where_the_config_has_none():
    assert rotary_for(config_of(use_rotary_positional_embeddings=False), 3, 60, 90) is None


def test_frames_are_truncated_or_rounded():
    video = torch.tensor([-2.0, -1.0, 0.0, 0.9999, 3.0]).reshape(1, 1, 5, 1, 1).expand(1, 3, 5, 1, 1)
    assert to_uint8(video)[0, :, 0, 0, 0].tolist() == [0, 0, 127, 254, 255]
    assert to_uint8(video, rounding="round")[0, :, 0, 0, 0].tolist() == [0, 0, 128, 255, 255]


@torch.no_grad()
def test_latents_are_unscaled_by_every_number_of_the_config():
    vae: Any = parts.vae()
    latents = torch.randn(1, 3, parts.CHANNELS, 4, 4)
    plain = vae.decode(latents.transpose(1, 2) / 0.7).sample
    torch.testing.assert_close(decode_latents(vae, latents), plain)
    vae.register_to_config(shift_factor=0.5)
    torch.testing.assert_close(decode_latents(vae, latents - 0.35), plain, atol=1e-4, rtol=1e-3)


def test_the_fitted_preview_is_found_beside_the_vae(tmp_path):
    weight = torch.zeros(3, 4)
    weight[0, 1] = 1
    save_file({"weight": weight, "bias": torch.tensor([0.0, -1.0, 1.0])}, tmp_path / "preview.safetensors")
    latents = torch.zeros(2, 4, 5, 6)
    latents[:, 1] = 1
    frames = LatentPreview.load(str(tmp_path), 4).frames(latents)
    assert frames.shape == (2, 5, 6, 3)
    assert np.unique(frames.reshape(-1, 3), axis=0).tolist() == [[255, 0, 255]]


@pytest.mark.parametrize("channels", [4, 8, 16])
def test_without_a_fit_the_preview_still_shows_contrast(channels):
    frames = LatentPreview.load("hub:owner/name:vae", channels).frames(torch.randn(2, channels, 16, 16))
    assert 20 < frames.std() < 90

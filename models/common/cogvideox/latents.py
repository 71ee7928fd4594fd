"""Latents of the CogVideoX VAE: their shape for a clip, their noise, and back to frames."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor


def latent_frame_count(num_frames: int, temporal_ratio: int) -> int:
    """Latent frames of a clip: the first frame alone, then one per `temporal_ratio` frames."""
    return (num_frames - 1) // temporal_ratio + 1


def padding_frames(latent_frames: int, patch_size_t: int | None) -> int:
    """Latent frames to put in front so that the patches of `patch_size_t` frames come out even (CogVideoX 1.5)."""
    return -latent_frames % (patch_size_t or 1)


def latent_shape(config: Any, vae: Any, num_frames: int, height: int, width: int) -> tuple[int, int, int, int, int]:
    """[1, latent_frames, channels, h, w] of a clip, with frames in front to fill the first patch; sizes in pixels.

    `config` is the transformer's.
    """
    frames = latent_frame_count(num_frames, int(vae.config.temporal_compression_ratio))
    ratio = spatial_ratio(vae)
    return 1, frames + padding_frames(frames, config.patch_size_t), config.in_channels, height // ratio, width // ratio


def draw_noise(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    """Standard normal float32 from a CPU generator, so that a seed means the same on every machine."""
    return torch.randn(shape, generator=generator, dtype=torch.float32).to(device)


def spatial_ratio(vae: Any) -> int:
    """Pixels per latent, in height and width."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def decode_latents(vae: Any, latents: Tensor) -> Tensor:
    """[batch, latent_frames, channels, h, w] as denoised -> [batch, 3, frames, height, width], about -1..1.

    diffusers' VAE decodes a few latent frames at a time and hands the causal cache on, as the authors do.
    """
    config = vae.config
    z = latents.permute(0, 2, 1, 3, 4).to(vae.dtype)
    if config.latents_std is not None:
        z = z * torch.tensor(config.latents_std).to(z).view(1, -1, 1, 1, 1)
    z = z / config.scaling_factor
    if config.latents_mean is not None:
        z = z + torch.tensor(config.latents_mean).to(z).view(1, -1, 1, 1, 1)
    if config.shift_factor is not None:
        z = z + config.shift_factor
    return vae.decode(z).sample


def to_uint8(video: Tensor, rounding: Literal["truncate", "round"] = "truncate") -> np.ndarray:
    """[batch, 3, frames, height, width] in -1..1 -> uint8 [batch, frames, height, width, 3].

    The authors of RepVideo truncate, those of EchoVideo round.
    """
    levels = ((video.float() + 1) / 2).clamp(0, 1) * 255
    if rounding == "round":
        levels = levels.round()
    return levels.to(torch.uint8).permute(0, 2, 3, 4, 1).cpu().numpy()

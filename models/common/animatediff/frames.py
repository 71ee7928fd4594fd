"""Latents of a frame-wise VAE: their noise, and back to pictures, a few frames at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from models.common.animatediff.sizes import halvings

FRAMES_AT_ONCE = 8  # decoding is the peak of memory use; more at once is not faster


def spatial_ratio(vae: Any) -> int:
    """Pixels per latent, in height and width."""
    return 2 ** halvings(vae.config)


def draw_latents(
    unet: Any, vae: Any, videos: int, num_frames: int, height: int, width: int, generator: torch.Generator
) -> Float[Tensor, "videos channels frames height width"]:
    """Standard normal float32 noise from a CPU generator, so that a seed means the same on every machine."""
    ratio = spatial_ratio(vae)
    shape = (videos, unet.config.in_channels, num_frames, height // ratio, width // ratio)
    return torch.randn(shape, generator=generator).to(unet.device)


def decode_frames(
    vae: Any, latents: Float[Tensor, "videos channels frames _ _"]
) -> UInt8[np.ndarray, "videos frames height width 3"]:
    """Pictures of every video."""
    frames = latents.transpose(1, 2).flatten(0, 1).to(vae.dtype) / vae.config.scaling_factor
    frames = frames + (getattr(vae.config, "shift_factor", None) or 0)
    pictures = torch.cat([vae.decode(part).sample for part in frames.split(FRAMES_AT_ONCE)])
    levels = ((pictures.float() / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).unflatten(0, (len(latents), -1)).cpu().numpy()


def preview(vae: Any, denoised: Float[Tensor, "videos channels frames _ _"]) -> UInt8[np.ndarray, "height width 3"]:
    """The middle frame of every video as the network sees it now, side by side."""
    middle = denoised.shape[2] // 2
    return np.concatenate(decode_frames(vae, denoised[:, :, middle : middle + 1])[:, 0], axis=1)

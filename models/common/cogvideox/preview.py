"""A picture of latents without the VAE: one linear map from latent channels to colour, a fraction of a millisecond."""

from __future__ import annotations

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from models.method import REPOSITORY

FILE = "preview.safetensors"  # beside the VAE's config: weight [3, channels], bias [3], fitted when the VAE was made


class LatentPreview:
    """rgb = weight @ latents + bias, in -1..1, for latents scaled as the transformer sees them."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight, self.bias = weight.float(), bias.float()

    @classmethod
    def load(cls, vae_source: str, channels: int) -> LatentPreview:
        """The map beside a VAE on this machine, else one that shows layout and motion in arbitrary colours."""
        path = REPOSITORY / vae_source / FILE
        if not vae_source.startswith("hub:") and path.is_file():
            tensors = load_file(path)
            return cls(tensors["weight"], tensors["bias"])
        # unit-variance latents give colours with a spread of about a quarter of the range
        waves = torch.arange(3)[:, None] * (2 * torch.pi / 3) + torch.arange(channels) * 2.4
        return cls(torch.cos(waves) * 0.5 * (2 / channels) ** 0.5, torch.zeros(3))

    def frames(self, latents: Tensor) -> np.ndarray:
        """[frames, channels, height, width] -> uint8 [frames, height, width, 3], one pixel per latent."""
        rgb = torch.einsum("kc,fchw->fhwk", self.weight.to(latents.device), latents.float())
        rgb = ((rgb + self.bias.to(latents.device) + 1) / 2).clamp(0, 1) * 255
        return rgb.to(torch.uint8).cpu().numpy()

"""Frozen feature networks for the discriminator: what it looks at instead of pixels."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from models.mcm.discriminator import DINO_LAYERS

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Pictures = Float[Tensor, "batch 3 height width"]


class DinoFeatures(nn.Module):
    """Patch tokens of DINOv2 ViT-S/14 after blocks 2, 5, 8 and 11, of pictures in -1..1 brought to 224 pixels (the
    paper)."""

    def __init__(self, dino: nn.Module, layers: tuple[int, ...] = DINO_LAYERS, size: int = 224) -> None:
        super().__init__()
        self.dino, self.layers, self.size = dino, layers, size

    def forward(self, pictures: Pictures) -> list[Float[Tensor, "batch tokens channels"]]:
        mean, std = (torch.tensor(v).to(pictures).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
        resized = F.interpolate(pictures / 2 + 0.5, size=(self.size, self.size), mode="area")
        states = self.dino((resized - mean) / std, output_hidden_states=True).hidden_states
        return [states[layer + 1][:, 1:] for layer in self.layers]  # state 0 is the embedding, token 0 the class


class EncoderFeatures(nn.Module):
    """Every level of a VAE's encoder, a place a token: for pocket sizes, where DINO's 14-pixel patches see nothing."""

    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.encoder: Any = vae.encoder

    @property
    def channels(self) -> list[int]:
        return [block.resnets[-1].conv2.out_channels for block in self.encoder.down_blocks]

    def forward(self, pictures: Pictures) -> list[Float[Tensor, "batch tokens _"]]:
        hidden_states, levels = self.encoder.conv_in(pictures), []
        for block in self.encoder.down_blocks:
            hidden_states = block(hidden_states)
            levels.append(hidden_states.flatten(2).transpose(1, 2))
        return levels

"""MCM's idea, second half: appearance from an adversarial loss, whose real pictures may be better than the video set.

One small head on each of several layers of a frozen feature network (DINOv2 ViT-S/14, layers 2, 5, 8, 11 in the
paper), conditioned on the caption. Shape of the heads: projected discriminator of StyleGAN-T (arXiv:2301.09515,
section 3.2), written from its description; NVIDIA's code does not permit redistribution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

DINO_LAYERS = (2, 5, 8, 11)
CONDITION_DIM = 64
VIRTUAL_BATCH = 8
PENALTY_WEIGHT = 1e-5


class VirtualBatchNorm(nn.Module):
    """Normalises every channel over groups of at most 8 samples and their tokens, the same in training and use."""

    def __init__(self, channels: int, group_size: int = VIRTUAL_BATCH, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.group_size, self.eps = group_size, eps

    def forward(self, tokens: Float[Tensor, "batch channels tokens"]) -> Float[Tensor, "batch channels tokens"]:
        groups = tokens.unflatten(0, (math.ceil(len(tokens) / self.group_size), -1))
        mean = groups.mean((1, 3), keepdim=True)
        variance = groups.var((1, 3), keepdim=True, unbiased=False)
        normalized = ((groups - mean) / (variance + self.eps).sqrt()).flatten(0, 1)
        return normalized * self.weight[:, None] + self.bias[:, None]


class HeadBlock(nn.Sequential):
    """Spectrally normalised convolution along the tokens (a ring), normalisation, leaky ReLU."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        convolution = nn.Conv1d(channels, channels, kernel_size, padding=kernel_size // 2, padding_mode="circular")
        super().__init__(spectral_norm(convolution, eps=1e-12), VirtualBatchNorm(channels), nn.LeakyReLU(0.2))


class Residual(nn.Module):
    """(fn(x) + x) / sqrt(2), which keeps the variance."""

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return (self.fn(x) + x) / math.sqrt(2)


class DiscriminatorHead(nn.Module):
    """Logits of every token of one layer: a linear map of the features, projected on the caption."""

    def __init__(self, channels: int, text_dim: int) -> None:
        super().__init__()
        self.main = nn.Sequential(HeadBlock(channels, 1), Residual(HeadBlock(channels, 9)))
        self.cls = spectral_norm(nn.Conv1d(channels, CONDITION_DIM, 1), eps=1e-12)
        self.cmapper = nn.Linear(text_dim, CONDITION_DIM)

    def forward(
        self, features: Float[Tensor, "batch tokens channels"], text: Float[Tensor, "batch text_dim"]
    ) -> Float[Tensor, "batch tokens"]:
        out = self.cls(self.main(features.transpose(1, 2)))
        return (out * self.cmapper(text)[..., None]).sum(1) / math.sqrt(CONDITION_DIM)


class ProjectedDiscriminator(nn.Module):
    """One head per layer of the frozen feature network; all logits side by side."""

    def __init__(
        self, channels: int | Sequence[int] = 384, text_dim: int = 1024, layers: Sequence[int] = DINO_LAYERS
    ) -> None:
        super().__init__()
        widths = [channels] * len(layers) if isinstance(channels, int) else channels
        self.heads = nn.ModuleDict(
            {str(layer): DiscriminatorHead(width, text_dim) for layer, width in zip(layers, widths, strict=True)}
        )

    def forward(
        self, features: Sequence[Tensor], text: Float[Tensor, "batch text_dim"]
    ) -> Float[Tensor, "batch logits"]:
        return torch.cat([head(f, text) for head, f in zip(self.heads.values(), features, strict=True)], dim=1)


def generator_loss(fake: Tensor) -> Float[Tensor, ""]:
    """-mean D(fake)."""
    return -fake.mean()


def discriminator_losses(real: Tensor, fake: Tensor) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Hinge without its constant: mean max(-1, -D(real)) and mean max(-1, D(fake)). The authors call it wgan."""
    return (-real).clamp_min(-1).mean(), fake.clamp_min(-1).mean()


def gradient_penalty(
    discriminator: ProjectedDiscriminator, features: Sequence[Tensor], text: Tensor
) -> Float[Tensor, ""]:
    """mean (|gradient| - 1)^2 with respect to the features of pictures between real and fake ones."""
    inputs = [f.detach().requires_grad_(True) for f in features]
    logits = discriminator(inputs, text)
    gradients = torch.autograd.grad(logits.sum(), inputs, create_graph=True)
    norms = torch.cat([g.flatten(1) for g in gradients], dim=1).norm(dim=1)
    return ((norms - 1) ** 2).mean()


def augmented(
    pictures: Float[Tensor, "batch 3 height width"], generator: torch.Generator
) -> Float[Tensor, "batch 3 height width"]:
    """Random colour, shift and cut-out, differentiable, so that the discriminator cannot learn single pictures.

    Ranges of DiffAugment (arXiv:2006.10738): shift by an eighth, cut out a fifth.
    """
    batch, _, height, width = pictures.shape

    def uniform() -> Tensor:
        return torch.rand(batch, 1, 1, 1, generator=generator).to(pictures)

    out = pictures + (uniform() - 0.5)
    grey = out.mean(1, keepdim=True)
    out = (out - grey) * (2 * uniform()) + grey
    mean = out.mean((1, 2, 3), keepdim=True)
    out = (out - mean) * (uniform() + 0.5) + mean
    grid = F.affine_grid(_shifts(batch, 0.125, generator).to(out), list(out.shape), align_corners=False)
    out = F.grid_sample(out, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    rows = torch.arange(height, device=out.device)[None, :, None] / height
    columns = torch.arange(width, device=out.device)[None, None] / width
    top, left = (uniform()[:, 0] for _ in range(2))
    hole = ((rows - top).abs() < 0.1) & ((columns - left).abs() < 0.1)
    return out.masked_fill(hole[:, None], 0.0)


def _shifts(batch: int, ratio: float, generator: torch.Generator) -> Float[Tensor, "batch 2 3"]:
    matrices = torch.eye(2, 3).repeat(batch, 1, 1)
    matrices[:, :, 2] = (2 * torch.rand(batch, 2, generator=generator) - 1) * 2 * ratio  # the picture is 2 wide
    return matrices

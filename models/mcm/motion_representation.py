"""MCM's idea, first half: distil motion only. The consistency loss is measured on a representation of motion, so
that the appearance may come from elsewhere (arXiv:2406.06890, section 4.1 and table 5; `learned`, the released
choice, is best).

Source of the fixed representations: MCM utils/diffusion_misc.py:340-400 and utils/matching.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

LOCAL_RADIUS = 7
OUTSIDE = -1e9
EMA_DECAY = 0.95

Video = Float[Tensor, "batch channels frames height width"]


class SpatialHead(ModelMixin, ConfigMixin):
    """The learned representation: x plus a small convolutional network on every frame, zero at the start.

    `learned` is 2 layers with kernel 1, `deep` (the authors' hlearn) 5 layers with kernel 3.
    """

    @register_to_config
    def __init__(
        self,
        num_channels: int = 4,
        num_layers: int = 2,
        kernel_size: int = 1,
        hidden_dim: int = 64,
        norm_num_groups: int = 32,
    ) -> None:
        super().__init__()
        widths = [num_channels] + [hidden_dim] * (num_layers - 1)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, hidden_dim, kernel_size, padding=kernel_size // 2),
                nn.GroupNorm(norm_num_groups, hidden_dim),
                nn.SiLU(),
            )
            for before in widths[:-1]
        )
        self.conv_out = nn.Conv2d(hidden_dim, num_channels, 1)
        for parameter in self.conv_out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, latents: Video) -> Video:
        frames = F.silu(latents.transpose(1, 2).flatten(0, 1))
        for layer in self.layers:
            frames = layer(frames)
        change = self.conv_out(frames).unflatten(0, (len(latents), -1)).transpose(1, 2)
        return latents + change


def frame_difference(latents: Video) -> Float[Tensor, "batch channels pairs height width"]:
    """x_{f+1} - x_f."""
    return latents[:, :, 1:] - latents[:, :, :-1]


def low_frequencies(latents: Video) -> Video:
    """What a Butterworth filter over time and space lets pass."""
    return _filtered(latents, butterworth_filter(*latents.shape[-3:]))


def high_frequencies(latents: Video) -> Video:
    """What that filter holds back."""
    return _filtered(latents, 1 - butterworth_filter(*latents.shape[-3:]))


def local_correlation(latents: Video) -> Float[Tensor, "pairs pixels window"]:
    """Likeness of every pixel to a window about it in the next frame; outside the picture a very small value."""
    first, second = _neighbours(latents)
    pairs, channels, height, width = first.shape
    size = 2 * LOCAL_RADIUS + 1
    windows = F.unfold(second, size, padding=LOCAL_RADIUS).view(pairs, channels, size**2, height * width)
    likeness = (first.flatten(2)[:, :, None] * windows).sum(1).transpose(1, 2) / channels**0.5
    inside = F.unfold(torch.ones_like(second[:1, :1]), size, padding=LOCAL_RADIUS)[0].T > 0.5
    return likeness.masked_fill(~inside, OUTSIDE)


def global_correlation(latents: Video) -> Float[Tensor, "pairs pixels pixels"]:
    """Likeness of every pixel to every pixel of the next frame."""
    first, second = (frames.flatten(2) for frames in _neighbours(latents))
    return first.transpose(1, 2) @ second / latents.shape[1] ** 0.5


def scaled_global_correlation(latents: Video) -> Float[Tensor, "pairs pixels pixels"]:
    """The same, times the square root of the height."""
    return global_correlation(latents) * latents.shape[-2] ** 0.5


def raw(latents: Video) -> Video:
    """No representation: plain latent consistency distillation."""
    return latents


REPRESENTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "raw": raw,
    "difference": frame_difference,
    "low frequencies": low_frequencies,
    "high frequencies": high_frequencies,
    "local correlation": local_correlation,
    "global correlation": global_correlation,
    "scaled global correlation": scaled_global_correlation,
}


def butterworth_filter(
    frames: int, height: int, width: int, *, order: int = 4, cutoff: float = 0.25
) -> Float[Tensor, "frames height width"]:
    """1 / (1 + (d^2 / cutoff^2)^order), d the distance from the middle of the shifted spectrum. Source: FreeInit."""
    squares = [(2 * torch.arange(count) / count - 1) ** 2 for count in (frames, height, width)]
    distance = squares[0][:, None, None] + squares[1][:, None] + squares[2]
    return 1 / (1 + (distance / cutoff**2) ** order)


@torch.no_grad()
def follow(target: Iterable[Tensor], source: Iterable[Tensor], decay: float = EMA_DECAY) -> None:
    """Move the target's parameters a little towards the source's: the moving average M^- of the representation."""
    for kept, new in zip(target, source, strict=True):
        kept.mul_(decay).add_(new, alpha=1 - decay)


def _filtered(latents: Tensor, keep: Tensor) -> Tensor:
    axes = (-3, -2, -1)
    spectrum = torch.fft.fftshift(torch.fft.fftn(latents, dim=axes), dim=axes) * keep.to(latents)
    return torch.fft.ifftn(torch.fft.ifftshift(spectrum, dim=axes), dim=axes).real


def _neighbours(latents: Tensor) -> tuple[Tensor, Tensor]:
    """Every frame but the last, and the frame after each: [pairs, channels, height, width]."""
    frames = latents.transpose(1, 2)
    return frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1)

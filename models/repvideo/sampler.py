"""RepVideo's samplers: the authors' SDE-DPM-Solver++ (2M), to the digit, and deterministic DDIM on the same table.

a is sqrt(alpha_bar), the share of signal at a step; v is what the network predicts: x0 = a x - sqrt(1 - a^2) v.
Source: Vchitect/RepVideo sat/sgm/modules/diffusionmodules/{discretizer,denoiser,sampling}.py with the settings of
sat/configs/inference.yaml. diffusers' CogVideoXDPMScheduler differs by up to 2e-2: there the levels of a run are the
1000-entry table's; here they are rescaled anew from the levels of the run, and x0 alone uses the nearest table entry.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

DrawNoise = Callable[[], Tensor]


@dataclass(frozen=True)
class NoiseTable:
    """Signal levels sqrt(alpha_bar) of every training timestep, before the zero-terminal-SNR rescale; float32."""

    levels: Tensor

    @classmethod
    def from_config(cls, config: Any) -> NoiseTable:
        """From a diffusers CogVideoX scheduler's config; ValueError for a recipe this sampler does not know."""
        known = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "beta_schedule": "scaled_linear"}
        for key, value in known.items():
            if config.get(key) != value:
                raise ValueError(
                    f"The scheduler's {key} must be {value!r} for RepVideo's samplers, got {config.get(key)!r}."
                )
        return cls.make(
            config["num_train_timesteps"], config["beta_start"], config["beta_end"], config["snr_shift_scale"]
        )

    @classmethod
    def make(
        cls, train_timesteps: int = 1000, beta_start: float = 0.00085, beta_end: float = 0.012, snr_shift: float = 3.0
    ) -> NoiseTable:
        betas = torch.linspace(beta_start**0.5, beta_end**0.5, train_timesteps, dtype=torch.float64) ** 2
        alphas_cumprod = torch.cumprod(1 - betas, 0)
        alphas_cumprod = alphas_cumprod / (snr_shift + (1 - snr_shift) * alphas_cumprod)
        return cls(alphas_cumprod.sqrt().float())

    def timesteps(self, steps: int) -> list[int]:
        """Descending from the last timestep, evenly spaced, rounded down as the authors' numpy call does."""
        return np.linspace(len(self.levels) - 1, 0, steps, endpoint=False).astype(int).tolist()

    def rescaled(self) -> Tensor:
        """The table with no signal left at the last timestep; index = timestep."""
        return zero_terminal(self.levels.flip(0)).flip(0)


def zero_terminal(levels: Tensor) -> Tensor:
    """Shift and scale descending-noise levels: the first becomes 0, the last keeps its value."""
    if len(levels) == 1:
        return torch.zeros_like(levels)
    first, last = levels[0], levels[-1]
    return (levels - first) * last / (last - first)


class DpmSampler:
    """Second-order multistep SDE solver. `step` is called once per timestep, in order."""

    def __init__(self, table: NoiseTable, steps: int) -> None:
        self.timesteps = table.timesteps(steps)
        levels = zero_terminal(table.levels[self.timesteps])
        self.levels = torch.cat([levels, levels.new_ones(1)])  # a, one per step, then 1 for the clean end
        nearest = (table.rescaled()[None] - levels[:, None]).abs().argmin(1)
        self.table_index = nearest
        self.denoiser_levels = table.rescaled()[nearest]  # q
        self.previous: Tensor | None = None

    def denoised(self, index: int, latents: Tensor, velocity: Tensor) -> Tensor:
        """x0 from the network's output at step `index`."""
        q = self.denoiser_levels[index].item()
        return q * latents - math.sqrt(1 - q * q) * velocity

    def step(self, index: int, latents: Tensor, denoised: Tensor, draw: DrawNoise) -> Tensor:
        """The latents of the next step, all in float32."""
        previous, self.previous = self.previous, denoised
        if index + 1 == len(self.timesteps):
            return denoised
        a, b = self.levels[index], self.levels[index + 1]
        h = _log_snr(b) - _log_snr(a)
        keep = ((1 - b**2) / (1 - a**2)).sqrt() * torch.exp(-h)
        towards = torch.expm1(-2 * h) * b
        spread = (1 - b**2).sqrt() * (1 - torch.exp(-2 * h)).sqrt()
        if index > 0 and previous is not None:
            # infinite at the second step, where the run started from no signal: then the older x0 has no weight
            ratio = (_log_snr(a) - _log_snr(self.levels[index - 1])) / h
            weight = (1 / (2 * ratio)).item()
            denoised = (1 + weight) * denoised - weight * previous
        return keep.item() * latents - towards.item() * denoised + spread.item() * draw()


class DdimSampler:
    """Deterministic DDIM on the rescaled table; draws no noise."""

    def __init__(self, table: NoiseTable, steps: int) -> None:
        self.timesteps = table.timesteps(steps)
        levels = table.rescaled()[self.timesteps]
        self.levels = torch.cat([levels, levels.new_ones(1)])

    def denoised(self, index: int, latents: Tensor, velocity: Tensor) -> Tensor:
        """x0 from the network's output at step `index`."""
        a = self.levels[index].item()
        return a * latents - math.sqrt(1 - a * a) * velocity

    def step(self, index: int, latents: Tensor, denoised: Tensor, draw: DrawNoise) -> Tensor:
        """The latents of the next step."""
        a, b = self.levels[index].item(), self.levels[index + 1].item()
        noise = (latents - a * denoised) / math.sqrt(1 - a * a)
        return b * denoised + math.sqrt(max(0.0, 1 - b * b)) * noise


Sampler = DpmSampler | DdimSampler


def make_sampler(name: str, table: NoiseTable, steps: int) -> Sampler:
    """The sampler of one job, by the name a request uses."""
    return {"dpm": DpmSampler, "ddim": DdimSampler}[name](table, steps)


def _log_snr(level: Tensor) -> Tensor:
    return torch.log(level / (1 - level**2).sqrt())

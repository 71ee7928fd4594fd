"""One job's way through a diffusers scheduler: its timesteps, and each step's denoised and next latents."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.schedulers.scheduling_dpm_cogvideox import CogVideoXDPMScheduler
from torch import Tensor


class Solver:
    """Makes its own scheduler from the config of the one given, whose state may be another job's."""

    def __init__(self, scheduler: Any, steps: int) -> None:
        self.scheduler = type(scheduler).from_config(scheduler.config)
        self.scheduler.set_timesteps(steps)
        self.timesteps: list[int] = self.scheduler.timesteps.tolist()
        self._denoised: Tensor | None = None

    def step(
        self, index: int, latents: Tensor, velocity: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """The next latents, and x0 as step `index` sees it. Steps are taken in order."""
        timestep = self.timesteps[index]
        before: Any = self.timesteps[index - 1] if index > 0 else None
        denoised: Any = self._denoised  # None before the first step; diffusers' annotations forbid it
        if isinstance(self.scheduler, CogVideoXDPMScheduler):  # second order: needs the step before; draws noise
            latents, self._denoised = self.scheduler.step(
                velocity, denoised, timestep, before, latents, generator=generator, return_dict=False
            )
        else:
            output = self.scheduler.step(velocity, timestep, latents, generator=generator)
            latents, self._denoised = output.prev_sample, output.pred_original_sample
        assert self._denoised is not None
        return latents, self._denoised

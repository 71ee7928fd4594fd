"""Denoising several views together: random pairs at every step, averaged predictions, recurrent re-noising.

arXiv:2405.17414, section 4.3. Two views are the simplest case: one fixed pair, no repetition. The number of pairings
averaged in one step is P in the paper (`rounds` here), that of repetitions of one step R (`repeats`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from models.cvd.epipolar_attention import LineBias, Synchronization
from models.cvd.unet import ViewConditions

Partners = tuple[tuple[int, ...], ...]


@runtime_checkable
class Draws(Protocol):
    """The random choices of a run beyond its first latents and the slopes of pseudo lines."""

    def permutation(self, num_views: int) -> list[int]: ...

    def noise(self, latents: Tensor) -> Tensor: ...


class GeneratorDraws:
    """All choices from the job's generator, which lives on the CPU: a seed means the same on every machine."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def permutation(self, num_views: int) -> list[int]:
        return torch.randperm(num_views, generator=self.generator).tolist()

    def noise(self, latents: Tensor) -> Tensor:
        return torch.randn(latents.shape, generator=self.generator).to(latents)


@dataclass(frozen=True)
class Schedule:
    """How often a step is repeated, and how many random pairings it averages."""

    repeats: int = 1
    rounds: int = 1

    @classmethod
    def of_paper(cls, num_views: int) -> Schedule:
        """What the authors' scripts use: 4 views 3 x 1, 6 views 6 x 2; in between the next larger one."""
        if num_views <= 2:
            return cls()
        return cls(3, 1) if num_views <= 4 else cls(6, 2)

    def step_count(self, num_inference_steps: int) -> int:
        """Scheduler steps of a run: the last of the timesteps is never repeated."""
        return (num_inference_steps - 1) * self.repeats + 1


def random_pairs(permutation: list[int]) -> Partners:
    """Partners of every view: the first half of the permutation with the second, in order.

    With an odd number the view left over looks at the first view of the permutation, which does not look back. The
    authors' code takes even numbers only. Source: CVD pipeline_animation_epi_advanced.py:593-602.
    """
    half = len(permutation) // 2
    partners: list[tuple[int, ...]] = [()] * len(permutation)
    for one, other in zip(permutation[:half], permutation[half : 2 * half], strict=True):
        partners[one], partners[other] = (other,), (one,)
    if len(permutation) % 2 and half:
        partners[permutation[-1]] = (permutation[0],)
    return tuple(partners)


@dataclass
class ViewDenoiser:
    """The network with everything that stays the same during a run."""

    unet: Callable[..., Tensor]  # CollaborativeUNet
    text: Float[Tensor, "copies tokens dim"]  # without prompt, with prompt; or the latter alone
    pose_features: tuple[Tensor, ...]
    bias: LineBias | None  # None: every view on its own
    guidance_scale: float

    def predict_noise(
        self, latents: Float[Tensor, "views channels frames height width"], timestep: Tensor, partners: Partners
    ) -> Float[Tensor, "views channels frames height width"]:
        """Guided noise of every view; rows of the network are view 0 without and with prompt, view 1 without..."""
        copies = len(self.text)
        synchronization = None if self.bias is None else Synchronization(partners, self.bias)
        noise_pred = self.unet(
            latents.repeat_interleave(copies, dim=0).to(self.text.dtype),
            timestep,
            self.text.repeat(len(latents), 1, 1),
            ViewConditions(self.pose_features, synchronization),
        )
        noise_pred = noise_pred.to(latents.dtype)  # the network may run in half precision, the steps do not
        if copies == 1:
            return noise_pred
        without, with_prompt = noise_pred.unflatten(0, (-1, copies)).unbind(1)
        return without + self.guidance_scale * (with_prompt - without)

    def denoise(
        self,
        latents: Float[Tensor, "views channels frames height width"],
        scheduler: Any,
        schedule: Schedule,
        draws: Draws,
        on_step: Callable[[Tensor, Tensor], None],
    ) -> Float[Tensor, "views channels frames height width"]:
        """From noise to clean latents; `on_step` gets the latents of every step and the clean latents predicted."""
        num_views = len(latents)
        last = len(scheduler.timesteps) - 1
        for index, timestep in enumerate(scheduler.timesteps):
            repeats = schedule.repeats if index < last else 1
            for repeat in range(repeats):
                noise_pred = torch.zeros_like(latents)
                for _ in range(schedule.rounds):
                    partners = random_pairs(draws.permutation(num_views))
                    noise_pred += self.predict_noise(latents, timestep, partners) / schedule.rounds
                step = scheduler.step(noise_pred, timestep, latents)
                latents = step.prev_sample
                on_step(latents, step.pred_original_sample)
                if repeat < repeats - 1:
                    latents = renoise(latents, draws.noise(latents), scheduler, timestep)
        return latents


def renoise(latents: Tensor, noise: Tensor, scheduler: Any, timestep: Tensor) -> Tensor:
    """Back from the step just taken to `timestep`: sqrt(a_t / a_prev) x + sqrt(1 - a_t / a_prev) noise."""
    previous = timestep - scheduler.config.num_train_timesteps // scheduler.num_inference_steps
    ratio = scheduler.alphas_cumprod[timestep] / scheduler.alphas_cumprod[previous]
    return ratio.sqrt() * latents + (1 - ratio).sqrt() * noise

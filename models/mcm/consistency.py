"""Latent consistency: where a noisy video lands on the data, the teacher's next point, and the distance between.

f(z_t) = c_skip(t) z_t + c_out(t) x0(z_t), the same for every t of a trajectory (arXiv:2406.06890, section 3;
constants of its code, utils/diffusion_misc.py). The motion-disentangled loss compares f of two neighbours after the
motion representation of motion_representation.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

SIGMA_DATA = 0.5
TIMESTEP_SCALING = 4.0
HUBER_C = 1e-3
SOLVER_STEPS = 50

Video = Float[Tensor, "batch channels frames height width"]


def boundary_scalings(
    timesteps: Shaped[Tensor, " batch"], timestep_scaling: float = TIMESTEP_SCALING
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """(c_skip, c_out): f is the identity at t = 0, and almost exactly x0 from the first trained timestep on."""
    scaled = timestep_scaling * timesteps
    total = scaled**2 + SIGMA_DATA**2
    return SIGMA_DATA**2 / total, scaled / total**0.5


class NoiseSchedule:
    """Signal and noise levels, and the two readings of a prediction."""

    def __init__(self, alphas_cumprod: Float[Tensor, " timesteps"], prediction_type: str = "epsilon") -> None:
        if prediction_type not in ("epsilon", "v_prediction"):
            raise ValueError(f"prediction_type must be epsilon or v_prediction, got {prediction_type!r}.")
        self.alphas_cumprod = alphas_cumprod
        self.prediction_type = prediction_type

    @classmethod
    def of(cls, scheduler: Any) -> NoiseSchedule:
        return cls(scheduler.alphas_cumprod, scheduler.config.prediction_type)

    def levels(self, timesteps: Int[Tensor, " batch"], like: Tensor) -> tuple[Tensor, Tensor]:
        """(signal, noise), shaped to multiply `like`."""
        signal = self.alphas_cumprod.to(timesteps.device)[timesteps].view(-1, *[1] * (like.dim() - 1))
        return signal.sqrt(), (1 - signal).sqrt()

    def noised(self, x0: Tensor, noise: Tensor, timesteps: Int[Tensor, " batch"]) -> Tensor:
        signal, level = self.levels(timesteps, x0)
        return (signal * x0 + level * noise).to(x0.dtype)

    def x0(self, prediction: Tensor, timesteps: Int[Tensor, " batch"], latents: Tensor) -> Tensor:
        signal, level = self.levels(timesteps, latents)
        if self.prediction_type == "epsilon":
            return (latents - level * prediction) / signal
        return signal * latents - level * prediction

    def noise(self, prediction: Tensor, timesteps: Int[Tensor, " batch"], latents: Tensor) -> Tensor:
        signal, level = self.levels(timesteps, latents)
        return prediction if self.prediction_type == "epsilon" else signal * prediction + level * latents


class DDIMSolver:
    """The teacher's coarse trajectory: `steps` timesteps T_j = k (j + 1) - 1, and one DDIM step down from each."""

    def __init__(self, alphas_cumprod: Float[Tensor, " timesteps"], steps: int = SOLVER_STEPS) -> None:
        self.stride = len(alphas_cumprod) // steps
        self.timesteps = torch.arange(1, steps + 1) * self.stride - 1
        alphas = alphas_cumprod.double().cpu()
        self.alphas_previous = torch.cat([alphas[:1], alphas[self.timesteps[:-1]]])

    def previous_timesteps(self, index: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        return (self.timesteps.to(index.device)[index] - self.stride).clamp_min(0)

    def step(self, x0: Tensor, noise: Tensor, index: Int[Tensor, " batch"]) -> Tensor:
        """The point one stride earlier: sqrt(a) x0 + sqrt(1 - a) noise."""
        alpha = self.alphas_previous.to(index.device)[index].view(-1, *[1] * (x0.dim() - 1))
        return alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise


Predict = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(latents, timesteps, text) -> the network's prediction."""


def consistency_function(
    predict: Predict, schedule: NoiseSchedule, latents: Video, timesteps: Int[Tensor, " batch"], text: Tensor
) -> Video:
    """f(z_t) with a given network."""
    c_skip, c_out = (scale.view(-1, 1, 1, 1, 1) for scale in boundary_scalings(timesteps))
    x0 = schedule.x0(predict(latents, timesteps, text), timesteps, latents)
    return (c_skip * latents + c_out * x0).to(latents.dtype)


def teacher_step(
    predict: Predict,
    schedule: NoiseSchedule,
    solver: DDIMSolver,
    latents: Video,
    index: Int[Tensor, " batch"],
    text: Tensor,
    empty_text: Tensor,
    guidance: Float[Tensor, " batch"],
) -> Video:
    """The teacher's next point, guided as cond + w (cond - uncond): w is one less than a guidance scale."""
    timesteps = solver.timesteps.to(index.device)[index]
    with_prompt, without = predict(latents, timesteps, text), predict(latents, timesteps, empty_text)
    weight = guidance.view(-1, 1, 1, 1, 1)

    def guided(reading: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
        cond, uncond = reading(with_prompt, timesteps, latents), reading(without, timesteps, latents)
        return cond + weight * (cond - uncond)

    return solver.step(guided(schedule.x0), guided(schedule.noise), index).to(latents.dtype)


def pseudo_huber(prediction: Tensor, target: Tensor, c: float = HUBER_C) -> Float[Tensor, ""]:
    """mean(sqrt(d^2 + c^2) - c)."""
    return (((prediction.float() - target.float()) ** 2 + c**2).sqrt() - c).mean()

"""Few-step sampling with a distilled network, and many-step sampling with its teacher, for both kinds of UNet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import DDIMScheduler, LCMScheduler, UNet3DConditionModel
from jaxtyping import Float
from torch import Tensor, nn

from models.common.animatediff.schedule import NOISE_LEVELS
from models.mcm.consistency import TIMESTEP_SCALING

ANIMATEDIFF_SCHEDULE: dict[str, Any] = {**NOISE_LEVELS, "timestep_spacing": "linspace"}
"""What the authors' demo sets over the scheduler of Stable Diffusion 1.5; ModelScope's is taken as it is."""

Video = Float[Tensor, "batch channels frames height width"]


def is_modelscope(unet: nn.Module) -> bool:
    """ModelScopeT2V's kind of UNet: it repeats the text for the frames, and its noise is drawn frame by frame."""
    return isinstance(unet, UNet3DConditionModel)


def student_scheduler(base: Any, unet: nn.Module) -> Any:
    """The LCMScheduler of the authors' demo, from the teacher's scheduler config. Source: MCM demo.py."""
    changes = {} if is_modelscope(unet) else ANIMATEDIFF_SCHEDULE
    return LCMScheduler.from_config(_config(base), timestep_scaling=TIMESTEP_SCALING, **changes)


def teacher_scheduler(base: Any, unet: nn.Module) -> Any:
    """DDIM with the noise levels the teacher was trained on, timesteps at even distances from the end."""
    changes = {} if is_modelscope(unet) else ANIMATEDIFF_SCHEDULE
    return DDIMScheduler.from_config(_config(base), **{**changes, "timestep_spacing": "leading"})


def predict_noise(unet: nn.Module, latents: Video, timestep: Tensor, text: Float[Tensor, "batch tokens dim"]) -> Video:
    """One call of either UNet, in the text's precision; the text is given once per video."""
    if not is_modelscope(unet):
        text = text.repeat_interleave(latents.shape[2], dim=0)
    noise_pred = unet(latents.to(text.dtype), timestep, encoder_hidden_states=text, return_dict=False)[0]
    return noise_pred.to(latents.dtype)


def sample_student(
    unet: nn.Module,
    scheduler: Any,
    latents: Video,
    text: Float[Tensor, "batch tokens dim"],
    generator: torch.Generator | None,
    on_step: Callable[[Tensor, Tensor], None],
) -> Video:
    """Consistency sampling along `scheduler.timesteps`, without guidance: the student has learnt it.

    `on_step` gets the latents and the clean latents predicted. Noise has the layout of diffusers' pipeline of that
    teacher, so that a seed gives the authors' video.
    """
    framewise = is_modelscope(unet)
    batch = len(latents)
    for timestep in scheduler.timesteps:
        noise_pred = predict_noise(unet, latents, timestep, text)
        if framewise:
            latents, noise_pred = _frames_first(latents), _frames_first(noise_pred)
        latents, denoised = scheduler.step(noise_pred, timestep, latents, generator=generator, return_dict=False)
        if framewise:
            latents, denoised = _frames_back(latents, batch), _frames_back(denoised, batch)
        on_step(latents, denoised)
    return latents


def sample_teacher(
    unet: nn.Module,
    scheduler: Any,
    latents: Video,
    text: Float[Tensor, "rows tokens dim"],
    guidance_scale: float,
    on_step: Callable[[Tensor, Tensor], None],
) -> Video:
    """Plain guided sampling; `text` is that of every video without prompt, then of every video with it."""
    for timestep in scheduler.timesteps:
        noise_pred = predict_noise(unet, torch.cat([latents] * 2), timestep, text)
        without, with_prompt = noise_pred.chunk(2)
        step = scheduler.step(without + guidance_scale * (with_prompt - without), timestep, latents)
        latents = step.prev_sample
        on_step(latents, getattr(step, "pred_original_sample", latents))  # multistep solvers do not tell it
    return latents


def _frames_first(latents: Tensor) -> Float[Tensor, "rows channels height width"]:
    return latents.transpose(1, 2).flatten(0, 1)


def _frames_back(frames: Tensor, batch: int) -> Video:
    return frames.unflatten(0, (batch, -1)).transpose(1, 2)


def _config(base: Any) -> dict[str, Any]:
    return dict(base.config if hasattr(base, "config") else base)

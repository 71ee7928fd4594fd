"""What CustomVideoX's LoRA learns: the velocity of a noisy clip, told its words, shown a picture of its subject."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.common.cogvideox.rotary import rotary_for
from models.customvideox.lora import ReferenceLora
from models.customvideox.transformer import CustomVideoXTransformer3DModel

Clips = Float[Tensor, "batch frames channels height width"]
Pictures = Float[Tensor, "batch 1 channels height width"]


def predict_velocity(
    network: CustomVideoXTransformer3DModel,
    lora: ReferenceLora,
    noisy: Clips,
    timestep: Int[Tensor, " batch"],
    words: Float[Tensor, "batch tokens text_dim"],
    pictures: Pictures | None,
) -> Clips:
    """v of every clip. Without pictures the LoRA still acts, so that guidance has a network to compare with."""
    adapted = network.adapted(lora)
    rotary = rotary_for(network.config, noisy.shape[1], noisy.shape[3], noisy.shape[4], noisy.device)
    seen: dict[str, Any] = {}
    if pictures is not None:
        joint = lora.settings.mask == "joint"
        seen = {"reference": pictures} if joint else {"memory": network.remember(pictures, adapted)}
    return network(noisy, words, timestep, image_rotary_emb=rotary, adapted=adapted, return_dict=False, **seen)[0]


def velocity_loss(
    network: CustomVideoXTransformer3DModel,
    lora: ReferenceLora,
    scheduler: Any,
    clips: Clips,
    words: Float[Tensor, "batch tokens text_dim"],
    pictures: Pictures | None,
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """Mean squared error of v at random timesteps, noise from `generator` on the CPU."""
    total = int(scheduler.config.num_train_timesteps)
    timestep = torch.randint(total, (len(clips),), generator=generator).to(clips.device)
    noise = torch.randn(clips.shape, generator=generator).to(clips)
    noisy = scheduler.add_noise(clips, noise, timestep)
    target = scheduler.get_velocity(clips, noise, timestep)
    predicted = predict_velocity(network, lora, noisy, timestep, words, pictures)
    return (predicted.float() - target.float()).square().mean()

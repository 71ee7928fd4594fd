"""RepVideo's pipeline: encode_prompt -> prepare_latents -> denoise -> decode."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from models.common.cogvideox.guidance import guidance_weights
from models.common.cogvideox.latents import (
    decode_latents,
    draw_noise,
    latent_frame_count,
    latent_shape,
    to_uint8,
)
from models.common.cogvideox.precision import ComputeDtype, computing
from models.common.cogvideox.preview import LatentPreview
from models.common.cogvideox.prompts import encode_prompts
from models.common.cogvideox.rotary import rotary_for
from models.method import Clip, OnStep, Step, check_frames
from models.repvideo.config import RepVideoRequest
from models.repvideo.sampler import NoiseTable, Sampler, make_sampler
from models.repvideo.transformer import RepVideoTransformer3DModel

AUTHORS_PERIOD = 50  # the guider's num_steps in sat/configs/cogvideox_2b.yaml, whatever the number of steps


class RepVideoPipeline:
    """Text to video. Holds the parts; everything of one job is local to the call."""

    def __init__(
        self,
        transformer: RepVideoTransformer3DModel,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        scheduler: Any,
        transformer_off: RepVideoTransformer3DModel | None = None,
        *,
        height: int,
        width: int,
        frames: tuple[int, ...],
        fps: float = 8.0,
        unconditional: Literal["zeros", "empty_prompt"] = "zeros",
        compute_dtype: ComputeDtype = "",
        preview_source: str = "",
    ) -> None:
        self.transformer, self.transformer_off = transformer, transformer_off
        self.vae, self.text_encoder, self.tokenizer = vae, text_encoder, tokenizer
        self.noise_table = NoiseTable.from_config(scheduler.config)
        self.height, self.width, self.frames, self.fps = height, width, frames, fps
        self.unconditional = unconditional
        self.compute_dtype: ComputeDtype = compute_dtype
        self.preview = LatentPreview.load(preview_source, transformer.config.in_channels)

    @torch.no_grad()
    def __call__(self, request: RepVideoRequest, on_step: OnStep) -> list[Clip]:
        check_frames(request.num_frames, self.frames)
        generator = torch.Generator("cpu").manual_seed(request.seed)
        prompt_embeds = self.encode_prompt(request.prompt, request.negative_prompt)
        latents = self.prepare_latents(request.num_frames, generator)
        sampler = make_sampler(request.sampler, self.noise_table, request.num_inference_steps)
        weights = guidance_weights(
            request.guidance_schedule, request.guidance_scale, sampler.timesteps, AUTHORS_PERIOD
        )
        latents = self.denoise(latents, prompt_embeds, sampler, weights, request.feature_cache, generator, on_step)
        return [Clip(self.decode(latents, request.num_frames), self.fps)]

    def encode_prompt(self, prompt: str, negative_prompt: str = "") -> Tensor:
        """[2, text_tokens, text_dim]: unconditional first, then the prompt."""
        zeros = self.unconditional == "zeros" and not negative_prompt
        prompts = [prompt] if zeros else [negative_prompt, prompt]
        embeds = encode_prompts(
            self.tokenizer, self.text_encoder, prompts, self.transformer.config.max_text_seq_length
        )
        if zeros:  # the embedding is zero; the network's text projection still adds its bias
            embeds = torch.cat([torch.zeros_like(embeds), embeds])
        return embeds.to(self.transformer.device, self.transformer.dtype)

    def prepare_latents(self, num_frames: int, generator: torch.Generator) -> Tensor:
        """Initial noise [1, latent_frames, channels, h, w], float32."""
        shape = latent_shape(self.transformer.config, self.vae, num_frames, self.height, self.width)
        return draw_noise(shape, generator, self.transformer.device)

    def denoise(
        self,
        latents: Tensor,
        prompt_embeds: Tensor,
        sampler: Sampler,
        weights: list[float],
        feature_cache: bool,
        generator: torch.Generator,
        on_step: OnStep,
    ) -> Tensor:
        """Run every step; both branches of the guidance as one batch, or the prompt alone where no step needs both."""
        transformer = self.transformer if feature_cache else self.transformer_off or self.transformer
        guided = any(weight != 1 for weight in weights)
        embeds = prompt_embeds if guided else prompt_embeds[1:]
        rotary = rotary_for(transformer.config, latents.shape[1], latents.shape[3], latents.shape[4], latents.device)
        draw = partial(draw_noise, tuple(latents.shape), generator, latents.device)
        for index, timestep in enumerate(sampler.timesteps):
            with computing(self.compute_dtype, latents.device):
                velocity = transformer(
                    hidden_states=latents.expand(len(embeds), -1, -1, -1, -1).to(transformer.dtype),
                    encoder_hidden_states=embeds,
                    timestep=torch.full((len(embeds),), float(timestep), device=latents.device),
                    image_rotary_emb=rotary,
                    feature_cache=feature_cache,
                    return_dict=False,
                )[0].float()
            if guided:
                unconditional, conditional = velocity.chunk(2)
                velocity = unconditional + weights[index] * (conditional - unconditional)
            denoised = sampler.denoised(index, latents, velocity)
            latents = sampler.step(index, latents, denoised, draw)
            on_step(Step(index + 1, len(sampler.timesteps), self.preview.frames(denoised[0])))
        return latents

    def decode(self, latents: Tensor, num_frames: int) -> np.ndarray:
        """uint8 frames [num_frames, height, width, 3]; padding dropped, values truncated as the authors do."""
        kept = latent_frame_count(num_frames, int(self.vae.config.temporal_compression_ratio))
        with computing(self.compute_dtype, self.vae.device):
            video = decode_latents(self.vae, latents[:, -kept:].to(self.vae.device))
        return to_uint8(video)[0]

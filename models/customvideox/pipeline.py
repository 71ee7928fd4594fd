"""CustomVideoX's pipeline: encode_prompt -> encode_reference -> prepare_latents -> denoise -> decode."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
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
from models.common.cogvideox.solver import Solver
from models.common.pictures import read_picture
from models.customvideox.attention_clip import attention_clip
from models.customvideox.config import CustomVideoXRequest
from models.customvideox.entity_region import EntityMap, is_active, region, region_bias
from models.customvideox.entity_words import entity_tokens
from models.customvideox.lora import LoraSettings, load_lora
from models.customvideox.reference import place_subject, reference_latents
from models.customvideox.reference_attention import ReferenceMemory
from models.customvideox.time_aware_bias import position, strengths
from models.customvideox.transformer import Adapted, CustomVideoXTransformer3DModel
from models.method import Clip, OnStep, Step, check_frames


@dataclass(frozen=True)
class Subject:
    """The picture as a job uses it: the adapted layers, and the picture's keys and values or its latents."""

    adapted: Adapted
    memory: ReferenceMemory | None = None  # mask "cached"
    latents: Tensor | None = None  # mask "joint"


class CustomVideoXPipeline:
    """One subject, one prompt, one video. Holds the parts; everything of one job is local to the call."""

    def __init__(
        self,
        transformer: CustomVideoXTransformer3DModel,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        scheduler: Any,
        *,
        lora_source: str,
        height: int,
        width: int,
        frames: tuple[int, ...],
        fps: float = 8.0,
        lora_rows: Literal["all", "reference"] = "all",
        reference_mask: Literal["cached", "joint"] = "cached",
        merge_lora: bool = True,
        compute_dtype: ComputeDtype = "",
        preview_source: str = "",
    ) -> None:
        self.transformer, self.vae = transformer, vae
        self.text_encoder, self.tokenizer, self.scheduler = text_encoder, tokenizer, scheduler
        self.lora_source, self.merge_lora = lora_source, merge_lora
        self.lora_settings = LoraSettings(rows=lora_rows, mask=reference_mask)
        self.height, self.width, self.frames, self.fps = height, width, frames, fps
        self.compute_dtype: ComputeDtype = compute_dtype
        self.preview = LatentPreview.load(preview_source, transformer.config.out_channels)

    @torch.no_grad()
    def __call__(self, request: CustomVideoXRequest, on_step: OnStep) -> list[Clip]:
        """The video; after it, if asked for, the clip "attention" that shows where and when the picture acted."""
        check_frames(request.num_frames, self.frames)
        generator = torch.Generator("cpu").manual_seed(request.seed)
        entity = self.find_entity(request.prompt, request.entity) if request.reference_attention else []
        prompt_embeds = self.encode_prompt(request.prompt, request.negative_prompt)
        subject = self.encode_reference(request.reference) if request.reference_attention else None
        latents = self.prepare_latents(request.num_frames, generator)
        steering = Steering(request, entity, self.token_grid(latents), self.transformer.config.num_layers)
        latents = self.denoise(latents, prompt_embeds, subject, steering, request, generator, on_step)
        clips = [Clip(self.decode(latents, request.num_frames), self.fps)]
        heat = steering.entity_map.heat()
        if subject is not None and request.show_attention and heat is not None:
            shown = attention_clip(clips[0].frames, heat.float().cpu().numpy(), steering.strengths, steering.inside)
            clips = [Clip(clips[0].frames, self.fps, name="video"), Clip(shown, self.fps, name="attention")]
        return clips

    def find_entity(self, prompt: str, entity: str) -> list[int]:
        """Places of the subject's tokens in the prompt."""
        return entity_tokens(self.tokenizer, prompt, entity.strip(), self.transformer.config.max_text_seq_length)

    def encode_prompt(self, prompt: str, negative_prompt: str = "") -> Tensor:
        """[2, text_tokens, text_dim]: negative, then the prompt."""
        length = self.transformer.config.max_text_seq_length
        embeds = encode_prompts(self.tokenizer, self.text_encoder, [negative_prompt, prompt], length)
        return embeds.to(self.transformer.device, self.transformer.dtype)

    def encode_reference(self, path: Path | None) -> Subject:
        """The picture and the LoRA that lets the network see it; constant over the steps."""
        assert path is not None, "a request without a picture has reference attention off"
        network = self.transformer
        frame = place_subject(read_picture(path), self.height, self.width)
        lora = load_lora(self.lora_source, network, self.lora_settings).to(network.device, network.dtype)
        with computing(self.compute_dtype, network.device):
            latents = reference_latents(self.vae, frame).to(network.device, network.dtype)
            products = torch.bfloat16 if torch.is_autocast_enabled(network.device.type) else None
            adapted = network.adapted(lora, self.merge_lora, products)
            if lora.settings.mask == "joint":
                return Subject(adapted, latents=latents)
            return Subject(adapted, network.remember(latents, adapted))

    def prepare_latents(self, num_frames: int, generator: torch.Generator) -> Tensor:
        """Initial noise [1, latent_frames, channels, h, w], float32."""
        shape = latent_shape(self.transformer.config, self.vae, num_frames, self.height, self.width)
        return draw_noise(shape, generator, self.transformer.device)

    def token_grid(self, latents: Tensor) -> tuple[int, int, int]:
        """Frames, rows and columns of the video's tokens."""
        config = self.transformer.config
        _, frames, _, height, width = latents.shape
        return frames // (config.patch_size_t or 1), height // config.patch_size, width // config.patch_size

    def denoise(
        self,
        latents: Tensor,
        prompt_embeds: Tensor,
        subject: Subject | None,
        steering: Steering,
        request: CustomVideoXRequest,
        generator: torch.Generator,
        on_step: OnStep,
    ) -> Tensor:
        """Run every step, all branches of the guidance as one batch; the prompt's comes last."""
        network, config = self.transformer, self.transformer.config
        solver = Solver(self.scheduler, request.num_inference_steps)
        weights = guidance_weights(request.guidance_schedule, request.guidance_scale, solver.timesteps)
        constant = len(set(weights)) == 1
        branches = Branches(subject is not None, request.guidance_scale, request.reference_guidance, constant)
        embeds = branches.texts(prompt_embeds)
        rotary = rotary_for(config, latents.shape[1], latents.shape[3], latents.shape[4], latents.device)
        adapted = subject.adapted if subject else network.adapted()
        for index, timestep in enumerate(solver.timesteps):
            with computing(self.compute_dtype, latents.device):
                velocity = network(
                    hidden_states=latents.expand(len(embeds), -1, -1, -1, -1).to(network.dtype),
                    encoder_hidden_states=embeds,
                    timestep=torch.full((len(embeds),), float(timestep), device=latents.device),
                    image_rotary_emb=rotary,
                    adapted=adapted,
                    memory=subject.memory if subject else None,
                    reference=subject.latents if subject else None,
                    bias=branches.biases(steering.bias(index), steering.tokens, latents.device) if subject else None,
                    watch=steering.entity_map if subject and steering.watches else None,
                    return_dict=False,
                )[0].float()
            latents, denoised = solver.step(index, latents, branches.combine(velocity, weights[index]), generator)
            steering.entity_map.finish_step()
            on_step(Step(index + 1, len(solver.timesteps), self.preview.frames(denoised[0])))
        return latents

    def decode(self, latents: Tensor, num_frames: int) -> np.ndarray:
        """uint8 frames [num_frames, height, width, 3]; padding dropped."""
        kept = latent_frame_count(num_frames, int(self.vae.config.temporal_compression_ratio))
        with computing(self.compute_dtype, self.vae.device):
            video = decode_latents(self.vae, latents[:, -kept:].to(self.vae.device))
        return to_uint8(video, rounding="round")[0]


class Steering:
    """How strongly the picture acts in each step and place: the time-aware bias and the entity region of one job."""

    def __init__(
        self, request: CustomVideoXRequest, entity: list[int], grid: tuple[int, int, int], layers: int
    ) -> None:
        steps = request.num_inference_steps
        self.strengths = [1.0] * steps
        if request.time_aware_bias:
            curve: Literal["parabola", "fixed"] = "fixed" if request.bias_curve == "fixed" else "parabola"
            self.strengths = strengths(steps, request.bias_minimum, request.bias_maximum, curve)
        self.active = [request.entity_region and is_active(position(i, steps)) for i in range(steps)]
        self.inside = [
            s * (request.region_inside if on else 1) for s, on in zip(self.strengths, self.active, strict=True)
        ]
        self.factors = (request.region_inside, request.region_outside)
        self.edge: Literal["soft", "hard"] = "hard" if request.region_edge == "hard" else "soft"
        self.entity_map = EntityMap(entity, layers, grid)
        self.watches = bool(entity) and (request.entity_region or request.show_attention)
        self.tokens = math.prod(grid)

    def bias(self, step: int) -> float | Tensor:
        """On the picture's logits: one number, or one per token of the video where the region acts."""
        bias = math.log(self.strengths[step])
        heat = self.entity_map.heat() if self.active[step] else None
        return bias if heat is None else bias + region_bias(region(heat, self.edge), *self.factors)


class Branches:
    """The guesses that guidance combines, as one batch: without anything, with the picture, with picture and words.

    v = v(0, 0) + w_picture [v(picture, 0) - v(0, 0)] + w_words [v(picture, words) - v(picture, 0)]. Guesses that drop
    out are not made: the first where w_picture is one, the middle one where both weights are the same in every step.
    """

    def __init__(self, picture: bool, words: float, picture_weight: float, constant: bool) -> None:
        """`constant`: the words' weight is the same in every step."""
        self.picture_weight = picture_weight
        if not picture:
            self.kinds = ["nothing", "both"] if words > 1 else ["both"]
        elif picture_weight == 1:
            self.kinds = ["picture", "both"] if words > 1 else ["both"]
        else:
            self.kinds = (
                ["nothing", "both"] if constant and picture_weight == words else ["nothing", "picture", "both"]
            )
        self.blind = picture and "nothing" in self.kinds

    def texts(self, prompt_embeds: Tensor) -> Tensor:
        """[branches, text_tokens, text_dim] from the negative's and the prompt's."""
        return torch.cat([prompt_embeds[1:] if kind == "both" else prompt_embeds[:1] for kind in self.kinds])

    def biases(self, bias: float | Tensor, tokens: int, device: torch.device) -> Tensor | None:
        """[1 or branches, tokens], -inf where a branch must not see the picture; None where nothing is to be added."""
        if isinstance(bias, float) and bias == 0 and not self.blind:
            return None
        row = bias.float().to(device) if isinstance(bias, Tensor) else torch.full((tokens,), bias, device=device)
        if not self.blind:
            return row[None]
        return torch.stack([torch.full_like(row, -math.inf) if kind == "nothing" else row for kind in self.kinds])

    def combine(self, velocity: Tensor, words_weight: float) -> Tensor:
        """One guess from those of all branches."""
        guesses = dict(zip(self.kinds, velocity.split(1), strict=True))
        nothing, picture, both = (guesses.get(kind) for kind in ("nothing", "picture", "both"))
        assert both is not None
        wordless = nothing if picture is None else picture
        if wordless is None:
            return both
        guided = wordless + words_weight * (both - wordless)
        if picture is not None and nothing is not None:
            guided = guided + (self.picture_weight - 1) * (picture - nothing)
        return guided

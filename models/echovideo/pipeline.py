"""EchoVideo's pipeline: encode_prompt -> encode_reference -> prepare_latents -> denoise -> decode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.common.cogvideox.guidance import guidance_weights
from models.common.cogvideox.latents import (
    decode_latents,
    draw_noise,
    latent_frame_count,
    spatial_ratio,
    to_uint8,
)
from models.common.cogvideox.precision import ComputeDtype, computing
from models.common.cogvideox.preview import LatentPreview
from models.common.cogvideox.prompts import encode_prompts
from models.common.cogvideox.rotary import rotary_for
from models.common.cogvideox.solver import Solver
from models.common.face_reader import FaceReader
from models.common.faces import FACE_SIZE, Face
from models.common.pictures import read_picture
from models.echovideo.config import EchoVideoRequest
from models.echovideo.reference import face_tokens, first_frame, identity_rows, image_latents
from models.echovideo.transformer import EchoVideoTransformer3DModel
from models.method import Clip, OnStep, Step


@dataclass(frozen=True)
class Settings:
    """What one video needs beside its words and its face; sizes in pixels, multiples of 16."""

    height: int
    width: int
    num_frames: int = 49
    num_inference_steps: int = 50
    guidance_scale: float = 6.0
    guidance_schedule: str = "dynamic"
    identity_fusion: bool = True  # off: the words are fused with the face of nobody

    @classmethod
    def of(cls, request: EchoVideoRequest) -> Settings:
        width, height = map(int, request.size.split("x"))
        return cls(
            height,
            width,
            request.num_frames,
            request.num_inference_steps,
            request.guidance_scale,
            request.guidance_schedule,
            request.identity_fusion,
        )


class EchoVideoPipeline:
    """One person, one prompt, one video. Holds the parts; everything of one job is local to the call."""

    def __init__(
        self,
        transformer: EchoVideoTransformer3DModel,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        vision: Any,
        scheduler: Any,
        face_detector: Any = None,
        face_parser: Any = None,
        *,
        face_size: int = FACE_SIZE,
        fps: float = 16.0,
        tiling: bool = True,
        compute_dtype: ComputeDtype = "",
        preview_source: str = "",
    ) -> None:
        self.transformer, self.vae = transformer, vae
        self.text_encoder, self.tokenizer, self.vision = text_encoder, tokenizer, vision
        self.scheduler = scheduler
        parser = face_parser or face_detector
        self.faces = None if face_detector is None else FaceReader(face_detector, parser, face_size)
        self.fps = fps
        self.compute_dtype: ComputeDtype = compute_dtype
        if tiling:  # the authors' setting; it changes the numbers where a frame is larger than a tile
            self.vae.enable_tiling()
        self.preview = LatentPreview.load(preview_source, transformer.config.out_channels)

    def __call__(self, request: EchoVideoRequest, on_step: OnStep) -> list[Clip]:
        assert request.face is not None and self.faces is not None, "the request and the recipe have them"
        face = self.faces.read(read_picture(request.face), request.which_face)
        settings = Settings.of(request)
        frames = self.generate(request.prompt, face, settings, request.seed, on_step, request.negative_prompt)
        return [Clip(frames, self.fps)]

    @torch.no_grad()
    def generate(
        self, prompt: str, face: Face, settings: Settings, seed: int, on_step: OnStep, negative_prompt: str = ""
    ) -> np.ndarray:
        """uint8 frames [num_frames, height, width, 3]. One CPU generator makes all noise, in the authors' order."""
        generator = torch.Generator("cpu").manual_seed(seed)
        text = self.encode_prompt(prompt, negative_prompt)
        text = self.encode_reference(text, face, settings.identity_fusion)
        latents, image = self.prepare_latents(face, settings, generator)
        return self.decode(self.denoise(latents, image, text, settings, generator, on_step), settings.num_frames)

    def encode_prompt(self, prompt: str, negative_prompt: str = "") -> Tensor:
        """[2, text_tokens, text_dim]: negative, then the prompt."""
        length = self.transformer.config.max_text_seq_length
        embeds = encode_prompts(self.tokenizer, self.text_encoder, [negative_prompt, prompt], length)
        return embeds.to(self.transformer.device, self.transformer.dtype)

    def encode_reference(self, text: Tensor, face: Face, identity_fusion: bool = True) -> Tensor:
        """The words with the face fused in, [2, text_tokens, text_dim]; constant over the steps."""
        tokens = face_tokens(self.vision, face.picture).to(text)
        # the authors' vector passes through half precision
        vector = torch.from_numpy(face.identity).half()[None].to(text)
        identity = identity_rows(vector, self.transformer.config.face_features_seq_length)
        if not identity_fusion:
            tokens, identity = tokens[:1].expand_as(tokens), identity[:1].expand_as(identity)
        return self.transformer.fuse_text(text, tokens, identity)

    def prepare_latents(self, face: Face, settings: Settings, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Initial noise and the image latents that go beside it, both [1, latent_frames, channels, h, w]."""
        ratio, device = spatial_ratio(self.vae), self.transformer.device
        frames = latent_frame_count(settings.num_frames, int(self.vae.config.temporal_compression_ratio))
        size = (settings.height // ratio, settings.width // ratio)
        channels = self.vae.config.latent_channels
        latents = draw_noise((1, frames, channels, *size), generator, device)
        noise = draw_noise((1, channels, 1, *size), generator, device)
        frame = first_frame(face.picture, settings.height, settings.width)
        image = image_latents(self.vae, frame, frames, noise)
        return latents.to(self.transformer.dtype), image.to(device, self.transformer.dtype)

    def denoise(
        self,
        latents: Tensor,
        image: Tensor,
        text: Tensor,
        settings: Settings,
        generator: torch.Generator | None,
        on_step: OnStep,
    ) -> Tensor:
        """Run every step, both branches of the guidance as one batch; the image latents are the same in both."""
        solver = Solver(self.scheduler, settings.num_inference_steps)
        timesteps = solver.timesteps
        guided = settings.guidance_scale > 1
        weights = guidance_weights(settings.guidance_schedule, settings.guidance_scale, timesteps)
        text = text if guided else text[1:]
        config = self.transformer.config
        rotary = rotary_for(config, latents.shape[1], latents.shape[3], latents.shape[4], latents.device)
        for index, timestep in enumerate(timesteps):
            pair = torch.cat([latents, image], 2).expand(len(text), -1, -1, -1, -1)
            with computing(self.compute_dtype, latents.device):
                velocity = self.transformer(
                    hidden_states=pair,
                    encoder_hidden_states=text,
                    timestep=torch.full((len(text),), timestep, device=latents.device),
                    image_rotary_emb=rotary,
                    return_dict=False,
                )[0].float()
            if guided:
                negative, positive = velocity.chunk(2)
                velocity = negative + weights[index] * (positive - negative)
            latents, denoised = solver.step(index, latents, velocity, generator)
            latents = latents.to(text.dtype)
            on_step(Step(index + 1, len(timesteps), self.preview.frames(denoised[0])))
        return latents

    def decode(self, latents: Tensor, num_frames: int) -> np.ndarray:
        """uint8 frames [num_frames, height, width, 3], values rounded as the authors do."""
        with computing(self.compute_dtype, self.vae.device):
            video = decode_latents(self.vae, latents.to(self.vae.device))
        return to_uint8(video, rounding="round")[0, :num_frames]

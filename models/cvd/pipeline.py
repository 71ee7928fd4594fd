"""Text and camera paths to one video per camera."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from models.common.animatediff.frames import decode_frames, draw_latents, preview
from models.common.animatediff.prompts import encode_prompts
from models.common.animatediff.schedule import NOISE_LEVELS
from models.cvd.cameras import ViewCameras, view_cameras
from models.cvd.config import CvdRequest, check_networks
from models.cvd.epipolar_attention import EpipolarBias, random_slopes
from models.cvd.sampler import GeneratorDraws, Schedule, ViewDenoiser
from models.method import Clip, OnStep, Step

SCHEDULE = {**NOISE_LEVELS, "timestep_spacing": "leading", "set_alpha_to_one": True}
"""DDIM as in the authors' inference_config.yaml, whatever the base's scheduler file says."""


class CvdPipeline:
    """encode_prompt -> encode_cameras -> prepare_latents -> denoise -> decode; one job at a time."""

    def __init__(
        self, tokenizer: Any, text_encoder: Any, pose_encoder: Any, unet: Any, scheduler: Any, vae: Any
    ) -> None:
        self.tokenizer = tokenizer
        self.text_encoder = text_encoder
        self.pose_encoder = pose_encoder
        self.unet = unet
        self.scheduler = scheduler
        self.vae = vae

    @torch.inference_mode()
    def __call__(self, request: CvdRequest, on_step: OnStep) -> list[Clip]:
        check_networks(request, self.unet.config, self.vae.config, self.pose_encoder.config)
        generator = torch.Generator("cpu").manual_seed(request.seed)
        size = (request.height, request.width)
        cameras = view_cameras(
            request.cameras, request.num_views, request.num_frames, *size,
            strength=request.strength, focal_length=self.pose_encoder.config.focal_length,
        )  # fmt: skip
        latents = draw_latents(self.unet, self.vae, request.num_views, request.num_frames, *size, generator)
        denoiser = ViewDenoiser(
            unet=self.unet,
            text=self.encode_prompt(request),
            pose_features=self.encode_cameras(cameras, *size),
            bias=self.epipolar_bias(cameras, size, generator) if request.synchronized else None,
            guidance_scale=request.guidance_scale,
        )
        latents = self.denoise(denoiser, latents, request, generator, on_step)
        videos = decode_frames(self.vae, latents)
        described = cameras.described(*size)
        return [
            Clip(video, request.fps, f"view {index}", own)
            for index, (video, own) in enumerate(zip(videos, described, strict=True), 1)
        ]

    def encode_prompt(self, request: CvdRequest) -> Tensor:
        """[without prompt, with prompt], or the latter alone when there is no guidance."""
        prompts = [request.negative_prompt, request.prompt] if request.guidance_scale > 1 else [request.prompt]
        return encode_prompts(self.tokenizer, self.text_encoder, prompts).to(self.unet.dtype)

    def encode_cameras(self, cameras: ViewCameras, height: int, width: int) -> tuple[Tensor, ...]:
        """Pose features per resolution. Every view goes alone: the encoder is widest at the first resolution."""
        rays = torch.from_numpy(cameras.rays(height, width)).to(self.unet.device, self.pose_encoder.dtype)
        views = [self.pose_encoder(view) for view in rays.split(1)]
        return tuple(torch.cat(level).to(self.unet.dtype) for level in zip(*views, strict=True))

    def epipolar_bias(
        self, cameras: ViewCameras, size: tuple[int, int], generator: torch.Generator
    ) -> EpipolarBias | None:
        """The job's attention bias; None for a single view."""
        matrices = {
            pair: torch.from_numpy(matrix).to(self.unet.device)
            for pair, matrix in cameras.fundamental_matrices().items()
        }
        return EpipolarBias(matrices, size, random_slopes(generator, self.unet.device)) if matrices else None

    def denoise(
        self, denoiser: ViewDenoiser, latents: Tensor, request: CvdRequest, generator: torch.Generator, on_step: OnStep
    ) -> Tensor:
        scheduler = type(self.scheduler).from_config(
            self.scheduler.config, **SCHEDULE
        )  # its state belongs to this job
        scheduler.set_timesteps(request.num_inference_steps, device=latents.device)
        paper = Schedule.of_paper(request.num_views if request.synchronized else 1)
        schedule = Schedule(request.repeats or paper.repeats, request.rounds or paper.rounds)
        total = schedule.step_count(len(scheduler.timesteps))
        done = 0

        def report(_: Tensor, denoised: Tensor) -> None:
            nonlocal done
            done += 1
            on_step(Step(done, total, preview(self.vae, denoised)))

        return denoiser.denoise(latents, scheduler, schedule, GeneratorDraws(generator), report)

"""Text to video in a few steps, or in many with the teacher."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from models.common.animatediff.frames import decode_frames, draw_latents, preview
from models.common.animatediff.prompts import encode_prompts
from models.mcm.config import McmRequest, check_networks
from models.mcm.lent_adapter import lent_adapter
from models.mcm.sampler import sample_student, sample_teacher, student_scheduler, teacher_scheduler
from models.method import REPOSITORY, Clip, OnStep, Step


class McmPipeline:
    """encode_prompt -> prepare_latents -> denoise -> decode; one job at a time."""

    def __init__(
        self, tokenizer: Any, text_encoder: Any, unet: Any, scheduler: Any, vae: Any, teacher: Any = None,
        adapter: str = "",
    ) -> None:  # fmt: skip
        """With `adapter`, see config.py, `unet` is the teacher."""
        self.tokenizer = tokenizer
        self.text_encoder = text_encoder
        self.unet = unet
        self.scheduler = scheduler
        self.vae = vae
        self.adapter = adapter
        self.teacher = unet if adapter else teacher

    @torch.inference_mode()
    def __call__(self, request: McmRequest, on_step: OnStep) -> list[Clip]:
        check_networks(request, self.unet.config, self.vae.config)
        generator = torch.Generator("cpu").manual_seed(request.seed)
        text = self.encode_prompt(request)
        latents = draw_latents(self.unet, self.vae, 1, request.num_frames, request.height, request.width, generator)
        latents = self.denoise(latents, text, request, generator, on_step)
        return [Clip(video, request.fps) for video in decode_frames(self.vae, latents)]

    def encode_prompt(self, request: McmRequest) -> Tensor:
        """The prompt; for the teacher, what to keep out before it."""
        prompts = [request.negative_prompt, request.prompt] if request.teacher else [request.prompt]
        return encode_prompts(self.tokenizer, self.text_encoder, prompts).to(self.unet.dtype)

    def denoise(
        self, latents: Tensor, text: Tensor, request: McmRequest, generator: torch.Generator, on_step: OnStep
    ) -> Tensor:
        total = request.teacher_steps if request.teacher else request.num_inference_steps
        done = 0

        def report(_: Tensor, denoised: Tensor) -> None:
            nonlocal done
            done += 1
            on_step(Step(done, total, preview(self.vae, denoised)))

        if request.teacher:
            scheduler = teacher_scheduler(self.scheduler, self.teacher)
            scheduler.set_timesteps(total, device=latents.device)
            return sample_teacher(self.teacher, scheduler, latents, text, request.guidance_scale, report)
        few = student_scheduler(self.scheduler, self.unet)
        few.set_timesteps(total, device=latents.device)
        student = lent_adapter(self.unet, REPOSITORY / self.adapter) if self.adapter else nullcontext()
        with student:
            return sample_student(self.unet, few, latents, text, generator, report)

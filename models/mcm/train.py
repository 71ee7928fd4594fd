"""Distillation of a video teacher into a few-step student: motion from the teacher, looks from pictures.

arXiv:2406.06890, algorithm 1; constants and order of the authors' main.py. The student is a LoRA adapter on the
teacher, so one network is both. Data come as latents and text states; where they come from is not this file's
business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from models.mcm.adapter import add_adapter
from models.mcm.consistency import DDIMSolver, NoiseSchedule, consistency_function, pseudo_huber, teacher_step
from models.mcm.discriminator import (
    PENALTY_WEIGHT,
    ProjectedDiscriminator,
    augmented,
    discriminator_losses,
    generator_loss,
    gradient_penalty,
)
from models.mcm.motion_representation import REPRESENTATIONS, SpatialHead, follow
from models.mcm.sampler import predict_noise

LEARNED = "learned"
Video = Float[Tensor, "batch channels frames height width"]
Pictures = Float[Tensor, "count 3 picture_height picture_width"]


@dataclass(frozen=True)
class McmTraining:
    """Settings of the authors' scripts."""

    rank: int = 64
    learning_rate: float = 5e-6
    representation_learning_rate: float = 5e-6  # a representation that learns fast learns to see nothing
    discriminator_learning_rate: float = 5e-5
    max_gradient_norm: float = 10.0
    representation: str = LEARNED  # or one of REPRESENTATIONS; "raw" is plain latent consistency distillation
    simulated_share: float = 0.5  # of the steps start from the student's own videos (mixed trajectories)
    adversarial_weight: float = 1.0  # 0: no pictures, no discriminator
    guidance: tuple[float, float] = (5.0, 15.0)  # w in cond + w (cond - uncond)
    frames_judged: int = 2


@dataclass(frozen=True)
class Batch:
    """One step's data. `pictures` in -1..1 with their captions' vectors; the video's caption as states and vector."""

    latents: Video
    text: Float[Tensor, "batch tokens dim"]
    empty_text: Float[Tensor, "1 tokens dim"]
    caption: Float[Tensor, "batch text_dim"]
    pictures: Pictures
    picture_caption: Float[Tensor, "count text_dim"]


class MotionConsistencyTrainer:
    """Two optimisers: adapter and motion representation; discriminator."""

    _PARTS = ("head", "head_average", "discriminator", "optimizer", "discriminator_optimizer")

    def __init__(
        self,
        teacher: nn.Module,
        schedule: NoiseSchedule,
        decode: Callable[[Tensor], Tensor],
        features: nn.Module,
        discriminator: ProjectedDiscriminator,
        generator: torch.Generator,
        settings: McmTraining | None = None,
    ) -> None:
        """`decode` takes latents [batch, channels, height, width] to pictures, with gradients."""
        self.settings = settings or McmTraining()
        self.unet, self.schedule, self.decode = teacher, schedule, decode
        self.features, self.discriminator = features.requires_grad_(False).eval(), discriminator
        self.generator = generator
        self.adapter = add_adapter(teacher.requires_grad_(False), self.settings.rank)
        self.solver = DDIMSolver(schedule.alphas_cumprod)
        config: Any = teacher.config
        self.head, self.head_average = SpatialHead(config.in_channels), SpatialHead(config.in_channels)
        self.head_average.load_state_dict(self.head.state_dict())
        self.trained = [p for p in self.adapter.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [{"params": list(self.trained)}]
        if self.settings.representation == LEARNED:
            self.trained += list(self.head.parameters())
            groups.append({"params": list(self.head.parameters()), "lr": self.settings.representation_learning_rate})
        self.optimizer = torch.optim.AdamW(groups, self.settings.learning_rate, weight_decay=0.0)
        self.discriminator_optimizer = torch.optim.AdamW(
            discriminator.parameters(), self.settings.discriminator_learning_rate, weight_decay=0.0
        )

    def step(self, batch: Batch) -> dict[str, float]:
        """One update of the student, then one of the discriminator; the losses before them."""
        clean = self.clean_latents(batch)
        index = torch.randint(len(self.solver.timesteps), (len(clean),), generator=self.generator).to(clean.device)
        student, target = self.neighbours(clean, index, batch)
        losses = {"motion": pseudo_huber(*self.represent(student, target))}
        fake = None
        if self.settings.adversarial_weight:
            fake = self.judged_pictures(student)
            logits = self._judge(fake, batch.caption.repeat_interleave(self.settings.frames_judged, dim=0))
            losses["appearance"] = self.settings.adversarial_weight * generator_loss(logits)
        self._update(sum(losses.values(), torch.zeros(())), self.optimizer, self.trained)
        if self.settings.representation == LEARNED:
            follow(self.head_average.parameters(), self.head.parameters())
        if fake is not None:
            losses["discriminator"] = self.update_discriminator(fake.detach(), batch)
        return {name: loss.item() for name, loss in losses.items()}

    @torch.no_grad()
    def clean_latents(self, batch: Batch) -> Video:
        """The video's latents, or in a share of the steps what the student makes of pure noise in one step."""
        if torch.rand((), generator=self.generator) >= self.settings.simulated_share:
            return batch.latents
        last = torch.full((len(batch.latents),), len(self.schedule.alphas_cumprod) - 1, device=batch.latents.device)
        noise = self._noise(batch.latents)
        return self.schedule.x0(self._predict(noise, last, batch.text), last, noise)

    def neighbours(self, clean: Video, index: Int[Tensor, " batch"], batch: Batch) -> tuple[Video, Video]:
        """f at a point of a trajectory, and f at the next point, where the guided teacher leads; the latter is
        fixed."""
        timesteps = self.solver.timesteps.to(clean.device)[index]
        noise = self._noise(clean)
        noisy = self.schedule.noised(clean, noise, timesteps)
        pure = (index == len(self.solver.timesteps) - 1).view(-1, 1, 1, 1, 1)
        noisy = torch.where(pure, noise, noisy)  # sampling starts from noise without a trace of the video
        low, high = self.settings.guidance
        weight = (low + (high - low) * torch.rand(len(clean), generator=self.generator)).to(clean)
        with torch.no_grad():
            empty = batch.empty_text.expand_as(batch.text)
            with self.adapter.disable_adapter():
                earlier = teacher_step(
                    self._predict, self.schedule, self.solver, noisy, index, batch.text, empty, weight
                )
            before = self.solver.previous_timesteps(index)
            target = consistency_function(self._predict, self.schedule, earlier, before, batch.text)
        return consistency_function(self._predict, self.schedule, noisy, timesteps, batch.text), target

    def represent(self, student: Video, target: Video) -> tuple[Tensor, Tensor]:
        """Motion of both; a learned representation has its moving average on the target's side."""
        if self.settings.representation == LEARNED:
            with torch.no_grad():
                fixed = self.head_average(target)
            return self.head(student), fixed
        representation = REPRESENTATIONS[self.settings.representation]
        return representation(student), representation(target)

    def judged_pictures(self, student: Video) -> Pictures:
        """A few random frames of every video, decoded."""
        frames = torch.randperm(student.shape[2], generator=self.generator)[: self.settings.frames_judged]
        return self.decode(student[:, :, frames.to(student.device)].transpose(1, 2).flatten(0, 1))

    def update_discriminator(self, fake: Pictures, batch: Batch) -> Float[Tensor, ""]:
        """Hinge on real and fake pictures, and the gradient penalty on mixtures of them."""
        caption = batch.caption.repeat_interleave(self.settings.frames_judged, dim=0)
        real_loss, fake_loss = discriminator_losses(
            self._judge(batch.pictures, batch.picture_caption), self._judge(fake, caption)
        )
        count = min(len(fake), len(batch.pictures))
        share = torch.rand(count, 1, 1, 1, generator=self.generator).to(fake)
        between = share * batch.pictures[:count] + (1 - share) * fake[:count]
        penalty = gradient_penalty(self.discriminator, self.features(between), batch.picture_caption[:count])
        loss = real_loss + fake_loss + PENALTY_WEIGHT * penalty
        self._update(loss, self.discriminator_optimizer, list(self.discriminator.parameters()))
        return loss.detach()

    def save(self, folder: Path) -> None:
        """The adapter in the released layout."""
        self.adapter.save_pretrained(str(folder))

    def state_dict(self) -> dict[str, Any]:
        """Everything a later run needs to go on from here, but the random generator."""
        adapter = {name: p.detach() for name, p in self.adapter.named_parameters() if p.requires_grad}
        parts = {name: getattr(self, name).state_dict() for name in self._PARTS}
        return {"adapter": adapter, **parts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in self._PARTS:
            getattr(self, name).load_state_dict(state[name])
        with torch.no_grad():
            for name, parameter in self.adapter.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(state["adapter"][name])

    def _judge(self, pictures: Pictures, caption: Tensor) -> Tensor:
        return self.discriminator(self.features(augmented(pictures, self.generator)), caption)

    def _predict(self, latents: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
        return predict_noise(self.unet, latents, timesteps, text)

    def _noise(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self.generator).to(like)

    def _update(self, loss: Tensor, optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, self.settings.max_gradient_norm)
        optimizer.step()

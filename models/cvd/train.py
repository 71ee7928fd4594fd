"""Training of CVD's synchronisation modules, and of nothing else, on the paper's two kinds of pairs.

Static scenes with known cameras: a clip cut in the middle, its first half played backwards, gives two views that
start at the same frame (arXiv:2405.17414, section 4.2, "RE10K folding"). Moving scenes without cameras: a video and
a warped copy (homographies.py). Neither needs true multi-view video. The loss is the plain error of the predicted
noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from models.common import cameras as geometry
from models.cvd.cameras import ViewCameras
from models.cvd.epipolar_attention import EpipolarBias, PseudoLineBias, Synchronization, random_slopes
from models.cvd.homographies import random_homographies, warp_video
from models.cvd.unet import CollaborativeUNet, ViewConditions

PAIR = ((1,), (0,))


@dataclass(frozen=True)
class CvdTraining:
    """Settings of the paper, section 5.1 and train_epi_control.py.

    `shared_timesteps` is ours: the share of pairs whose views have one timestep, as they have in sampling. The
    authors draw one for each view, so that both are rarely as noisy as where sampling decides what stands where.
    """

    learning_rate: float = 1e-4
    weight_decay: float = 1e-2
    dropped_prompts: float = 0.1
    static_share: float = 0.7
    max_gradient_norm: float = 1.0
    shared_timesteps: float = 0.0


@dataclass(frozen=True)
class Pair:
    """Two videos of one scene: pictures in -1..1, and either cameras or the homographies between them.

    `valid` marks pixels that show the scene; a warped copy has corners that do not.
    """

    videos: Float[Tensor, "2 3 frames height width"]
    cameras: ViewCameras | None = None
    homographies: Float[Tensor, "2 frames 3 3"] | None = None
    valid: Bool[Tensor, "2 frames height width"] | None = None


def fold_clip(
    video: Float[Tensor, "3 frames height width"],
    camera_to_world: Float[np.ndarray, "frames 4 4"],
    intrinsics: Float[np.ndarray, "frames 4"],
) -> Pair:
    """An odd number of frames about a middle one -> two views of the same scene that start there and part."""
    middle = video.shape[1] // 2
    if video.shape[1] != 2 * middle + 1:
        raise ValueError(f"A clip to be folded has an odd number of frames, got {video.shape[1]}.")
    halves = [slice(middle, None, -1), slice(middle, None)]
    poses = np.stack([geometry.relative_poses(camera_to_world[half]) for half in halves])
    lenses = np.stack([intrinsics[half] for half in halves])
    backwards, forwards = video[:, : middle + 1].flip(1), video[:, middle:]
    return Pair(torch.stack([backwards, forwards]), cameras=ViewCameras(poses, lenses))


def warped_pair(video: Float[Tensor, "3 frames height width"], generator: torch.Generator) -> Pair:
    """A video and a copy that drifts away from it; the lines of either pass through the pixel's place in the other."""
    there = random_homographies(video.shape[1], (video.shape[2], video.shape[3]), generator)
    copy, inside = warp_video(video, there)
    return Pair(
        torch.stack([video, copy]),
        homographies=torch.stack([there, torch.linalg.inv(there)]),
        valid=torch.stack([torch.ones_like(inside), inside]),
    )


class SynchronizationTrainer:
    """One optimiser over the cross-view modules; everything else is frozen."""

    def __init__(
        self,
        unet: CollaborativeUNet,
        pose_encoder: nn.Module,
        vae: Any,
        scheduler: Any,
        generator: torch.Generator,
        settings: CvdTraining | None = None,
    ) -> None:
        self.unet, self.pose_encoder, self.vae, self.scheduler = unet, pose_encoder, vae, scheduler
        self.generator = generator
        self.settings = settings or CvdTraining()
        for part in (unet, pose_encoder, vae):
            part.requires_grad_(False)
        self.trained = unet.cross_view_parameters()
        for parameter in self.trained:
            parameter.requires_grad_(True)
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(self.trained, lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay)
        ]

    def step(
        self,
        pairs: Sequence[Pair],
        text: Float[Tensor, "pairs tokens dim"],
        empty_text: Float[Tensor, "1 tokens dim"],
        share_gradients: Callable[[list[nn.Parameter]], None] | None = None,
    ) -> float:
        """One update on a few pairs; their mean loss before it. `share_gradients` averages over processes."""
        total = 0.0
        for pair, prompt in zip(pairs, text.split(1), strict=True):
            loss = self.loss(pair, prompt, empty_text) / len(pairs)
            loss.backward()
            total += loss.item()
        if share_gradients:
            share_gradients(self.trained)
        nn.utils.clip_grad_norm_(self.trained, self.settings.max_gradient_norm)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return total

    def loss(self, pair: Pair, text: Tensor, empty_text: Tensor, *, synchronized: bool = True) -> Float[Tensor, ""]:
        """Mean squared error of the prediction where the scene is visible, the views at a timestep each or at one.

        `synchronized` False measures the views each on its own, for comparison.
        """
        latents = self._encode(pair.videos)
        timesteps = self._timesteps(len(latents))
        noise = torch.randn(latents.shape, generator=self.generator).to(latents)
        noisy = self.scheduler.add_noise(latents, noise, timesteps)
        dropped = torch.rand((), generator=self.generator) < self.settings.dropped_prompts
        prompts = (empty_text if dropped else text).repeat(len(latents), 1, 1)
        conditions = self._conditions(pair)
        if not synchronized:
            conditions = ViewConditions(conditions.pose_features)
        predicted = self.unet(noisy, timesteps, prompts, conditions)
        target = noise
        if self.scheduler.config.prediction_type == "v_prediction":
            target = self.scheduler.get_velocity(latents, noise, timesteps)
        error = (predicted.float() - target.float()) ** 2
        if pair.valid is None:
            return error.mean()
        mask = F.interpolate(pair.valid.float(), latents.shape[-2:], mode="area")[:, None].to(error)
        return (error * mask).sum() / (mask.sum() * error.shape[1]).clamp_min(1)

    def _conditions(self, pair: Pair) -> ViewConditions:
        height, width = pair.videos.shape[-2:]
        device = pair.videos.device
        slopes = random_slopes(self.generator, device)
        if pair.cameras is None:
            bias = PseudoLineBias((height, width), slopes, len(pair.videos), pair.homographies)
            return ViewConditions((), Synchronization(PAIR, bias))
        matrices = {
            views: torch.from_numpy(matrix).to(device) for views, matrix in pair.cameras.fundamental_matrices().items()
        }
        with torch.no_grad():
            features = self.pose_encoder(torch.from_numpy(pair.cameras.rays(height, width)).to(device))
        return ViewConditions(features, Synchronization(PAIR, EpipolarBias(matrices, (height, width), slopes)))

    @torch.no_grad()
    def _encode(self, videos: Float[Tensor, "views 3 frames height width"]) -> Float[Tensor, "views _ frames _ _"]:
        frames = self.vae.encode(videos.transpose(1, 2).flatten(0, 1)).latent_dist.mode()
        latents = frames.unflatten(0, (len(videos), -1)).transpose(1, 2) * self.vae.config.scaling_factor
        # torch 2.13 crashes on a CPU in the backward pass of frozen convolutions over channels-last memory
        return latents.contiguous()

    def _timesteps(self, count: int) -> Int[Tensor, " count"]:
        timesteps = torch.randint(self.scheduler.config.num_train_timesteps, (count,), generator=self.generator)
        if torch.rand((), generator=self.generator) < self.settings.shared_timesteps:
            timesteps[:] = timesteps[0].clone()
        return timesteps.to(self.unet.device)

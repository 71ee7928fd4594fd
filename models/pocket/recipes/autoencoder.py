"""Training of an autoencoder on single frames: what the recipes of both families' VAEs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.pocket.recipes.dataset import STATE, open_clips
from models.pocket.recipes.matrix_conv import muon_convolutions
from models.pocket.recipes.training import (
    Learner,
    Rank,
    Run,
    autocast,
    optimizers,
    psnr,
    set_learning_rate,
    trapezoid,
)
from models.pocket.world import sample_scene

Reconstruct = Callable[[Any, Tensor], tuple[Tensor, Tensor]]
"""(network, frames [batch, 3, height, width]) -> (latents, decoded frames)."""


def to_model(frames: Tensor) -> Tensor:
    """uint8 [..., height, width, 3] -> float [..., 3, height, width] in [-1, 1]."""
    return frames.movedim(-1, -3).float() / 127.5 - 1


@torch.no_grad()
def start_downsampler(convolution: nn.Conv2d) -> None:
    """Nearly an orthogonal space-to-depth map."""
    convolution.weight.mul_(0.1)
    taps = nn.init.orthogonal_(torch.empty(convolution.out_channels, convolution.in_channels * 4))
    convolution.weight[:, :, :2, :2] += taps.view(convolution.out_channels, convolution.in_channels, 2, 2)


@torch.no_grad()
def start_upsampler(convolution: nn.Conv2d) -> None:
    """Nearly the identity."""
    convolution.weight.mul_(0.5)
    convolution.weight[:, :, 1, 1] += 0.7 * torch.eye(convolution.out_channels, convolution.in_channels)


def frames_of(clips: np.ndarray, rng: np.random.Generator, count: int, device: torch.device) -> Tensor:
    """Random frames [count, 3, height, width] in [-1, 1], half of them mirrored."""
    which, when = rng.integers(len(clips), size=count), rng.integers(clips.shape[1], size=count)
    picked = np.stack([clips[i, t, :, :: (-1 if rng.random() < 0.5 else 1)] for i, t in zip(which, when, strict=True)])
    return to_model(torch.from_numpy(picked).to(device))


@torch.no_grad()
def evaluate(
    network: nn.Module, reconstruct: Reconstruct, clips: np.ndarray, people: np.ndarray, device: torch.device
) -> dict[str, float]:
    """Mean PSNR of a few held-out frames, solids and people apart."""
    scores = []
    for start in range(0, len(clips), 16):
        pixels = to_model(torch.from_numpy(np.array(clips[start : start + 16, 7])).to(device))
        with autocast(device):
            scores.append(psnr(reconstruct(network, pixels)[1], pixels))
    scores = torch.cat(scores).cpu().numpy()
    return {"psnr_solids": float(scores[~people].mean()), "psnr_people": float(scores[people].mean())}


def train_frames(
    rank: Rank,
    name: str,
    build: Callable[[], nn.Module],
    reconstruct: Reconstruct,
    export: Callable[[Any, np.ndarray, torch.device], None],
    seconds: float,
    batch: int,
) -> None:
    """Train `build()` for `seconds`, state in `.pocket/<name>`, then `export(network, held-out clips, device)`."""
    torch.manual_seed(0)
    run = Run(STATE / name, seconds, rank)
    vae = build().to(rank.device)
    muon = muon_convolutions(vae)
    ids = {id(p) for p in muon}
    both = optimizers(muon, [p for p in vae.parameters() if id(p) not in ids], 0.013, 4e-3)
    learner = Learner(vae, both)
    if state := run.resume():
        learner.load(state)
    rng = np.random.default_rng((rank.index, run.step))
    clips, test = open_clips("train"), open_clips("test")[:128]
    people = np.array([sample_scene(i, "test").person is not None for i in range(len(test))])
    losses = []
    while (progress := run.progress) < 1:
        if run.step % 500 == 0:  # rendering may still be going on beside
            clips = open_clips("train")
        set_learning_rate(both, trapezoid(progress, 0.015, 0.45))
        pixels = frames_of(clips, rng, batch // rank.world, rank.device)
        with autocast(rank.device):
            latents, decoded = reconstruct(vae, pixels)
        difference = decoded.float() - pixels
        loss = difference.abs().mean() + difference.square().mean() + 1e-4 * latents.float().square().mean()
        number = learner.step(rank, loss)
        run.step, run.samples = run.step + 1, run.samples + batch
        losses.append(number)
        if run.step in (20, 100) or run.step % 400 == 0:
            run.note(loss=float(np.mean(losses[-400:])))
        if run.due():
            run.save(**learner.state())
            with learner.averaged():
                run.note(**evaluate(vae, reconstruct, test, people, rank.device))
    if rank.first:
        run.save(**learner.state())
        learner.finish()
        run.note(**evaluate(vae, reconstruct, test, people, rank.device))
        export(vae, test, rank.device)

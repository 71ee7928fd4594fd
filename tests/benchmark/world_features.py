"""Distances between sets of clips in the judge's features, and the sharpness and movement of one clip."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from models.pocket.judge import Judge


@torch.no_grad()
def clip_features(judge: Judge, clips: Sequence[np.ndarray]) -> np.ndarray:
    """What the judge makes of each whole clip before it answers, [clips, dim]."""
    rows = []
    for clip in clips:
        tokens = judge.frames(_pixels(clip)) + judge.time[: len(clip)]
        rows.append(judge.over_time(tokens[None]).mean(1)[0].numpy())
    return np.stack(rows)


@torch.no_grad()
def frame_features(judge: Judge, clips: Sequence[np.ndarray]) -> np.ndarray:
    """Every fourth frame by itself, [clips, frames, dim]."""
    return np.stack([judge.frames(_pixels(clip[::4])).numpy() for clip in clips])


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """Frechet distance of two sets of features [count, dim], as Gaussians."""
    means, covariances = zip(*((x.mean(0), np.cov(x, rowvar=False)) for x in (first, second)), strict=True)
    # tr sqrt(AB) = sum of the roots of the eigenvalues of AB, which are real and not negative
    roots = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(0)).sum()
    return float(((means[0] - means[1]) ** 2).sum() + np.trace(covariances[0] + covariances[1]) - 2 * roots)


def resampled_frechet(made: np.ndarray, real: np.ndarray, resamples: int = 60, seed: int = 0) -> np.ndarray:
    """The distance, then the same with the made clips drawn anew, [1 + resamples]; both sets [clips, (frames,) dim].

    Every set of as many clips is drawn alike, so that two ways to make the same scenes can be compared draw by draw.
    """
    rng = np.random.default_rng(seed)
    flat = real.reshape(-1, real.shape[-1])
    draws = [np.arange(len(made)), *(rng.integers(len(made), size=len(made)) for _ in range(resamples))]
    return np.array([frechet(made[draw].reshape(-1, made.shape[-1]), flat) for draw in draws])


def with_interval(distances: np.ndarray) -> dict[str, float]:
    """What `resampled_frechet` found, or the difference of two such, with half of its 95% interval."""
    return {"mean": round(float(distances[0]), 3), "half": round(float(1.96 * distances[1:].std()), 3)}


def sharpness(clip: np.ndarray) -> float:
    """Mean absolute Laplacian of the grey frames, of 255."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in clip[::4]]
    return float(np.mean([np.abs(cv2.Laplacian(frame, cv2.CV_32F)).mean() for frame in grey]))


def _pixels(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1

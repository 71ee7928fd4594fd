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


def frechet_with_interval(
    made: np.ndarray, real: np.ndarray, resamples: int = 40, seed: int = 0
) -> tuple[float, float]:
    """The distance, and half of its 95% interval by drawing the made clips anew; both [clips, (frames,) dim]."""
    rng = np.random.default_rng(seed)
    flat = real.reshape(-1, real.shape[-1])

    def distance(rows: np.ndarray) -> float:
        return frechet(rows.reshape(-1, rows.shape[-1]), flat)

    drawn = [distance(made[rng.integers(len(made), size=len(made))]) for _ in range(resamples)]
    return distance(made), float(1.96 * np.std(drawn))


def sharpness(clip: np.ndarray) -> float:
    """Mean absolute Laplacian of the grey frames, of 255."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in clip[::4]]
    return float(np.mean([np.abs(cv2.Laplacian(frame, cv2.CV_32F)).mean() for frame in grey]))


def _pixels(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1

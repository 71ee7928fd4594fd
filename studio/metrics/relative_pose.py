"""Rotation and direction of movement between two pictures, from points followed between them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from models.common.cameras import cross_matrix

SOFTNESS = 0.7  # pixels beyond which a point counts as moving on its own (Cauchy's loss)
ROUNDS = 15
AS_GOOD = 1.1  # a flat scene fits several poses: those with at most this share of the best one's loss are kept


def angle_between(first: Float[np.ndarray, "*batch 3"], second: Float[np.ndarray, "*batch 3"]) -> np.ndarray:
    """Degrees, 0 to 180."""
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    return np.asarray(np.degrees(np.arccos(np.clip((first * second).sum(-1) / np.maximum(lengths, 1e-12), -1, 1))))


def angle_of(rotation: Float[np.ndarray, "3 3"]) -> float:
    """Degrees, 0 to 180."""
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))


def fitted_poses(
    start: Float[np.ndarray, "points 3"],
    end: Float[np.ndarray, "points 3"],
    rotation: Float[np.ndarray, "3 3"],
    translation: Float[np.ndarray, " 3"],
    focal: float,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Every (rotation, unit translation) that fits about as well as the best, found from several beginnings.

    `start`, `end`: rays with z = 1. One beginning is the pose given, so that of equally good ones it is among them.
    """
    import cv2

    beginnings = [(rotation, translation), *((np.eye(3), axis) for axis in np.eye(3))]
    cv2.setRNGSeed(0)  # RANSAC draws; the same clip must give the same number
    essential, kept = cv2.findEssentialMat(start[:, :2], end[:, :2], np.eye(3), cv2.RANSAC, 0.999, 1.0 / focal)
    if essential is not None and essential.shape == (3, 3):
        _, turned, moved, _ = cv2.recoverPose(essential, start[:, :2], end[:, :2], np.eye(3), mask=kept)
        beginnings.append((turned, moved[:, 0]))
    fits = [_refined(turn, direction, start, end, focal) for turn, direction in beginnings]
    best = min(loss for *_, loss in fits)
    return [(turn, _forwards(turn, way, start, end)) for turn, way, loss in fits if loss <= best * AS_GOOD + 0.01]


def _refined(rotation, translation, start, end, focal) -> tuple[np.ndarray, np.ndarray, float]:
    """Levenberg and Marquardt on five numbers: three of the turn, two of the direction."""
    pose = rotation, translation / np.linalg.norm(translation)
    off, damping = _distances(*pose, start, end, focal), 1e-2
    loss = _loss(off)
    for _ in range(ROUNDS):
        slopes = np.stack([(_distances(*_moved(*pose, step), start, end, focal) - off) / 1e-4
                           for step in 1e-4 * np.eye(5)], 1)  # fmt: skip
        weights = 1 / (1 + (off / SOFTNESS) ** 2)
        curvature, slope = slopes.T @ (slopes * weights[:, None]), slopes.T @ (weights * off)
        for _ in range(6):
            step = -np.linalg.solve(curvature + damping * np.diag(np.diag(curvature) + 1e-9), slope)
            candidate = _moved(*pose, step)
            trial = _distances(*candidate, start, end, focal)
            if _loss(trial) < loss:
                break
            damping *= 5
        else:
            break
        gained, pose, off, loss, damping = loss - _loss(trial), candidate, trial, _loss(trial), damping / 5
        if gained < 1e-6:
            break
    return pose[0], pose[1], loss


def _distances(rotation, translation, start, end, focal) -> Float[np.ndarray, " points"]:
    """Sampson's distance from the epipolar geometry, in pixels."""
    essential = cross_matrix(translation) @ rotation
    lines, back = start @ essential.T, end @ essential
    slope = (lines[:, :2] ** 2).sum(1) + (back[:, :2] ** 2).sum(1)
    return focal * (end * lines).sum(1) / np.sqrt(slope + 1e-12)


def _loss(off: Float[np.ndarray, " points"]) -> float:
    return float(np.log1p((off / SOFTNESS) ** 2).mean())


def _moved(rotation, translation, step) -> tuple[np.ndarray, np.ndarray]:
    import cv2

    _, _, axes = np.linalg.svd(translation[None])
    direction = translation + step[3] * axes[1] + step[4] * axes[2]
    return cv2.Rodrigues(np.asarray(step[:3]))[0] @ rotation, direction / np.linalg.norm(direction)


def _forwards(rotation, translation, start, end) -> np.ndarray:
    """Of the two directions that fit alike, the one that puts more points before the camera."""
    turned = start @ rotation.T
    across = np.cross(end, turned)
    depth = -(across * np.cross(end, translation)).sum(1)
    return translation if (depth > 0).mean() >= 0.5 else -translation

"""How views agree with geometry that is known: tracked points against epipolar lines, colours of matched points."""

from __future__ import annotations

import cv2
import numpy as np

from models.pocket.recipes.camera_scenes import in_the_world
from models.pocket.world import Scene, render_clip
from models.pocket.world import cameras as world_cameras
from models.pocket.world.clip import SIDE

ENLARGED = 4  # 64 pixels are too few for a feature detector
RATIO = 0.7  # of the best and second best descriptor, Lowe 2004
NEAR = 6.0  # pixels of 256, 1.5 of ours; the paper's 3 of 256 are finer than a detector finds on 64


def tracked_points(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Matched SIFT points of two pictures, [matches, 2 pictures, (x, y)] in pixels."""
    finder, size = cv2.SIFT.create(contrastThreshold=0.02), (SIDE * ENLARGED, SIDE * ENLARGED)
    found = [
        finder.detectAndCompute(cv2.resize(f, size, interpolation=cv2.INTER_CUBIC), None) for f in (first, second)
    ]
    (points, words), (others, other_words) = found
    if words is None or other_words is None or len(other_words) < 2:
        return np.zeros((0, 2, 2))
    pairs = cv2.BFMatcher().knnMatch(words, other_words, k=2)
    kept = [m for m, n in pairs if m.distance < RATIO * n.distance]
    matched = [(points[m.queryIdx].pt, others[m.trainIdx].pt) for m in kept]
    return (np.array(matched).reshape(-1, 2, 2) + 0.5) / ENLARGED


def epipolar_distances(matches: np.ndarray, fundamental: np.ndarray) -> np.ndarray:
    """Mean distance of each match to the other's line, both ways, in pixels of a 256-pixel picture."""
    one, two = (np.concatenate([matches[:, i], np.ones((len(matches), 1))], 1) for i in (0, 1))
    lines, back = one @ fundamental.T, two @ fundamental
    signed = np.abs((two * lines).sum(1))
    reach = np.hypot(lines[:, 0], lines[:, 1]), np.hypot(back[:, 0], back[:, 1])
    return (signed / (reach[0] + 1e-9) + signed / (reach[1] + 1e-9)) / 2 * (256 / SIDE)


def correspondence(scene: Scene, paths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel of view 0 lies in view 1 in the world itself: (x, y) [frames, height, width, 2] and whether it
    is seen there, not hidden and not at infinity."""
    poses = [in_the_world(path) for path in paths]
    here, there = (render_clip(scene, len(path), poses=path, supersample=1) for path in poses)
    matrix = world_cameras.intrinsics(SIDE, SIDE)
    y, x = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(matrix).T  # depth is along the optical axis
    placed, seen = [], []
    for depth, other, pose, other_pose in zip(here.depth, there.depth, *poses, strict=True):
        points = (rays * depth[..., None]) @ pose[:3, :3].T + pose[:3, 3]
        local = (points - other_pose[:3, 3]) @ other_pose[:3, :3]
        pixel = local @ matrix.T
        place = pixel[..., :2] / np.maximum(pixel[..., 2:], 1e-6) - 0.5
        nearest = np.clip(np.round(place).astype(int), 0, SIDE - 1)
        inside = ((place >= 0) & (place <= SIDE - 1)).all(-1) & (local[..., 2] > 0)
        close = np.abs(other[nearest[..., 1], nearest[..., 0]] - local[..., 2]) < 0.05 * local[..., 2]
        placed.append(place)
        seen.append(inside & close & (depth > 0))
    return np.stack(placed), np.stack(seen)


def colour_error(first: np.ndarray, second: np.ndarray, placed: np.ndarray, seen: np.ndarray) -> float:
    """Mean absolute difference of 255 between matched points of the same moment."""
    errors = []
    for a, b, place, mask in zip(first, second, placed, seen, strict=True):
        moved = cv2.remap(b, place[..., 0].astype(np.float32), place[..., 1].astype(np.float32), cv2.INTER_LINEAR)
        errors.append(np.abs(a[mask].astype(np.float32) - moved[mask]).mean() if mask.any() else 0.0)
    return float(np.mean(errors))

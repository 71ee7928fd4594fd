"""Corner points followed from one picture to another: what the camera and the cross-view metrics stand on."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

SIDE = 256  # pictures are brought to this height: all distances of these two metrics are in its pixels
MOST = 300  # corners per picture
RETURN = 0.7  # pixels by which a point followed there and back may miss its start
WINDOW = (15, 15)


def pictures(frames: UInt8[np.ndarray, "frames height width 3"]) -> list[UInt8[np.ndarray, "side across"]]:
    """Grey pictures SIDE pixels high."""
    import cv2

    height, width = frames.shape[1:3]
    size = (round(width * SIDE / height), SIDE)
    way = cv2.INTER_CUBIC if height < SIDE else cv2.INTER_AREA
    return [cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size, interpolation=way) for frame in frames]


def follow(images: Sequence[UInt8[np.ndarray, "side across"]]) -> tuple[np.ndarray, np.ndarray, int]:
    """Corners of the first picture that are found again through all others: their places in the first and in the
    last as (x, y) with pixel centres at half integers, each [points, 2], and how many corners there were."""
    import cv2

    corners = cv2.goodFeaturesToTrack(images[0], MOST, 0.005, 4)
    if corners is None:
        return np.zeros((0, 2)), np.zeros((0, 2)), 0
    start = now = corners
    options = {"winSize": WINDOW, "maxLevel": 4}
    for image, following in itertools.pairwise(images):
        there, found, _ = cv2.calcOpticalFlowPyrLK(image, following, now, np.empty_like(now), **options)
        back, returned, _ = cv2.calcOpticalFlowPyrLK(following, image, there, np.empty_like(now), **options)
        kept = (found[:, 0] > 0) & (returned[:, 0] > 0) & (np.linalg.norm((back - now)[:, 0], axis=-1) < RETURN)
        start, now = start[kept], there[kept]
        if not len(now):
            break
    return start[:, 0].astype(np.float64) + 0.5, now[:, 0].astype(np.float64) + 0.5, len(corners)


def lens_matrices(intrinsics: Float[np.ndarray, "*batch 4"], height: int) -> Float[np.ndarray, "*batch 3 3"]:
    """fx, fy, cx, cy of a clip `height` pixels high as matrices for pictures of SIDE."""
    from models.common.cameras import intrinsic_matrices

    return intrinsic_matrices(np.asarray(intrinsics, np.float64) * SIDE / height)


def rays(points: Float[np.ndarray, "points 2"], lens: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "points 3"]:
    """Directions in camera coordinates, z = 1."""
    return np.concatenate([points, np.ones((len(points), 1))], 1) @ np.linalg.inv(lens).T

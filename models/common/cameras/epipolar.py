"""Two-view geometry: where a pixel of one view can be seen in another."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

SAME_PLACE = 1e-6
"""Cameras nearer than this (in the path's unit) share a centre: no epipolar line, only rounding noise, so F = 0."""


def cross_matrix(vectors: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3 3"]:
    """[v]_x, the matrix with [v]_x w = v x w."""
    matrices = np.zeros((*vectors.shape, 3), dtype=vectors.dtype)
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    matrices[..., 0, 1], matrices[..., 0, 2], matrices[..., 1, 2] = -z, y, -x
    return matrices - np.swapaxes(matrices, -1, -2)


def essential_matrix(transform: Float[np.ndarray, "*batch 4 4"]) -> Float[np.ndarray, "*batch 3 3"]:
    """E = R [-R^T t]_x with x2 = R x1 + t, so that x2^T E x1 = 0 for rays in camera coordinates."""
    rotation, translation = transform[..., :3, :3], transform[..., :3, 3:]
    return rotation @ cross_matrix(-(np.swapaxes(rotation, -1, -2) @ translation)[..., 0])


def fundamental_matrices(
    transform: Float[np.ndarray, "*batch 4 4"],
    intrinsics: Float[np.ndarray, "*batch 3 3"],
    partner_intrinsics: Float[np.ndarray, "*batch 3 3"],
) -> Float[np.ndarray, "*batch 3 3"]:
    """F = K2^-T E K1^-1 with `transform` from camera 1 to camera 2: x2^T F x1 = 0 for pixels of one point.

    F is not normalised: the attention's epsilons depend on its scale (spec_cvd_mcm.md 1.6). Source: CVD
    animatediff/data/dataset_validation.py:54.
    """
    partner_inverse = np.swapaxes(np.linalg.inv(partner_intrinsics), -1, -2)
    return partner_inverse @ essential_matrix(transform) @ np.linalg.inv(intrinsics)


def fundamental_matrices_between(
    camera_to_world: Float[np.ndarray, "views frames 4 4"], intrinsics: Float[np.ndarray, "views frames 3 3"]
) -> dict[tuple[int, int], Float[np.ndarray, "frames 3 3"]]:
    """(view, partner) -> F of each frame, a pixel of the view to its line in the partner at the same time."""
    poses, lenses = camera_to_world.astype(np.float64), intrinsics.astype(np.float64)
    matrices = {}
    for view in range(len(poses)):
        for partner in range(len(poses)):
            if view == partner:
                continue
            transform = np.linalg.inv(poses[partner]) @ poses[view]
            fundamental = fundamental_matrices(transform, lenses[view], lenses[partner])
            fundamental[np.linalg.norm(transform[:, :3, 3], axis=-1) < SAME_PLACE] = 0
            matrices[view, partner] = fundamental.astype(np.float32)
    return matrices

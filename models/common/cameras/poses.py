"""Rigid poses: inverse, relative poses, spherical interpolation, resampling, conventions."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped

CONVENTIONS = {
    "opencv": np.diag([1.0, 1.0, 1.0, 1.0]),  # x right, y down, z forward: RealEstate10K, COLMAP, this project
    "opengl": np.diag([1.0, -1.0, -1.0, 1.0]),  # x right, y up, z backward: Blender, NeRF's transforms.json
    "pytorch3d": np.diag([-1.0, -1.0, 1.0, 1.0]),  # x left, y up, z forward
}
"""Columns are the axes of a camera of that convention, written in OpenCV's camera axes."""


def invert_poses(poses: Float[np.ndarray, "*batch 4 4"]) -> Float[np.ndarray, "*batch 4 4"]:
    """World-to-camera from camera-to-world, and back. Works for any invertible pose, not only rigid ones."""
    return np.linalg.inv(poses)


def relative_poses(
    camera_to_world: Float[np.ndarray, "frames 4 4"], *, keep_first_distance: bool = False
) -> Float[np.ndarray, "frames 4 4"]:
    """Camera-to-world poses seen from the first camera, which becomes exactly the identity.

    `keep_first_distance` puts the first camera at (0, -d, 0) instead, d its distance from the world's origin.
    Source: CameraCtrl inference.py, get_relative_pose (float32 there; float64 here until the caller rounds).
    """
    first = np.eye(4)
    if keep_first_distance:
        first[1, 3] = -np.linalg.norm(camera_to_world[0, :3, 3])
    relative = first @ np.linalg.inv(camera_to_world[0]) @ camera_to_world
    relative[0] = first
    return relative


def slerp(
    start: Float[np.ndarray, "3 3"], end: Float[np.ndarray, "3 3"], weights: Float[np.ndarray, " steps"]
) -> Float[np.ndarray, "steps 3 3"]:
    """Rotations on the shortest great arc from `start` (weight 0) to `end` (weight 1)."""
    turn = rotation_vector(start.T @ end)
    return start @ _rotations_from_vectors(weights[:, None] * turn)


def interpolate_poses(
    start: Float[np.ndarray, "4 4"], end: Float[np.ndarray, "4 4"], num_frames: int
) -> Float[np.ndarray, "frames 4 4"]:
    """Straight translation and spherical rotation in equal steps, both ends included."""
    weights = np.linspace(0.0, 1.0, num_frames)
    poses = np.tile(np.eye(4), (num_frames, 1, 1))
    poses[:, :3, :3] = slerp(start[:3, :3], end[:3, :3], weights)
    poses[:, :3, 3] = start[:3, 3] * (1 - weights[:, None]) + end[:3, 3] * weights[:, None]
    return poses


def resample_poses(poses: Float[np.ndarray, "frames 4 4"], num_frames: int) -> Float[np.ndarray, "samples 4 4"]:
    """`num_frames` poses evenly spread over the path, both ends included; given poses are met exactly."""
    if num_frames == len(poses):
        return poses.copy()
    resampled = np.empty((num_frames, 4, 4))
    for index, position in enumerate(np.linspace(0, len(poses) - 1, num_frames)):
        before = int(position)
        after = min(before + 1, len(poses) - 1)
        weight = position - before
        resampled[index] = np.eye(4)
        resampled[index, :3, :3] = slerp(poses[before, :3, :3], poses[after, :3, :3], np.array([weight]))[0]
        resampled[index, :3, 3] = poses[before, :3, 3] * (1 - weight) + poses[after, :3, 3] * weight
    return resampled


def convert_convention(
    camera_to_world: Float[np.ndarray, "*batch 4 4"], source: str, target: str
) -> Float[np.ndarray, "*batch 4 4"]:
    """The same cameras with their own axes named by another convention; the world's axes stay."""
    for name in (source, target):
        if name not in CONVENTIONS:
            raise ValueError(f"{name!r} is not a camera convention. Known: {', '.join(CONVENTIONS)}.")
    return camera_to_world @ np.linalg.inv(CONVENTIONS[source]) @ CONVENTIONS[target]


def rotation_vector(rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, " 3"]:
    """Axis times angle (radians, at most pi), through the quaternion because it is stable at every angle."""
    quaternion = quaternion_from(rotation)
    sine = np.linalg.norm(quaternion[:3])
    if sine < 1e-12:
        return np.zeros(3)
    quaternion = quaternion if quaternion[3] >= 0 else -quaternion
    return quaternion[:3] * (2 * np.arctan2(sine, quaternion[3]) / sine)


def quaternion_from(matrix: Shaped[np.ndarray, "3 3"]) -> Float[np.ndarray, " 4"]:
    """Unit quaternion (x, y, z, w) by the largest of m00, m11, m22 and the trace.

    For a matrix that is not quite a rotation this is what scipy below 1.15 returned (see paths.circle).
    """
    m = matrix
    choice = int(np.argmax([m[0, 0], m[1, 1], m[2, 2], m[0, 0] + m[1, 1] + m[2, 2]]))
    q = np.empty(4)
    if choice == 3:
        q[0], q[1], q[2] = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
        q[3] = 1 + m[0, 0] + m[1, 1] + m[2, 2]
    else:
        i, j, k = choice, (choice + 1) % 3, (choice + 2) % 3
        q[i] = 1 - (m[0, 0] + m[1, 1] + m[2, 2]) + 2 * m[i, i]
        q[j], q[k] = m[j, i] + m[i, j], m[k, i] + m[i, k]
        q[3] = m[k, j] - m[j, k]
    return q / np.linalg.norm(q)


def rotation_from_quaternion(q: Float[np.ndarray, " 4"]) -> Float[np.ndarray, "3 3"]:
    """Rotation of a unit quaternion (x, y, z, w)."""
    x, y, z, w = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _rotations_from_vectors(vectors: Float[np.ndarray, "steps 3"]) -> Float[np.ndarray, "steps 3 3"]:
    angles = np.linalg.norm(vectors, axis=-1)
    axes = vectors / np.maximum(angles, 1e-300)[:, None]
    quaternions = np.concatenate([axes * np.sin(angles / 2)[:, None], np.cos(angles / 2)[:, None]], axis=1)
    return np.stack([rotation_from_quaternion(q) for q in quaternions])

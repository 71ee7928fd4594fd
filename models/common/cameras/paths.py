"""Camera paths by name. Every path starts at the identity, so that several views share their first frame.

`paths.camera_path("orbit left", 16)` is one view; `paths.camera_paths("circle", 4, 16)` spreads several views.
The unit of length is the distance from the first camera to what it looks at, the point (0, 0, 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from models.common.cameras.poses import interpolate_poses, quaternion_from, rotation_from_quaternion

LOOK_AT = np.array([0.0, 0.0, 1.0])
ORBIT_ANGLE = math.radians(30)
PAN_ANGLE = math.radians(15)
DOLLY_LENGTH = 0.4


def look_at_pose(
    position: Float[np.ndarray, " 3"], target: Float[np.ndarray, " 3"] = LOOK_AT, *, legacy: bool = False
) -> Float[np.ndarray, "4 4"]:
    """Camera-to-world pose at `position` whose z axis points to `target` and whose x axis stays level.

    CVD leaves the z axis unnormalised and lets scipy make a rotation of it. scipy from 1.15 takes the nearest
    rotation, which is the same as normalising z; `legacy` gives what scipy below 1.15 made (spec_cvd_mcm.md 3.7).
    """
    forward = target - position
    down = np.cross(forward, np.array([1.0, 0.0, 0.0]))
    down = down / (np.linalg.norm(down) + 1e-6)
    right = np.cross(down, forward)
    right = right / (np.linalg.norm(right) + 1e-6)
    if not legacy:
        forward, down, right = (axis / np.linalg.norm(axis) for axis in (forward, down, right))
    pose = np.eye(4)
    axes = np.stack([right, down, forward], axis=1)
    pose[:3, :3] = rotation_from_quaternion(quaternion_from(axes))
    pose[:3, 3] = position
    return pose


def circle_positions(num_views: int, distance: float) -> Float[np.ndarray, "views 3"]:
    """Last camera positions evenly on a circle in the first camera's image plane."""
    angles = 2 * math.pi * np.arange(num_views) / num_views
    return distance * np.stack([np.cos(angles), np.sin(angles), np.zeros(num_views)], axis=1)


def upper_hemisphere_positions(num_views: int, distance: float) -> Float[np.ndarray, "views 3"]:
    """Last camera positions on the upper half of that circle (y points down), left to right."""
    angles = math.pi * _fractions(num_views) + math.pi
    return distance * np.stack([np.cos(angles), np.sin(angles), np.zeros(num_views)], axis=1)


def interpolate_positions(num_views: int, distance: float) -> Float[np.ndarray, "views 3"]:
    """Last camera positions on an arc from right to left that bends backwards and tilts."""
    angles = math.pi * _fractions(num_views)
    return distance * np.stack([np.cos(angles), 0.3 * np.cos(angles + 0.5), -0.2 * np.sin(angles)], axis=1)


VIEW_LAYOUTS: dict[str, Callable[[int, float], Float[np.ndarray, "views 3"]]] = {
    "circle": circle_positions,
    "upper hemisphere": upper_hemisphere_positions,
    "interpolate": interpolate_positions,
}
"""CVD's own patterns (inference_epi_advanced.py): each view moves straight from the start to its own last position."""


def layout_paths(
    name: str, num_views: int, num_frames: int, *, distance: float = 0.5,
    offsets: Float[np.ndarray, "views 3"] | None = None, legacy: bool = False,
) -> Float[np.ndarray, "views frames 4 4"]:  # fmt: skip
    """Several views by one of VIEW_LAYOUTS; `offsets` displace the last positions (after they were aimed)."""
    views = []
    for index, position in enumerate(VIEW_LAYOUTS[name](num_views, distance)):
        end = look_at_pose(position, legacy=legacy)
        if offsets is not None:
            end[:3, 3] += offsets[index]
        views.append(interpolate_poses(np.eye(4), end, num_frames))
    return np.stack(views)


def orbit(num_frames: int, amount: float) -> Float[np.ndarray, "frames 4 4"]:
    """Around the point looked at, which stays in the centre; positive amounts move the camera to the right."""
    angles = -ORBIT_ANGLE * amount * np.linspace(0, 1, num_frames)
    poses = _turned_about_y(angles)
    poses[:, :3, 3] = LOOK_AT - poses[:, :3, :3] @ LOOK_AT
    return poses


def pan(num_frames: int, amount: float) -> Float[np.ndarray, "frames 4 4"]:
    """Turning on the spot; positive amounts look to the right. No parallax, hence no epipolar lines."""
    return _turned_about_y(PAN_ANGLE * amount * np.linspace(0, 1, num_frames))


def dolly(num_frames: int, amount: float) -> Float[np.ndarray, "frames 4 4"]:
    """Straight ahead (positive) or back."""
    poses = np.tile(np.eye(4), (num_frames, 1, 1))
    poses[:, 2, 3] = DOLLY_LENGTH * amount * np.linspace(0, 1, num_frames)
    return poses


PATHS: dict[str, tuple[Callable[[int, float], Float[np.ndarray, "frames 4 4"]], float]] = {
    "still": (dolly, 0.0),
    "orbit left": (orbit, -1.0),
    "orbit right": (orbit, 1.0),
    "pan left": (pan, -1.0),
    "pan right": (pan, 1.0),
    "dolly in": (dolly, 1.0),
    "dolly out": (dolly, -1.0),
}
"""Paths of one view, by name: the function and the amount that `strength` 1 means."""

FANS = {"orbit": orbit, "pan": pan, "dolly": dolly}
"""Paths that spread several views evenly from one direction to its opposite."""


def camera_path(name: str, num_frames: int, strength: float = 1.0) -> Float[np.ndarray, "frames 4 4"]:
    """One view's camera-to-world poses by name."""
    if name not in PATHS:
        raise ValueError(f"{name!r} is not a camera path. Known: {', '.join(PATHS)}.")
    path, amount = PATHS[name]
    return path(num_frames, amount * strength)


def camera_paths(
    name: str, num_views: int, num_frames: int, strength: float = 1.0
) -> Float[np.ndarray, "views frames 4 4"]:
    """`num_views` paths that belong together: a layout, a fan, or the same single path for all."""
    if name in VIEW_LAYOUTS:
        return layout_paths(name, num_views, num_frames, distance=0.5 * strength)
    if name in FANS:
        amounts = strength * (2 * _fractions(num_views) - 1)
        return np.stack([FANS[name](num_frames, amount) for amount in amounts])
    if name in PATHS:
        return np.stack([camera_path(name, num_frames, strength)] * num_views)
    raise ValueError(f"{name!r} is not a camera path. Known: {', '.join((*VIEW_LAYOUTS, *FANS, *PATHS))}.")


def _fractions(num_views: int) -> Float[np.ndarray, " views"]:
    return np.linspace(0, 1, num_views) if num_views > 1 else np.full(1, 0.5)


def _turned_about_y(angles: Float[np.ndarray, " frames"]) -> Float[np.ndarray, "frames 4 4"]:
    """Poses at the origin turned about the vertical axis; positive angles look to the right."""
    poses = np.tile(np.eye(4), (len(angles), 1, 1))
    poses[:, 0, 0] = poses[:, 2, 2] = np.cos(angles)
    poses[:, 0, 2], poses[:, 2, 0] = np.sin(angles), -np.sin(angles)
    return poses

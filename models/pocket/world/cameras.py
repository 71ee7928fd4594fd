"""Camera paths of the world: camera-to-world matrices in the OpenCV convention (x right, y down, z forward).

World axes: x right, y up, z towards the first camera; the ground is y = 0. Lengths in world units, angles in radians.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

FIELD_OF_VIEW = math.radians(42)
TARGET = np.array([0.0, 0.95, 0.0])
DISTANCE = 5.6
HEIGHT = 2.1
FACE_TARGET = np.array([0.0, 1.52, 0.0])
FACE_DISTANCE = 4.5


def look_at(eye: np.ndarray, target: np.ndarray) -> Float[np.ndarray, "4 4"]:
    """Camera-to-world pose of a camera at `eye` that looks at `target`, its x axis level."""
    forward = target - eye
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, np.array([0.0, 1.0, 0.0]))
    right = right / np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = right, np.cross(forward, right), forward, eye
    return pose


def intrinsics(height: int, width: int) -> Float[np.ndarray, "3 3"]:
    """Pinhole matrix in pixels; pixel centres at half integers."""
    focal = 0.5 * height / math.tan(FIELD_OF_VIEW / 2)
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])


def path(name: str, num_frames: int, amount: float = 1.0, face: bool = False) -> Float[np.ndarray, "frames 4 4"]:
    """Poses along a named path, the movement centred in time so that the subject stays in view.

    Names: still, pans left/right, orbits left/right, moves closer/away, circles (the eye on a small vertical circle).
    """
    target = FACE_TARGET if face else TARGET
    distance = FACE_DISTANCE if face else DISTANCE
    eye = np.array([0.0, 1.55 if face else HEIGHT, distance])
    poses = []
    for t in np.linspace(-1.0, 1.0, num_frames) if num_frames > 1 else np.zeros(1):
        s = t * amount
        if name.startswith("pans"):
            angle = (-1 if name.endswith("left") else 1) * s * math.radians(9)
            aim = eye + _turned(target - eye, -angle)
            poses.append(look_at(eye, aim))
        elif name.startswith("orbits"):
            angle = (-1 if name.endswith("left") else 1) * s * math.radians(32)
            poses.append(look_at(target + _turned(eye - target, angle), target))
        elif name in ("moves closer", "moves away"):
            scale = 1.0 - (0.36 if name == "moves closer" else -0.36) * s
            poses.append(look_at(target + (eye - target) * scale, target))
        elif name == "circles":
            turn = math.pi * (t + 1)
            poses.append(look_at(eye + amount * 0.9 * np.array([math.cos(turn), math.sin(turn), 0.0]), target))
        elif name == "still":
            poses.append(look_at(eye, target))
        else:
            raise ValueError(f"{name!r} is not a camera path of the world.")
    return np.stack(poses)


def _turned(vector: np.ndarray, angle: float) -> np.ndarray:
    """`vector` turned about the upright axis, counter-clockwise seen from above."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([c * vector[0] + s * vector[2], vector[1], -s * vector[0] + c * vector[2]])

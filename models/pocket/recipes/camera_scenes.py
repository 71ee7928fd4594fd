"""Scenes of the world under CVD's kind of camera paths: every path starts at the world's own resting camera."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from models.common import cameras as geometry
from models.common.cameras.paths import dolly, orbit, pan
from models.pocket.world import cameras as world
from models.pocket.world import caption, render_clip, sample_scene
from models.pocket.world.clip import SIDE
from models.pocket.world.scene import Scene

FRAMES = 16
FOCAL_LENGTH = 0.5 / math.tan(world.FIELD_OF_VIEW / 2)  # of the picture's side
LENS = np.array([FOCAL_LENGTH * SIDE, FOCAL_LENGTH * SIDE, SIDE / 2, SIDE / 2])  # fx, fy, cx, cy in pixels
FARTHEST = 0.3  # last position of a straight path, in distances to the solid; the camera stays above the ground


def random_path(rng: np.random.Generator, num_frames: int = FRAMES) -> Float[np.ndarray, "frames 4 4"]:
    """Camera-to-world poses relative to the first, lengths in distances to what it looks at."""
    kind, amount = rng.random(), rng.uniform(0.3, 1.1) * rng.choice((-1, 1))
    if kind < 0.5:  # straight to a point of the first image plane, always aimed at the solid
        angle, distance = rng.uniform(0, 2 * math.pi), rng.uniform(0.1, FARTHEST)
        end = geometry.look_at_pose(distance * np.array([math.cos(angle), math.sin(angle), 0.0]))
        return geometry.interpolate_poses(np.eye(4), end, num_frames)
    if kind < 0.75:
        return orbit(num_frames, amount)
    return pan(num_frames, amount) if kind < 0.85 else dolly(num_frames, 0.9 * amount)


def in_the_world(relative: Float[np.ndarray, "frames 4 4"]) -> Float[np.ndarray, "frames 4 4"]:
    """The same path in the world's axes and units."""
    poses = relative.copy()
    start = world.path("still", 1)[0]
    poses[:, :3, 3] *= np.linalg.norm(start[:3, 3] - world.TARGET)
    return start @ poses


def solid_scene(seed: int, split: str = "train", *, still: bool = False) -> Scene:
    """Solids under a resting camera; `still` stops their motion too."""
    scene = replace(sample_scene(seed, split, people=0.0), camera="still")
    return replace(scene, solids=tuple(replace(solid, motion="still") for solid in scene.solids)) if still else scene


def words(scene: Scene, rng: np.random.Generator | None = None) -> str:
    """A caption that says nothing of the camera: its path is told by its poses."""
    parts = caption(replace(scene, camera="still"), rng).split(", ")
    return ", ".join(part for part in parts if "camera" not in part)


def film(scene: Scene, relative: Float[np.ndarray, "frames 4 4"], supersample: int = 2) -> np.ndarray:
    """The scene along a path, uint8 [frames, height, width, 3]."""
    return render_clip(scene, len(relative), poses=in_the_world(relative), supersample=supersample).frames

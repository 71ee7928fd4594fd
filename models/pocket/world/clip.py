"""Scene and cameras -> frames with their ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from models.pocket.world import cameras
from models.pocket.world.primitives import primitives
from models.pocket.world.scene import GROUNDS, SKIES, WALLS, Scene
from models.pocket.world.tracer import WALL, trace_clip

NUM_FRAMES, SIDE, FPS = 20, 64, 8


@dataclass(frozen=True)
class WorldClip:
    """`depth` along the optical axis in world units, 0 at infinity; `mask` 0 ground and sky, then 1, 2 by subject;
    `poses` camera-to-world, OpenCV axes; `intrinsics` in pixels."""

    frames: UInt8[np.ndarray, "frames height width 3"]
    depth: Float[np.ndarray, "frames height width"]
    mask: UInt8[np.ndarray, "frames height width"]
    poses: Float[np.ndarray, "frames 4 4"]
    intrinsics: Float[np.ndarray, "3 3"]


def render_clip(
    scene: Scene,
    num_frames: int = NUM_FRAMES,
    height: int = SIDE,
    width: int = SIDE,
    poses: np.ndarray | None = None,
    supersample: int = 2,
) -> WorldClip:
    """Render a scene along its own camera path, or along `poses` [frames, 4, 4] (another view of the same moments)."""
    face = scene.person is not None
    if poses is None:
        poses = cameras.path(scene.camera, num_frames, scene.amount, face=face)
    if len(poses) != num_frames:
        raise ValueError(f"poses has {len(poses)} matrices for {num_frames} frames; give one per frame.")
    rows, painted = primitives(scene, num_frames)
    frames = np.empty((num_frames, height, width, 3), np.uint8)
    depth = np.empty((num_frames, height, width), np.float32)
    mask = np.empty((num_frames, height, width), np.uint8)
    matrix = cameras.intrinsics(height, width)
    trace_clip(
        rows, painted, np.ascontiguousarray(poses, np.float64), matrix[0, 0],
        WALL if face else GROUNDS.index(scene.ground),
        SKIES.index(scene.sky), np.asarray(WALLS[scene.wall]), np.asarray(scene.hills, np.float64), supersample,
        frames, depth, mask,
    )  # fmt: skip
    return WorldClip(frames, depth, mask, poses, matrix)

"""Pluecker rays: where every pixel looks, as CameraCtrl tells its pose encoder (arXiv:2404.02101, section 3.2)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def plucker_rays(
    camera_to_world: Float[np.ndarray, "*batch 4 4"],
    intrinsics: Float[np.ndarray, "*batch 4"],
    height: int,
    width: int,
    *,
    mirrored: Bool[np.ndarray, "*batch"] | None = None,
) -> Float[np.ndarray, "*batch 6 height width"]:
    """Channels (o x d, d): o the camera centre, d the unit direction through a pixel's centre, both in the world.

    `intrinsics` are (fx, fy, cx, cy) in pixels. `mirrored` marks cameras whose picture was flipped left to right.
    Source: CameraCtrl inference.py ray_condition; its torch.cross without `dim` breaks when an axis has length 3.
    """
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    x = np.broadcast_to(x, (*camera_to_world.shape[:-2], height, width))
    if mirrored is not None:
        x = np.where(mirrored[..., None, None], x[..., ::-1], x)
    fx, fy, cx, cy = (intrinsics[..., i, None, None] for i in range(4))
    directions = np.stack(np.broadcast_arrays((x - cx) / fx, (y - cy) / fy, 1.0), axis=-1)
    directions = directions / np.linalg.norm(directions, axis=-1, keepdims=True)  # [*batch, height, width, 3]
    rotation = camera_to_world[..., None, :3, :3]
    directions = directions @ np.swapaxes(rotation, -1, -2)
    origin = np.broadcast_to(camera_to_world[..., None, None, :3, 3], directions.shape)
    rays = np.concatenate([np.cross(origin, directions), directions], axis=-1)
    return np.moveaxis(rays, -1, -3).astype(np.float32)

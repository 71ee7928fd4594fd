"""Pinhole intrinsics in pixels, and what cropping and resizing do to them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Intrinsics(NamedTuple):
    """One pinhole camera: focal lengths and principal point, as fractions of width and height."""

    fx: float
    fy: float
    cx: float
    cy: float


DEFAULT_INTRINSICS = Intrinsics(223.578 / 256, 223.578 / 256, 0.5, 0.5)
"""The lens of CVD's own trajectories (inference_epi_advanced.py): 59.6 degrees across."""


def pixel_intrinsics(
    normalized: Float[np.ndarray, "*batch 4"],
    height: int,
    width: int,
    *,
    original_size: tuple[int, int] | None = None,
) -> Float[np.ndarray, "*batch 4"]:
    """(fx, fy, cx, cy) in pixels of a `height` x `width` picture, from fractions of the original's width and height.

    With `original_size` (height, width) the original was resized to cover the picture and centre-cropped; without it
    the original was stretched. Source: CameraCtrl inference.py:169-184.
    """
    focal = np.array(normalized, dtype=np.float64)
    if original_size is not None:
        original_aspect, aspect = original_size[1] / original_size[0], width / height
        if original_aspect > aspect:
            focal[..., 0] *= original_aspect / aspect  # the sides were cropped away
        else:
            focal[..., 1] *= aspect / original_aspect  # top and bottom were cropped away
    return focal * np.array([width, height, width, height])


def intrinsic_matrices(pixels: Float[np.ndarray, "*batch 4"]) -> Float[np.ndarray, "*batch 3 3"]:
    """The 3x3 matrix K of (fx, fy, cx, cy)."""
    matrices = np.zeros((*pixels.shape[:-1], 3, 3), dtype=pixels.dtype)
    matrices[..., 0, 0], matrices[..., 1, 1] = pixels[..., 0], pixels[..., 1]
    matrices[..., 0, 2], matrices[..., 1, 2] = pixels[..., 2], pixels[..., 3]
    matrices[..., 2, 2] = 1
    return matrices

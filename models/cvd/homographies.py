"""Moving scenes without cameras: a video and a copy of it under a drifting homography, the second half of CVD's data.

arXiv:2405.17414, section 4.2: H = H_translation H_rotation H_scale H_shear H_perspective. The last frame's
parameters are normal, those of the frames before lie on the straight line from the identity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class HomographySpread:
    """Standard deviations of the last frame's parameters; lengths as fractions of the picture's height."""

    translation: float = 0.1
    rotation: float = math.radians(8)
    scale: float = 0.1  # of the logarithm
    shear: float = 0.08
    perspective: float = 0.08


def random_homographies(
    num_frames: int, image_size: tuple[int, int], generator: torch.Generator, spread: HomographySpread | None = None
) -> Float[Tensor, "frames 3 3"]:
    """Where a pixel of the video lies in the warped copy, about the picture's centre, for every frame."""
    spread = spread or HomographySpread()
    height = image_size[0]
    draw = torch.randn(8, generator=generator)
    paths = torch.linspace(0, 1, num_frames)[:, None] * draw
    tx, ty, turn, grow, shear_x, shear_y, lean_x, lean_y = paths.unbind(1)
    matrices = [torch.eye(3).repeat(num_frames, 1, 1) for _ in range(5)]
    translation, rotation, scale, shear, perspective = matrices
    translation[:, 0, 2], translation[:, 1, 2] = (spread.translation * height * t for t in (tx, ty))
    angle = spread.rotation * turn
    rotation[:, 0, 0] = rotation[:, 1, 1] = angle.cos()
    rotation[:, 0, 1], rotation[:, 1, 0] = -angle.sin(), angle.sin()
    scale[:, 0, 0] = scale[:, 1, 1] = (spread.scale * grow).exp()
    shear[:, 0, 1], shear[:, 1, 0] = spread.shear * shear_x, spread.shear * shear_y
    perspective[:, 2, 0], perspective[:, 2, 1] = (spread.perspective / height * lean for lean in (lean_x, lean_y))
    return translation @ rotation @ scale @ shear @ perspective


def warp_video(
    video: Float[Tensor, "channels frames height width"], homographies: Float[Tensor, "frames 3 3"]
) -> tuple[Float[Tensor, "channels frames height width"], Bool[Tensor, "frames height width"]]:
    """The warped copy, and which of its pixels were inside the video."""
    height, width = video.shape[-2:]
    centre = torch.tensor([(width - 1) / 2, (height - 1) / 2])
    y, x = torch.meshgrid(torch.arange(height) - centre[1], torch.arange(width) - centre[0], indexing="ij")
    targets = torch.stack([x, y, torch.ones_like(x)], dim=-1)  # [height, width, 3]
    sources = targets.flatten(0, 1) @ torch.linalg.inv(homographies).mT  # [frames, pixels, 3]
    depth = sources[..., 2:]
    grid = (sources[..., :2] / depth.clamp_min(1e-3) / centre).unflatten(1, (height, width))
    inside = (grid.abs() <= 1).all(-1) & (depth[..., 0].unflatten(1, (height, width)) > 1e-3)
    warped = F.grid_sample(video.transpose(0, 1), grid, mode="bilinear", padding_mode="border", align_corners=True)
    return warped.transpose(0, 1), inside

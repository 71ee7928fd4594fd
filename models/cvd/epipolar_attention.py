"""CVD's idea: a frame of one view attends to the same moment of another view, near the epipolar lines of its pixels.

Cross-View Synchronisation Module (arXiv:2405.17414, section 4.1). For frame k of view v and its partner p,

    out_k^v = softmax(Q_k^v (K_k^p)^T / sqrt(dim) + M_k^{v,p}) V_k^p

The paper's mask M is 0 within 3 pixels of the line F_k x and minus infinity elsewhere; the released network was
trained with a soft one, 0 in a narrow band about the line and then falling in proportion to the distance. In the
first frame all cameras are the same and F is 0: its lines pass through the pixel itself, with one random slope per
attention call.

M depends on the cameras and the resolution only, so `EpipolarBias` computes it once for each and keeps it; the authors
compute it in every layer of every step (animatediff/models/epi_module.py:293). Only the first frame's part changes.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

BAND = 3  # half width of the free band, in halves of the picture's height times the largest distance
DECAY = 3  # the bias falls by this much per band
EPSILON = 1e-6  # not negligible for cameras close to each other: do not rescale F

Slopes = Callable[[int], Tensor]
"""Gives that many slopes of pseudo lines, in radians."""

Grid = tuple[int, int]
"""Rows and columns of tokens; the picture's height and width in pixels where that is said."""


def token_points(grid: Grid, image_size: Grid, device: torch.device | None = None) -> Float[Tensor, "tokens 3"]:
    """Centre (x, y, 1) of every token in pixel indices of the picture, row by row."""
    y, x = (
        torch.arange(count, device=device, dtype=torch.float32) * (size / count) + (size / count - 1) / 2
        for count, size in zip(grid, image_size, strict=True)
    )
    y, x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)], dim=-1).reshape(-1, 3)


def epipolar_lines(
    fundamental: Float[Tensor, "frames 3 3"], points: Float[Tensor, "tokens 3"]
) -> Float[Tensor, "frames tokens 3"]:
    """Lines (a, b, c) with a x + b y + c = 0 in the partner's picture, one for every point."""
    return points @ fundamental.float().mT


def pseudo_lines(
    points: Float[Tensor, "*frames tokens 3"], slopes: Float[Tensor, " frames"]
) -> Float[Tensor, "frames tokens 3"]:
    """Lines through the points themselves, all of one frame with the same slope."""
    a, b = (part.float()[:, None] for part in (torch.cos(slopes.double()), torch.sin(slopes.double())))
    x, y = points[..., 0], points[..., 1]
    c = -(a * x + b * y)
    return torch.stack([a.expand_as(c), b.expand_as(c), c], dim=-1)


def homography_points(
    homographies: Float[Tensor, "frames 3 3"], points: Float[Tensor, "tokens 3"], image_size: Grid
) -> Float[Tensor, "frames tokens 3"]:
    """Where a homography about the picture's centre takes the points (training on warped copies)."""
    height, width = image_size
    centre = torch.tensor([(width - 1) / 2, (height - 1) / 2, 0.0], device=points.device)
    mapped = (points - centre) @ homographies.float().mT
    return mapped / (mapped[..., 2:] + EPSILON) + centre


def attention_bias(
    lines: Float[Tensor, "frames tokens 3"], points: Float[Tensor, "tokens 3"], image_size: Grid
) -> Float[Tensor, "frames tokens tokens"]:
    """M: 0 near the line of a query, then falling with the key's distance from it, relative to the largest."""
    distance = (lines @ points.T).abs() / (lines[..., :2].norm(dim=-1, keepdim=True) + EPSILON)
    band = BAND / (image_size[0] // 2) * distance.amax(dim=(1, 2), keepdim=True)
    return ((distance - band).clamp_min(0) * (-DECAY / (band + EPSILON))).nan_to_num(0.0, 0.0, 0.0)


@runtime_checkable
class LineBias(Protocol):
    """Where the bias of a pair of views comes from."""

    def draw(self, num_frames: int) -> None:
        """Take new random slopes; called once at the start of every attention call."""
        ...

    def pieces(self, view: int, partner: int, grid: Grid, dtype: torch.dtype) -> list[tuple[slice, Tensor]]:
        """Frames and their bias [frames, tokens, tokens], which together cover every frame of the view."""
        ...


class EpipolarBias:
    """Bias of every ordered pair of views with known cameras; what does not change is kept within `budget_bytes`.

    `fundamental` maps (view, partner) to F of each frame, on pixel indices of a picture of `image_size`.
    """

    def __init__(
        self,
        fundamental: Mapping[tuple[int, int], Float[Tensor, "frames 3 3"]],
        image_size: Grid,
        slopes: Slopes,
        *,
        budget_bytes: int = 2 << 30,
    ) -> None:
        self.fundamental = fundamental
        self.image_size = image_size
        self.budget_bytes = budget_bytes
        self._slopes = slopes
        self._slope = torch.zeros(1)
        self._kept: OrderedDict[tuple[int, int, Grid, torch.dtype], Tensor] = OrderedDict()
        self._first: dict[tuple[Grid, torch.dtype], Tensor] = {}

    def draw(self, num_frames: int) -> None:
        self._slope = self._slopes(1)
        self._first.clear()

    def pieces(self, view: int, partner: int, grid: Grid, dtype: torch.dtype) -> list[tuple[slice, Tensor]]:
        return [
            (slice(0, 1), self._first_frame(grid, dtype)),
            (slice(1, None), self._later_frames(view, partner, grid, dtype)),
        ]

    @property
    def kept_bytes(self) -> int:
        return sum(bias.nbytes for bias in self._kept.values())

    def _first_frame(self, grid: Grid, dtype: torch.dtype) -> Float[Tensor, "1 tokens tokens"]:
        if (grid, dtype) not in self._first:
            device = next(iter(self.fundamental.values())).device
            points = token_points(grid, self.image_size, device)
            lines = pseudo_lines(points, self._slope.to(device))
            self._first[grid, dtype] = attention_bias(lines, points, self.image_size).to(dtype)
        return self._first[grid, dtype]

    def _later_frames(
        self, view: int, partner: int, grid: Grid, dtype: torch.dtype
    ) -> Float[Tensor, "frames tokens tokens"]:
        key = (view, partner, grid, dtype)
        if key not in self._kept:
            fundamental = self.fundamental[view, partner][1:]
            points = token_points(grid, self.image_size, fundamental.device)
            bias = attention_bias(epipolar_lines(fundamental, points), points, self.image_size).to(dtype)
            while self._kept and self.kept_bytes + bias.nbytes > self.budget_bytes:
                self._kept.popitem(last=False)
            self._kept[key] = bias
        self._kept.move_to_end(key)
        return self._kept[key]


class PseudoLineBias:
    """Views without cameras: every frame of every view has its own random slope.

    With `homographies` [views, frames, 3, 3] the lines pass through the warped pixel (training on moving scenes).
    """

    def __init__(
        self, image_size: Grid, slopes: Slopes, num_views: int,
        homographies: Float[Tensor, "views frames 3 3"] | None = None,
    ) -> None:  # fmt: skip
        self.image_size = image_size
        self.homographies = homographies
        self._slopes = slopes
        self._num_views = num_views
        self._drawn = torch.zeros(num_views, 1)

    def draw(self, num_frames: int) -> None:
        self._drawn = self._slopes(self._num_views * num_frames).view(self._num_views, num_frames)

    def pieces(self, view: int, partner: int, grid: Grid, dtype: torch.dtype) -> list[tuple[slice, Tensor]]:
        slopes = self._drawn[view]
        points = token_points(grid, self.image_size, slopes.device)
        through = points
        if self.homographies is not None:
            through = homography_points(self.homographies[view], points, self.image_size)
        bias = attention_bias(pseudo_lines(through, slopes), points, self.image_size)
        return [(slice(None), bias.to(dtype))]


@dataclass(frozen=True)
class Synchronization:
    """Who attends to whom in one network call: for every view the views it looks at, and the bias between them."""

    partners: tuple[tuple[int, ...], ...]
    bias: LineBias


def epipolar_attention(
    query: Float[Tensor, "views frames heads tokens dim"],
    key: Float[Tensor, "views frames heads tokens dim"],
    value: Float[Tensor, "views frames heads tokens dim"],
    synchronization: Synchronization,
    grid: Grid,
) -> Float[Tensor, "views frames heads tokens dim"]:
    """The equation above for all views. Copies for guidance share a bias: they sit in the heads axis."""
    synchronization.bias.draw(query.shape[1])
    attended = []
    for view, partners in enumerate(synchronization.partners):
        pieces = [synchronization.bias.pieces(view, partner, grid, query.dtype) for partner in partners]
        for of_partners in zip(*pieces, strict=True):
            frames = of_partners[0][0]
            bias = of_partners[0][1] if len(partners) == 1 else torch.cat([piece for _, piece in of_partners], dim=-1)
            keys, values = (_joined(tokens, partners, frames) for tokens in (key, value))
            attended.append(F.scaled_dot_product_attention(query[view, frames], keys, values, attn_mask=bias[:, None]))
    return torch.cat(attended).unflatten(0, query.shape[:2])


def _joined(tokens: Tensor, partners: tuple[int, ...], frames: slice) -> Float[Tensor, "frames heads keys dim"]:
    if len(partners) == 1:
        return tokens[partners[0], frames]
    return torch.cat([tokens[partner, frames] for partner in partners], dim=-2)


def random_slopes(generator: torch.Generator | None, device: torch.device | str = "cpu") -> Slopes:
    """Slopes uniform in [0, pi) from the job's generator."""
    return lambda count: (torch.rand(count, generator=generator) * math.pi).to(device)


def horizontal_slopes(count: int) -> Tensor:
    """The same horizontal line every time: what the authors call epi_rand_slope_ff off."""
    return torch.full((count,), math.pi / 2)

"""What an object looks like, without a network: its colours and the directions of its edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

SIDE = 64  # an object is described on a square of this side
WINDOWS = (0.3, 0.4, 0.5, 0.6, 0.75)  # sides of the squares searched, as shares of the frame's shorter side
STEPS = 8  # places that a window moves through over its own side
LARGER = 0.02  # taken off for a window as large as the frame, so that of two that hold all the smaller wins
HUES, LIGHTS = 12, 4  # bins: each hue dark and bright, and greys by lightness
GREY_CHROMA, DARK = 12.0, 45.0  # in CIE Lab
BINS = 2 * HUES + LIGHTS
CELLS, DIRECTIONS, STRONGEST = (
    4,
    8,
    60.0,
)  # of edges; stronger ones count as the last
WHITE = 255


@dataclass(frozen=True)
class Look:
    """`colours` add up to the object's share of its square; `shape` is a unit vector; `picture` on white."""

    colours: Float[np.ndarray, " bins"]
    shape: Float[np.ndarray, " features"]
    picture: UInt8[np.ndarray, "side side 3"]


def look_of(picture: UInt8[np.ndarray, "height width 3"], mask: Bool[np.ndarray, "height width"]) -> Look:
    """The look of the object under `mask`, which must not be empty."""
    import cv2

    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    side = int(max(rows[-1] - rows[0], columns[-1] - columns[0])) + 3
    top, left = (int(ends[0] + ends[-1]) // 2 + side - side // 2 for ends in (rows, columns))
    margin = ((side, side), (side, side))
    inside = cut(np.pad(mask.astype(np.uint8), margin), top, left, side) > 0
    pixels = cut(np.pad(picture, (*margin, (0, 0)), constant_values=WHITE), top, left, side)
    pixels = np.where(inside[..., None], pixels, np.uint8(WHITE))
    colours = np.bincount(colour_bins(pixels)[inside], minlength=BINS) / inside.size
    near = cv2.dilate(inside.astype(np.uint8), np.ones((5, 5), np.uint8))
    return Look(colours, edge_directions(pixels, near), pixels)


def find(frame: UInt8[np.ndarray, "height width 3"], look: Look) -> tuple[float, UInt8[np.ndarray, "side side 3"]]:
    """The share of the object's colours in the square that holds most of them, and that square."""
    bins = colour_bins(frame)
    height, width = bins.shape
    sums = np.zeros((BINS, height + 1, width + 1))
    sums[:, 1:, 1:] = (bins == np.arange(BINS)[:, None, None]).cumsum(1).cumsum(2)
    best = (-np.inf, 0.0, 0, 0, 0)
    for share in WINDOWS:
        side = max(2, int(share * min(height, width)))
        step = max(1, side // STEPS)
        y, x = np.mgrid[0 : height - side + 1 : step, 0 : width - side + 1 : step]
        held = sums[:, y + side, x + side] - sums[:, y, x + side] - sums[:, y + side, x] + sums[:, y, x]
        common = np.minimum(held / side**2, look.colours[:, None, None]).sum(0) / look.colours.sum()
        place = np.unravel_index(common.argmax(), common.shape)
        best = max(best, (common[place] - LARGER * share, float(common[place]), int(y[place]), int(x[place]), side))
    return best[1], cut(frame, *best[2:])


def likeness(colours: float, square: UInt8[np.ndarray, "side side 3"], look: Look) -> float:
    """0 to 100: the mean of the share of colours found and the cosine of the shapes."""
    return 50 * (colours + float(edge_directions(square) @ look.shape))


def colour_bins(picture: UInt8[np.ndarray, "height width 3"]) -> Int[np.ndarray, "height width"]:
    """A bin of hue and lightness per pixel."""
    import cv2

    lightness, a, b = np.moveaxis(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), 2, 0)
    hue = np.minimum((np.arctan2(b, a) / (2 * np.pi) % 1 * HUES).astype(int), HUES - 1)
    light = np.minimum((lightness / 100 * LIGHTS).astype(int), LIGHTS - 1)
    return np.where(np.hypot(a, b) < GREY_CHROMA, 2 * HUES + light, 2 * hue + (lightness > DARK))


def edge_directions(
    square: UInt8[np.ndarray, "side side 3"], near: UInt8[np.ndarray, "side side"] | None = None
) -> Float[np.ndarray, " features"]:
    """Unit vector of edge strengths by cell and direction, within `near` (after Dalal & Triggs, CVPR 2005)."""
    import cv2

    vertical, horizontal = np.gradient(cv2.cvtColor(square, cv2.COLOR_RGB2LAB).astype(np.float32), axis=(0, 1))
    strengths = np.hypot(horizontal, vertical)
    channel = strengths.argmax(-1)[..., None]
    vertical, horizontal, strength = (
        np.take_along_axis(values, channel, -1)[..., 0] for values in (vertical, horizontal, strengths)
    )
    if near is not None:
        strength = strength * near
    direction = np.minimum((np.arctan2(vertical, horizontal) / np.pi % 1 * DIRECTIONS).astype(int), DIRECTIONS - 1)
    row, column = np.mgrid[: square.shape[0], : square.shape[1]] * CELLS // square.shape[0]
    feature = ((row * CELLS + column) * DIRECTIONS + direction).ravel()
    sums = np.bincount(feature, np.minimum(strength, STRONGEST).ravel(), CELLS * CELLS * DIRECTIONS)
    vector = np.sqrt(sums)
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def cut(picture: np.ndarray, top: int, left: int, side: int) -> np.ndarray:
    """A square of the picture, brought to SIDE."""
    import cv2

    return cv2.resize(picture[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)

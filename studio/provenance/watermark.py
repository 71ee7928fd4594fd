"""An invisible pattern in the brightness of every frame, which survives re-encoding.

The mean of a clip's frames is cut into 8 x 8 tiles, whatever its size. Three smooth waves are measured in each tile,
and each measure is moved to the nearest point of a lattice whose offset a key decides (quantisation index modulation,
Chen & Wornell, IEEE Trans. Information Theory 2001). Detection asks how near the measures lie to their lattices:
without the mark they lie anywhere. The pattern is the same in all frames, so the codec has to store it only once.

The key is public. The mark tells honest readers that a clip was generated; it proves nothing against someone who wants
to remove it or to fake it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

KEY = 0x510E7E7
SIDE, TILE = 64, 8  # points of the grid on which every clip is described, and of a tile
TILES = SIDE // TILE
SMALLEST = 32  # pixels of the shorter side; smaller clips carry no mark
STEPS = (
    (160, 37.0),
    (1 << 30, 20.0),
)  # shorter side below which -> distance of lattice points: small clips suffer more
THRESHOLD = 4.5  # standard deviations; by chance 3 clips in a million come there
CROPS = tuple(range(5))  # grid points that may be missing at each edge, tried when the whole picture shows no mark
CROP_THRESHOLD = 6.5  # after some hundreds of tries
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Detection:
    """`strength` in standard deviations of what chance gives. `cropped`: found only after a search over crops."""

    strength: float
    found: bool
    cropped: bool = False


def embed(frames: UInt8[np.ndarray, "frames height width 3"]) -> UInt8[np.ndarray, "frames height width 3"]:
    """The clip with the mark, about 40.5 dB from it or better; the same clip always gives the same marked clip."""
    height, width = frames.shape[1:3]
    if min(height, width) < SMALLEST:
        return frames
    step = next(step for side, step in STEPS if min(height, width) < side)
    measured = _measures(_grid(_mean_picture(frames)))
    off = measured - _offsets() * step
    change = _pattern(step * np.rint(off / step) - off)
    return np.clip(frames + np.rint(_resized(change, height, width))[None, :, :, None], 0, 255).astype(np.uint8)


def detect(frames: UInt8[np.ndarray, "frames height width 3"], search: bool = True) -> Detection:
    """Whether a clip, or a still as one frame, carries the mark. `search` also tries crops, a second or so longer."""
    if min(frames.shape[1:3]) < SMALLEST // 2:
        return Detection(0.0, False)
    picture = _mean_picture(frames)
    everywhere = np.ones((TILES, TILES), bool)
    strength = _strength(_measures(_grid(picture)), everywhere)
    if strength >= THRESHOLD or not search:
        return Detection(strength, strength >= THRESHOLD)
    best = max(_strength(*_cropped(picture, *crop)) for crop in _crops())
    return Detection(best, True, True) if best >= CROP_THRESHOLD else Detection(strength, False)


def _strength(measures: Float[np.ndarray, "rows columns waves"], there: np.ndarray) -> float:
    """The largest over the steps in use of the sum of cosines, which chance leaves near N(0, 1)."""
    best = 0.0
    for _, step in STEPS:
        near = np.cos(2 * np.pi * (measures / step - _offsets()))[there]
        best = max(best, float(near.sum() / np.sqrt(near.size / 2)))
    return best


def _mean_picture(frames: np.ndarray) -> Float[np.ndarray, "height width"]:
    """Brightness, the mean over the frames, in levels of 255."""
    return (frames.mean(0, dtype=np.float64) @ LUMA).astype(np.float32)


def _grid(picture: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "side side"]:
    return _resized(picture, SIDE, SIDE)


def _resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    import cv2

    if picture.shape == (height, width):
        return picture
    shrinks = picture.shape[0] > height and picture.shape[1] > width
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _measures(grid: Float[np.ndarray, "side side"]) -> Float[np.ndarray, "rows columns waves"]:
    tiles = grid.reshape(TILES, TILE, TILES, TILE)
    return np.einsum("riCj,kij->rCk", tiles, _waves())


def _pattern(amounts: Float[np.ndarray, "rows columns waves"]) -> Float[np.ndarray, "side side"]:
    return np.einsum("rCk,kij->riCj", amounts, _waves()).reshape(SIDE, SIDE).astype(np.float32)


@functools.cache
def _waves() -> Float[np.ndarray, "3 tile tile"]:
    """Half a wave across, down and both ways, fading to nothing at the tile's edges; orthonormal, of mean zero."""
    place = (np.arange(TILE) + 0.5) / TILE
    fade, wave = np.sin(np.pi * place), np.sin(np.pi * place) * np.cos(np.pi * place)
    raw = np.stack([np.outer(fade, wave), np.outer(wave, fade), np.outer(wave, wave)]).reshape(3, -1)
    return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).reshape(3, TILE, TILE)


@functools.cache
def _offsets() -> Float[np.ndarray, "rows columns waves"]:
    """The key: evenly spread over a step, so that an empty picture, whose measures are all 0, gives no strength."""
    count = TILES * TILES * 3
    return (np.random.default_rng(KEY).permutation(count) / count).reshape(TILES, TILES, 3)


def _crops() -> list[tuple[int, int, int, int]]:
    """Grid points missing left, right, top and bottom."""
    edges = [(first, last) for first in CROPS for last in CROPS]
    return [(*across, *down) for across in edges for down in edges if any(across + down)]


def _cropped(picture: np.ndarray, left: int, right: int, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray]:
    """Measures of a picture put back where it was cropped from, and which tiles are whole."""
    grid = np.zeros((SIDE, SIDE), np.float32)
    grid[top : SIDE - bottom, left : SIDE - right] = _resized(picture, SIDE - top - bottom, SIDE - left - right)
    there = np.zeros((SIDE, SIDE), bool)
    there[top : SIDE - bottom, left : SIDE - right] = True
    return _measures(grid), np.asarray(there.reshape(TILES, TILE, TILES, TILE).all((1, 3)))

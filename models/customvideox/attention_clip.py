"""Where and when the picture acted, as a clip: the video under a heat map, the picture's weight per step below."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

SMALLEST = 256  # pixels of the clip's height, so that words on it can be read
STRIP = 72  # pixels of the curve below
MARGIN = 10
INK, FAINT, REGION = (235, 236, 240), (110, 114, 124), (255, 159, 67)
PAPER = (22, 24, 29)
# dark blue over violet and orange to light yellow: the order of lightness survives colour blindness and print
COLOURS = np.array([(10, 7, 46), (87, 15, 109), (187, 55, 84), (249, 142, 8), (252, 255, 164)], np.float32)


def attention_clip(
    frames: UInt8[np.ndarray, "frames height width 3"],
    heat: Float[np.ndarray, "map_frames rows columns"],
    strengths: list[float],
    inside: list[float],
) -> np.ndarray:
    """uint8 [frames, height, width, 3], larger than `frames` where those are small.

    `strengths`: the picture's weight in every step; `inside`: the same within the subject's region.
    """
    count, height, width = frames.shape[:3]
    scale = max(1, -(-SMALLEST // height))
    size = (width * scale, height * scale)
    strip = np.asarray(curve(strengths, inside, size[0]))
    pictures = []
    for index in range(count):
        warm = np.asarray(Image.fromarray(_between(heat, index, count)).resize(size, Image.Resampling.BICUBIC))
        frame = np.asarray(Image.fromarray(frames[index]).resize(size, Image.Resampling.LANCZOS), np.float32)
        grey = frame.mean(2, keepdims=True)
        shown = 0.45 * grey + 0.55 * colours(warm)
        pictures.append(np.concatenate([shown.round().astype(np.uint8), strip]))
    return np.stack(pictures)


def colours(heat: np.ndarray) -> np.ndarray:
    """[..., 3] in 0..255 for heat in 0..1."""
    place = heat.clip(0, 1) * (len(COLOURS) - 1)
    low = np.minimum(place.astype(int), len(COLOURS) - 2)
    share = (place - low)[..., None]
    return COLOURS[low] * (1 - share) + COLOURS[low + 1] * share


def curve(strengths: list[float], inside: list[float], width: int, height: int = STRIP) -> Image.Image:
    """The picture's weight from the first step to the last; where the region acts, its own line above."""
    image = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(image)
    top, bottom = 22, height - MARGIN
    highest = max(1.0, *inside, *strengths)

    def points(values: list[float]) -> list[tuple[float, float]]:
        across = [MARGIN + (width - 2 * MARGIN) * (i / max(1, len(values) - 1)) for i in range(len(values))]
        return [(x, bottom - (bottom - top) * value / highest) for x, value in zip(across, values, strict=True)]

    level = points([1.0] * len(strengths))
    draw.line([level[0], level[-1]], fill=FAINT)
    if inside != strengths:
        draw.line(points(inside), fill=REGION, width=2)
    draw.line(points(strengths), fill=INK, width=2)
    draw.text((MARGIN, 4), f"the picture's weight, steps 1 to {len(strengths)}", fill=INK)
    return image


def _between(heat: np.ndarray, frame: int, frames: int) -> np.ndarray:
    """The map at the middle of a frame, blended from its neighbours in time."""
    place = min(max((frame + 0.5) / frames * len(heat) - 0.5, 0.0), len(heat) - 1.0)
    low = int(place)
    high = min(low + 1, len(heat) - 1)
    return (heat[low] * (1 - (place - low)) + heat[high] * (place - low)).astype(np.float32)

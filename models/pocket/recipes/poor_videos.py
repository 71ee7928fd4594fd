"""A deliberately poor video set: renders blurred, compressed and marked, as much of the web's video is."""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFilter

BLUR_RADIUS = 0.8  # pixels
JPEG_QUALITY = 22
MARK = "SAMPLE"
MARK_STRENGTH = 90  # of 255


def poor_copy(frames: UInt8[np.ndarray, "frames height width 3"]) -> UInt8[np.ndarray, "frames height width 3"]:
    """The same clip as a careless uploader would have it: soft, with block artefacts and a watermark."""
    return np.stack([_poor_frame(frame) for frame in frames])


def _poor_frame(frame: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(frame).filter(ImageFilter.GaussianBlur(BLUR_RADIUS))
    mark = Image.new("RGBA", picture.size)
    width, height = picture.size
    place = (width // 2, height * 5 // 6)
    ImageDraw.Draw(mark).text(place, MARK, fill=(255, 255, 255, MARK_STRENGTH), anchor="mm")
    picture = Image.alpha_composite(picture.convert("RGBA"), mark).convert("RGB")
    stored = io.BytesIO()
    picture.save(stored, "JPEG", quality=JPEG_QUALITY)
    return np.array(Image.open(stored))

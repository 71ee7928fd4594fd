"""Sharpness: the strength of clear edges. Blur lowers it, and so does noise."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from studio.metrics.score import Metric, Reading
from studio.metrics.take import Take

PATCH = 8  # pixels a side
CLEAR = 0.35  # (s1 - s2) / (s1 + s2) from which a patch has one clear direction; noise alone stays below


def edge_strength(picture: UInt8[np.ndarray, "height width"]) -> float:
    """Mean of s1 (s1 - s2) / (s1 + s2) over all patches, 0 for those without one clear direction, in levels per pixel.

    s1 >= s2 are the singular values of a patch's gradients over its side. Source: Zhu & Milanfar, "Automatic parameter
    selection for denoising algorithms using a no-reference measure of image content", IEEE TIP 2010, eq. 9.
    """
    vertical, horizontal = (np.asarray(slope) for slope in np.gradient(picture.astype(np.float32)))
    xx, yy, xy = (_patch_sums(product) for product in (horizontal**2, vertical**2, horizontal * vertical))
    mean, spread = (xx + yy) / 2, np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    first, second = np.sqrt(mean + spread) / PATCH, np.sqrt(np.maximum(mean - spread, 0)) / PATCH
    clear = (first - second) / np.maximum(first + second, 1e-6)
    return float(np.where(clear > CLEAR, first * clear, 0).mean())


def _patch_sums(values: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "rows columns"]:
    rows, columns = values.shape[0] // PATCH, values.shape[1] // PATCH
    return values[: rows * PATCH, : columns * PATCH].reshape(rows, PATCH, columns, PATCH).sum((1, 3))


def read(take: Take) -> Reading:
    """On the clip's own pixels: enlarging a clip does not sharpen it."""
    import cv2

    curve = [edge_strength(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)) for frame in take.frames]
    return Reading(float(np.mean(curve)), tuple(curve))


METRIC = Metric(
    name="sharpness",
    title="Sharpness",
    unit="levels per pixel",
    lowest=0.0,
    highest=None,
    better="higher",
    anchors=None,
    help="How strong the clear edges are. Blur lowers it, and noise too.",
    needs="nothing",
    not_comparable="between prompts or sizes: a plain wall has few edges, a larger picture softer ones",
    read=read,
)

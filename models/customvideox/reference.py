"""The reference picture as the network sees it: the subject cut out on white, in the video's frame, as latents."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

WHITE = 255
NEARLY = 10  # levels of a channel that still count as white, as JPEG blurs it
ALIKE = 24  # levels by which a plain background may vary
FILL = 0.8  # of the frame's height or width, whichever is met first, that a cut-out subject takes

Picture = UInt8[np.ndarray, "height width 3"]


def place_subject(
    picture: Picture, height: int, width: int, fill: float = FILL, shift: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray:
    """uint8 [height, width, 3]: the subject on white, as large as `fill` of the frame allows, in the middle.

    A plain background is taken for white; where there is none the whole picture is fitted into the frame. `shift`
    moves the subject right and down, 1 to the frame's edge. ValueError if there is nothing but background.
    """
    picture = whiten_background(picture)
    there = picture.min(2) < WHITE - NEARLY
    if not there.any():
        raise ValueError("The reference picture is empty. Use a picture of one object on a plain background.")
    rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    subject = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if subject.shape == picture.shape:
        fill = 1.0  # a photo without a plain background
    scale = fill * min(height / subject.shape[0], width / subject.shape[1])
    high, wide = (
        max(1, min(limit, round(n * scale))) for n, limit in zip(subject.shape, (height, width), strict=False)
    )
    resized = Image.fromarray(subject).resize((wide, high), Image.Resampling.LANCZOS)
    frame = np.full((height, width, 3), WHITE, np.uint8)
    top = round((height - high) / 2 * (1 + shift[1]))
    left = round((width - wide) / 2 * (1 + shift[0]))
    frame[top : top + high, left : left + wide] = np.asarray(resized)
    return frame


def whiten_background(picture: Picture) -> np.ndarray:
    """A background of one colour made white, as far as it touches the border; any other picture as it is."""
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]]).astype(int)
    colour = np.median(border, 0)
    if (np.abs(border - colour).max(1) < ALIKE).mean() < 0.9:
        return picture
    alike = (np.abs(picture.astype(int) - colour).max(2) < ALIKE).astype(np.uint8)
    _, regions = cv2.connectedComponents(alike, connectivity=4)
    touching = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    background = np.isin(regions, np.unique(touching)) & (alike > 0)
    return np.where(background[..., None], np.uint8(WHITE), picture)


def reference_latents(vae: Any, frame: np.ndarray) -> Tensor:
    """[1, 1, channels, h, w]: the picture as a clip of one frame, scaled as the transformer sees latents."""
    pixels = torch.from_numpy(frame).permute(2, 0, 1)[None, :, None].float() / 127.5 - 1
    mean = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist.mean
    return (mean * vae.config.scaling_factor).transpose(1, 2)

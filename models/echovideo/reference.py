"""The face picture on its two ways into EchoVideo: tokens of a vision tower, and latents of the first frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.common.faces import pad_to_aspect


def vision_pixels(picture: np.ndarray, size: int) -> Tensor:
    """uint8 [height, width, 3] -> [1, 3, size, size] in -1..1; squeezed to a square, nothing cut off."""
    resized = Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC)
    return _channels_first(np.asarray(resized)) / 255 * 2 - 1


def face_tokens(vision: Any, picture: np.ndarray) -> Tensor:
    """[2, tokens, dim] after the tower's last norm: a black picture of the same size, then the face."""
    pixels = torch.cat([vision_pixels(image, vision.config.image_size) for image in (np.zeros_like(picture), picture)])
    return vision(pixels.to(vision.device, vision.dtype)).last_hidden_state


def identity_rows(vector: Tensor, rows: int) -> Tensor:
    """The recogniser's vector [1, dim] -> [2, rows, dim]: zeros, then the vector in every row."""
    repeated = vector[:, None].expand(-1, rows, -1)
    return torch.cat([torch.zeros_like(repeated), repeated])


def first_frame(picture: np.ndarray, height: int, width: int) -> Tensor:
    """[1, 3, 1, height, width] in -1..1: padded with black to the video's aspect ratio, then resized."""
    padded = pad_to_aspect(picture, width / height)
    resized = Image.fromarray(padded).resize((width, height), Image.Resampling.LANCZOS)
    return (2 * (_channels_first(np.asarray(resized)) / 255) - 1)[:, :, None]


def image_latents(vae: Any, frame: Tensor, latent_frames: int, noise: Tensor) -> Tensor:
    """[1, latent_frames, channels, h, w]: the posterior of the first frame, sampled with `noise`; zeros after it."""
    posterior = vae.encode(frame.to(vae.device, vae.dtype)).latent_dist
    latents = (posterior.mean + posterior.std * noise.to(posterior.mean)) * vae.config.scaling_factor
    latents = latents.transpose(1, 2)
    rest = latents.new_zeros(len(latents), latent_frames - 1, *latents.shape[2:])
    return torch.cat([latents, rest], 1)


def _channels_first(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(image, dtype=np.float32)).permute(2, 0, 1)[None]
